//! One model, and how it is shown in lists.

use actix_web::{HttpRequest, HttpResponse, routes, web};
use domain::{Digest, Evidence, Note, Relation};
use http::{Problem, Result};
use jobs::Registry;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use store::ModelRow;
use utoipa::{IntoParams, ToSchema};

use crate::{
    advisories::{advisories_of, feed_of},
    children::{children_of, siblings_of},
    contents::{files_of, manifest_of, provenance_of, tensors_of},
    descendants::descendants_of,
    edges::{VerdictView, edges_of},
    lineage::lineage_of,
    query,
    relatives::relatives_of,
    reports::{licence_of, versions_of},
    seen::Seen,
    suggestions::suggestions_of,
};

/// A model in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelSummary {
    pub id: String,
    /// Named as a parent but never imported.
    pub ghost: bool,
    /// As the card states it.
    pub license: Option<String>,
    /// The name of a licence whose id is `other`.
    pub license_name: Option<String>,
    pub pipeline_tag: Option<String>,
    pub library: Option<String>,
    pub architecture: Option<String>,
    pub parameters: Option<i64>,
    pub downloads: Option<i64>,
    pub likes: Option<i64>,
    /// Unix seconds.
    pub created_at: Option<i64>,
    pub has_weights: bool,
    /// Content digest of the current revision.
    #[schema(value_type = Option<String>)]
    pub digest: Option<Digest>,
}

impl From<&ModelRow> for ModelSummary {
    fn from(row: &ModelRow) -> Self {
        Self {
            id: row.name.clone(),
            ghost: row.ghost,
            license: row.license.clone(),
            license_name: row.license_name.clone(),
            pipeline_tag: row.pipeline_tag.clone(),
            library: row.library.clone(),
            architecture: row.architecture.clone(),
            parameters: row.parameters,
            downloads: row.downloads,
            likes: row.likes,
            created_at: row.created_at,
            has_weights: row.has_weights,
            digest: row.digest,
        }
    }
}

/// A parent and why it is believed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParentView {
    pub id: String,
    pub as_written: String,
    /// finetune, adapter, quantized, merge, transfer, conversion or distil.
    #[schema(value_type = String)]
    pub relation: Relation,
    /// accepted, proposed, rejected_self, rejected_cycle or rejected_person.
    pub status: String,
    pub ghost: bool,
    #[schema(value_type = Vec<Object>)]
    pub evidence: Vec<Evidence>,
    /// What the weights say of it, where it is claimed and they say anything.
    pub verdict: Option<VerdictView>,
}

/// A model with its parents.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelDetail {
    #[serde(flatten)]
    pub summary: ModelSummary,
    pub author: Option<String>,
    pub sha: Option<String>,
    /// Unix seconds.
    pub last_modified: Option<i64>,
    pub model_type: Option<String>,
    pub tags: Vec<String>,
    pub languages: Vec<String>,
    pub datasets: Vec<String>,
    pub new_version: Option<String>,
    /// The last of the chain of successors that authors name.
    pub newest_version: Option<String>,
    pub card: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub config: Option<serde_json::Value>,
    pub parents: Vec<ParentView>,
    /// Direct children by relation.
    #[schema(value_type = Object)]
    pub children: serde_json::Value,
    #[schema(value_type = Vec<Object>)]
    pub notes: Vec<Note>,
    /// Results of evaluations as the card and the files of `.eval_results` state them; nothing was measured here.
    pub evaluations: Vec<EvaluationView>,
    /// Recipe of a model made here.
    #[schema(value_type = Option<Object>)]
    pub recipe: Option<serde_json::Value>,
}

/// A stated result of an evaluation.
#[derive(Debug, Serialize, ToSchema)]
pub struct EvaluationView {
    pub task: String,
    /// With its configuration and split.
    pub dataset: String,
    pub metric: String,
    /// As it is written.
    pub value: String,
    /// Whether the Hub marked it as verified.
    pub verified: bool,
    /// Who says so.
    pub source: Option<String>,
    /// Where they say so.
    pub url: Option<String>,
}

impl From<jobs::Evaluation> for EvaluationView {
    fn from(stated: jobs::Evaluation) -> Self {
        let jobs::Evaluation { task, dataset, metric, value, verified, source, url } = stated;
        Self { task, dataset, metric, value, verified, source, url }
    }
}

/// Finds a model or answers 404.
pub async fn find(registry: &Registry, id: &str) -> Result<ModelRow> {
    registry.store.model_by_id(id).await?.ok_or_else(|| Problem::not_found(format!("model `{id}`")))
}

/// The part of an address that names a model; legacy ids such as `gpt2` have no organisation.
#[derive(Debug, Deserialize)]
pub struct ModelPath {
    pub org: Option<String>,
    pub name: String,
}

impl ModelPath {
    /// The id as text.
    pub fn id(&self) -> String {
        self.org.as_ref().map_or_else(|| self.name.clone(), |org| format!("{org}/{}", self.name))
    }
}

