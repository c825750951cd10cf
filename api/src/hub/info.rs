//! One repository as the Hub describes it, with our lineage under a key of its own.

use std::collections::{BTreeMap, HashMap};

use actix_web::HttpResponse;
use domain::{EdgeStatus, Relation};
use http::{Problem, Result};
use jobs::Registry;
use serde_json::{Map, Value, json};
use store::{CommitRow, EdgeRow, FileRow, MAIN, ModelRow, Part};

use super::{
    Answer, Call,
    answer::{self, date, hex_of, sha},
    card, entries,
    stop::Outcome,
};

/// Fields that `expand` may ask for.
const FIELDS: [&str; 31] = [
    "author",
    "baseModels",
    "cardData",
    "childrenModelCount",
    "config",
    "createdAt",
    "disabled",
    "downloads",
    "downloadsAllTime",
    "evalResults",
    "gated",
    "gguf",
    "inference",
    "inferenceProviderMapping",
    "lastModified",
    "library_name",
    "likes",
    "mask_token",
    "model-index",
    "pipeline_tag",
    "private",
    "resourceGroup",
    "safetensors",
    "sha",
    "siblings",
    "spaces",
    "stemma",
    "tags",
    "transformersInfo",
    "usedStorage",
    "widgetData",
];

/// Fields that the front matter of a card has under these names.
pub const FROM_CARD: [(&str, &str); 2] = [("model-index", "model-index"), ("widgetData", "widget")];

/// Fields that are answered by name only, as on the Hub: clients in Rust take them for other types than it gives.
const ON_REQUEST: [&str; 3] = ["baseModels", "childrenModelCount", "evalResults"];

/// Fields the Hub knows and this registry never has.
const NEVER: [&str; 2] = ["trendingScore", "xetEnabled"];

/// The model at `main`.
///
/// # Errors
/// 404; 400 for a field that does not exist.
pub async fn model_info(call: &Call<'_>) -> Outcome {
    describe(call, MAIN).await
}

/// The model at a revision.
///
/// # Errors
/// 404; 400 for a field that does not exist.
pub async fn at_revision(call: &Call<'_>) -> Outcome {
    let revision = call.revision().ok_or_else(|| Problem::bad_request("name a revision"))?;
    describe(call, &revision).await
}

async fn describe(call: &Call<'_>, revision: &str) -> Outcome {
    let row = answer::find(call).await?;
    let wanted = fields(&call.asked("expand"))?;
    let commit = answer::commit_of(call.registry, &row, revision).await?;
    let founded = call.registry.store.founded(&[row.id]).await?.remove(&row.id);
    let mut document = summary(&row, founded);
    details(call.registry, (&row, commit.as_ref()), call.says("blobs"), &mut document).await?;
    if call.says("securityStatus").holds() {
        // This registry has no scanner.
        let status = json!({ "scansDone": false, "filesWithIssues": [] });
        document.insert("securityRepoStatus".to_owned(), status);
    }
    if wanted.is_empty() {
        document.retain(|name, _| !ON_REQUEST.contains(&name.as_str()));
    }
    Ok(HttpResponse::Ok().json(only(document, &wanted)))
}

/// The fields asked for by name; none asks for all.
///
/// # Errors
/// 400 that lists what can be asked for.
pub fn fields(asked: &[String]) -> Result<Vec<String>> {
    let asked: Vec<String> =
        asked.iter().flat_map(|text| text.split(',')).map(|text| text.trim().to_owned()).collect();
    let known = |field: &&String| FIELDS.contains(&field.as_str()) || NEVER.contains(&field.as_str());
    let unknown = asked.iter().filter(|field| !known(field)).map(|field| format!("`{field}`"));
    let unknown: Vec<String> = unknown.collect();
    if !unknown.is_empty() {
        let (unknown, fields) = (unknown.join(", "), FIELDS.join(", "));
        return Err(Problem::bad_request(format!("{unknown} cannot be expanded; expected one of {fields}")));
    }
    Ok(asked)
}

/// A document with nothing but its ids and these fields.
pub fn only(mut document: Map<String, Value>, wanted: &[String]) -> Map<String, Value> {
    if !wanted.is_empty() {
        document.retain(|name, _| matches!(name.as_str(), "_id" | "id") || wanted.contains(name));
    }
    document
}