/// One model. The entity tag of the answer may stand in `If-Match` of an upload.
#[utoipa::path(get, path = "/api/v1/models/{org}/{name}", tag = "models", params(("org" = String, Path), ("name" = String, Path)), responses((status = 200, body = ModelDetail), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[routes]
#[get("/api/v1/models/{org}/{name}")]
#[get("/api/v1/models/{name}")]
pub async fn get_model(
    request: HttpRequest,
    registry: Seen,
    path: web::Path<ModelPath>,
) -> Result<HttpResponse> {
    if let Some(row) = registry.store.model_by_id(&path.id()).await? {
        return detail(&registry, row).await;
    }
    // `/models/gpt2/files` has the shape of `/models/{org}/{name}`; a model of that very name goes first.
    match (path.org.as_deref(), path.name.as_str()) {
        (Some(bare), "files") => files_of(&registry, bare, &asked(&request)?).await,
        (Some(bare), "tensors") => tensors_of(&registry, bare, &asked(&request)?).await,
        (Some(bare), "manifest") => manifest_of(&request, &registry, (bare, &asked(&request)?)).await,
        (Some(bare), "provenance") => provenance_of(&registry, (bare, &asked(&request)?)).await,
        (Some(bare), "advisories") => advisories_of(&registry, bare).await,
        (Some(bare), "advisories.atom") => feed_of(&request, &registry, (bare, "atom")).await,
        (Some(bare), "advisories.json") => feed_of(&request, &registry, (bare, "json")).await,
        (Some(bare), "edges") => edges_of(&registry, bare).await,
        (Some(bare), "children") => children_of(&registry, bare, &asked(&request)?).await,
        (Some(bare), "descendants") => descendants_of(&registry, bare, &asked(&request)?).await,
        (Some(bare), "siblings") => siblings_of(&registry, bare, &asked(&request)?).await,
        (Some(bare), "lineage") => lineage_of(&request, &registry, (bare, &asked(&request)?)).await,
        (Some(bare), "licence") => licence_of(&registry, bare).await,
        (Some(bare), "versions") => versions_of(&registry, bare).await,
        (Some(bare), "relatives") => relatives_of(&registry, bare, &asked(&request)?).await,
        (Some(bare), "merge-suggestions") => suggestions_of(&registry, bare, &asked(&request)?).await,
        _ => Err(Problem::not_found(format!("model `{}`", path.id()))),
    }
}

fn asked<T: DeserializeOwned + IntoParams>(request: &HttpRequest) -> Result<T> {
    query::read(request.query_string())
}

async fn detail(registry: &Registry, row: ModelRow) -> Result<HttpResponse> {
    let edges = registry.store.edges_of(row.id).await?;
    let ids: Vec<i64> = edges.iter().map(|edge| edge.parent).collect();
    let known = registry.store.models_by_ids(&ids).await?;
    let mut verdicts = registry.store.verdicts_of(&[row.id]).await?;
    let parents = edges
        .into_iter()
        .map(|edge| {
            let parent = known.iter().find(|row| row.id == edge.parent);
            ParentView {
                id: parent.map_or_else(|| edge.as_written.clone(), |row| row.name.clone()),
                ghost: parent.is_none_or(|row| row.ghost),
                as_written: edge.as_written,
                relation: edge.relation,
                status: edge.status.as_str().to_owned(),
                evidence: edge.evidence,
                verdict: verdicts
                    .extract_if(.., |row| row.parent == edge.parent)
                    .next()
                    .map(VerdictView::from),
            }
        })
        .collect();
    let forest = registry.forests.current().await?;
    let children: serde_json::Map<String, serde_json::Value> = forest
        .child_counts(row.id)
        .into_iter()
        .map(|(relation, count)| (relation.to_string(), count.into()))
        .collect();
    let recipe = match row.revision {
        Some(revision) => registry.store.recipe_of(revision).await?,
        None => None,
    };
    let state = state_of(registry, &row).await?;
    let evaluations = match row.revision {
        Some(revision) => jobs::evaluations(registry, revision).await?,
        None => Vec::new(),
    };
    let detail = ModelDetail {
        evaluations: evaluations.into_iter().map(EvaluationView::from).collect(),
        summary: ModelSummary::from(&row),
        parents,
        children: children.into(),
        notes: jobs::notes(registry, &row).await?,
        newest_version: jobs::newest_version(registry, &row).await?,
        recipe,
        author: row.author,
        sha: row.sha,
        last_modified: row.last_modified,
        model_type: row.model_type,
        tags: row.tags,
        languages: row.languages,
        datasets: row.datasets,
        new_version: row.new_version,
        card: row.card,
        config: row.config,
    };
    let mut answer = HttpResponse::Ok().json(detail);
    if let Some(state) = state {
        answer.extensions_mut().insert(http::State(state));
    }
    Ok(answer)
}

/// The commit of `main` that shows what a model is, by which a write names the state it was made for; none for a model of
/// which only metadata is known.
pub async fn state_of(registry: &Registry, row: &ModelRow) -> Result<Option<String>> {
    let head = registry.store.commit(row.id, store::MAIN).await?;
    Ok(head.filter(|head| Some(head.revision) == row.revision).map(|head| head.oid))
}