/// What a list shows of a model; `founded` is when its first commit was made here.
pub fn summary(row: &ModelRow, founded: Option<i64>) -> Map<String, Value> {
    let document = json!({
        "_id": hex_of(&row.name.to_ascii_lowercase(), 24),
        "id": row.name,
        "modelId": row.name,
        "author": row.author.as_ref().or(row.org.as_ref()),
        "private": row.private,
        "gated": row.gated.map_or(Value::Bool(false), |gate| gate.as_str().into()),
        "disabled": false,
        "likes": row.likes.unwrap_or(0),
        "downloads": row.downloads.unwrap_or(0),
        "tags": row.tags,
        "pipeline_tag": row.pipeline_tag,
        "library_name": row.library,
        "createdAt": date(row.created_at.or(founded).unwrap_or(row.ingested_at)),
        "lastModified": date(row.last_modified.unwrap_or(row.ingested_at)),
        "sha": sha(row, None),
    });
    let mut document = if let Value::Object(document) = document { document } else { Map::new() };
    document.retain(|_, value| !value.is_null());
    document
}

async fn details(
    registry: &Registry,
    (row, commit): (&ModelRow, Option<&CommitRow>),
    blobs: Answer,
    document: &mut Map<String, Value>,
) -> Result<()> {
    let files = match commit {
        Some(commit) => registry.store.files(commit.revision).await?,
        None => Vec::new(),
    };
    let edges = registry.store.edges_of(row.id).await?;
    let parents = parents(registry, &edges).await?.remove(&row.id).unwrap_or_default();
    let mut set = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
    set("sha", sha(row, commit).into());
    if let Some(commit) = commit {
        set("lastModified", date(commit.created_at).into());
    }
    let front = match commit {
        Some(commit) => jobs::front_matter(registry, commit.revision).await?,
        None => None,
    };
    let front = front.as_ref();
    set("tags", tags(row, &parents, front).into());
    set("cardData", card::data(row, &parents, front).into());
    for (field, name) in FROM_CARD {
        if let Some(value) = front.and_then(|front| front.get(name)) {
            set(field, value.clone());
        }
    }
    if let Some(config) = &row.config {
        set("config", config_of(config));
    }
    if let Some(commit) = commit {
        let results = jobs::eval_results(registry, commit.revision).await?.into_iter();
        let entry = |(path, data)| json!({ "filename": path, "verified": false, "data": data });
        let entries: Vec<Value> = results.map(entry).collect();
        if !entries.is_empty() {
            set("evalResults", entries.into());
        }
    }
    set("siblings", siblings(registry, (commit, &files), blobs).await?.into());
    set("spaces", json!([]));
    set("usedStorage", files.iter().map(|file| file.size).sum::<u64>().into());
    if let Some(commit) = commit {
        let weights = safetensors(&registry.store.composition(commit.revision).await?);
        weights.into_iter().for_each(|told| set("safetensors", told));
    }
    gguf(row).into_iter().for_each(|told| set("gguf", told));
    transformers(row).into_iter().for_each(|told| set("transformersInfo", told));
    base_models(&parents).into_iter().for_each(|told| set("baseModels", told));
    let mut children: BTreeMap<&str, usize> = BTreeMap::new();
    for (relation, count) in registry.forests.current().await?.child_counts(row.id) {
        *children.entry(relation.hub().as_str()).or_default() += count;
    }
    set("childrenModelCount", json!(&children));
    let edges: Vec<Value> = edges
        .iter()
        .map(|edge| {
            json!({
                "parent": edge.as_written, "relation": edge.relation, "status": edge.status.as_str(),
                "evidence": edge.evidence,
            })
        })
        .collect();
    set(
        "stemma",
        json!({
            "digest": row.digest,
            "parents": edges,
            "children": children,
            "notes": registry.store.notes_of(row.id).await?,
        }),
    );
    Ok(())
}

/// The parents under the relation of the first, as the Hub tells one relation per child.
pub fn base_models(parents: &Parents) -> Option<Value> {
    let (relation, ..) = parents.first()?;
    let same: Vec<Value> = parents
        .iter()
        .filter(|(other, ..)| other == relation)
        .map(|(_, id, _)| json!({ "_id": hex_of(&id.to_ascii_lowercase(), 24), "id": id }))
        .collect();
    Some(json!({ "relation": relation.hub().as_str(), "models": same }))
}

/// The number of weights of a model whose record counts those of its GGUF files; their layout is not kept.
pub fn gguf(row: &ModelRow) -> Option<Value> {
    let has = |tag: &str| row.tags.iter().any(|known| known == tag);
    let counted = has("gguf") && !has("safetensors") && !row.has_weights;
    row.parameters.filter(|_| counted).map(|total| json!({ "total": total }))
}

/// How transformers loads a model of its own, where the name of its architecture tells.
pub fn transformers(row: &ModelRow) -> Option<Value> {
    let class = jobs::auto_class(row.architecture.as_deref()?)?;
    let own = row.library.as_deref() == Some("transformers");
    own.then(|| json!({ "auto_model": class.name, "pipeline_tag": class.task }))
}

/// Accepted parents by how the model descends from them: their present names, and those that the model writes.
pub type Parents = Vec<(Relation, String, String)>;

/// Of several models, by number; hidden parents are left out.
///
/// # Errors
/// When the database cannot be read.
pub async fn parents(registry: &Registry, edges: &[EdgeRow]) -> Result<HashMap<i64, Parents>> {
    let accepted: Vec<&EdgeRow> = edges.iter().filter(|edge| edge.status == EdgeStatus::Accepted).collect();
    let mut ids: Vec<i64> = accepted.iter().map(|edge| edge.parent).collect();
    ids.sort_unstable();
    ids.dedup();
    let known = registry.store.light_models(&ids).await?;
    let known: HashMap<i64, &str> = known.iter().map(|row| (row.id, row.name.as_str())).collect();
    let mut found: HashMap<i64, Parents> = HashMap::new();
    for edge in accepted {
        if let Some(name) = known.get(&edge.parent) {
            let parent = (edge.relation, (*name).to_owned(), edge.as_written.clone());
            found.entry(edge.child).or_default().push(parent);
        }
    }
    Ok(found)
}

/// The model's own tags and those that the Hub derives.
pub fn tags(row: &ModelRow, parents: &Parents, front: Option<&Map<String, Value>>) -> Vec<String> {
    let mut tags = row.tags.clone();
    let mut add = |tag: String| {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    };
    row.library.iter().for_each(|library| add(library.clone()));
    row.pipeline_tag.iter().for_each(|task| add(task.clone()));
    if row.has_weights {
        add("safetensors".to_owned());
    }
    row.languages.iter().for_each(|language| add(language.clone()));
    row.datasets.iter().for_each(|dataset| add(format!("dataset:{dataset}")));
    card::licence_tag(row, front).into_iter().for_each(&mut add);
    for (relation, id, written) in parents {
        for id in [id, written] {
            add(format!("base_model:{id}"));
            add(format!("base_model:{}:{id}", relation.hub().as_str()));
        }
    }
    tags
}

/// The few fields of config.json that the Hub shows.
pub fn config_of(config: &Value) -> Value {
    let shown = ["architectures", "model_type", "quantization_config", "tokenizer_config"];
    let kept = shown.iter().filter_map(|name| Some(((*name).to_owned(), config.get(name)?.clone())));
    Value::Object(kept.collect())
}

async fn siblings(
    registry: &Registry,
    (commit, files): (Option<&CommitRow>, &[FileRow]),
    blobs: Answer,
) -> Result<Vec<Value>> {
    let Some(commit) = commit.filter(|_| blobs.holds()) else {
        return Ok(names_of(files));
    };
    let oids = entries::oids(registry, commit.revision, files).await?;
    let sibling = |file: &FileRow| {
        let mut sibling =
            json!({ "rfilename": file.path, "size": file.size, "blobId": oids.get(&file.path) });
        if let (Some(lfs), Some(object)) = (entries::lfs(file, "sha256"), sibling.as_object_mut()) {
            object.insert("lfs".to_owned(), lfs);
        }
        sibling
    };
    Ok(files.iter().map(sibling).collect())
}

/// Weights by dtype; none for a repository without, since half an answer breaks the client's parser.
pub fn safetensors(parts: &[Part]) -> Option<Value> {
    let parameters = Part::parameters(parts);
    let total = parameters.values().copied().fold(0, u64::saturating_add);
    (!parameters.is_empty()).then(|| json!({ "parameters": parameters, "total": total }))
}

/// The files of a repository, by name alone.
pub fn names_of(files: &[FileRow]) -> Vec<Value> {
    files.iter().map(|file| json!({ "rfilename": file.path })).collect()
}
