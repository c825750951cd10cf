//! Finding models: the list with filters and counts, and names for what is typed.

use actix_web::{HttpRequest, HttpResponse, get};
use analysis::catalogue::{Facet, Order, SIZES};
use domain::{Item, Relation};
use http::{Problem, Result};
use jobs::{FindQuery, Registry};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema, openapi::schema::Object};

use crate::{
    hub,
    models::ModelSummary,
    paging::{page_length, page_size},
    query::Query,
    schema::one_of,
    seen::Seen,
};

/// Values listed of each facet.
const VALUES: usize = 50;

/// How many models have a value.
#[derive(Debug, Serialize, ToSchema)]
pub struct FacetValue {
    pub value: String,
    pub count: u64,
}

/// One side of the models found, the most frequent values first.
#[derive(Debug, Serialize, ToSchema)]
pub struct FacetView {
    /// The parameter that narrows by it: relation, architecture, size, dtype, license, task, library, weights or kinship.
    pub facet: String,
    /// At most 50; each counts the models that pass all other parameters and have this value.
    pub values: Vec<FacetValue>,
}

/// A page of models.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelPage {
    pub items: Vec<ModelSummary>,
    /// Pass as `cursor` for the next page.
    pub next: Option<String>,
    /// Models on all pages; null for a moment after a start, and with `tensor`.
    pub total: Option<u64>,
    /// With `tensor`, where no model holds it: the nearest names that some model holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<String>,
    /// With `sort=kinship`: about the cosine of each item's weights with those of the pinned model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinship: Option<Vec<Option<f32>>>,
    /// Where `facets=true` asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facets: Option<Vec<FacetView>>,
}

/// Search filters; all optional.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ModelFilter {
    /// Words that all occur in the name.
    pub search: Option<String>,
    /// Organisation or user.
    pub author: Option<String>,
    /// Tags, languages, tasks or libraries, with commas between; a model has all of them.
    pub tag: Option<String>,
    pub license: Option<String>,
    /// `model_type` of the configuration, such as `llama`.
    pub architecture: Option<String>,
    /// The Hub's `pipeline_tag`.
    pub task: Option<String>,
    /// The same as `task`.
    pub pipeline_tag: Option<String>,
    pub library: Option<String>,
    /// Models that are a child by this relation.
    #[param(schema_with = relations)]
    pub relation: Option<String>,
    /// Number format of most weights, such as BF16.
    pub dtype: Option<String>,
    /// How many weights, from under-100m to over-40b.
    #[param(schema_with = sizes)]
    pub size: Option<String>,
    /// yes or no: whether the weights are stored here.
    #[param(schema_with = yes_or_no)]
    pub weights: Option<String>,
    /// The same as `weights`, as true or false.
    pub has_weights: Option<bool>,
    /// yes or no: whether kinship is answered from stored sketches.
    #[param(schema_with = yes_or_no)]
    pub kinship: Option<String>,
    /// Models that hold a tensor of this name, the latest first; goes with `limit` and `cursor` alone.
    pub tensor: Option<String>,
    /// The model that `sort=kinship` goes by: models of its layout with stored sketches, nearest first, at most 1,000.
    pub pin: Option<String>,
    /// downloads by default; kinship goes with `pin`.
    #[param(schema_with = orders)]
    pub sort: Option<String>,
    /// Whether to count the values of every facet.
    pub facets: Option<bool>,
    /// 1 to 100, default 20.
    pub limit: Option<u64>,
    pub cursor: Option<String>,
}

fn relations() -> Object {
    one_of(Relation::WORDS)
}

fn sizes() -> Object {
    one_of(SIZES.map(|(word, _)| word))
}

fn yes_or_no() -> Object {
    one_of(["yes", "no"])
}

fn orders() -> Object {
    one_of(Order::ALL.map(Order::as_str).into_iter().chain(["kinship"]))
}

fn order(word: Option<&str>) -> Result<Order> {
    let Some(word) = word else { return Ok(Order::default()) };
    Order::ALL.into_iter().find(|order| order.as_str() == word).ok_or_else(|| {
        let known = Order::ALL.map(Order::as_str).join(", ");
        Problem::bad_request(format!("cannot sort by `{word}`; use one of {known}"))
    })
}

/// The values of facets that a request asks for, checked where there are few.
fn picks(filter: &ModelFilter) -> Result<Vec<(Facet, String)>> {
    let relation = filter.relation.as_deref().map(str::parse::<Relation>);
    let relation = relation.transpose().map_err(Problem::bad_request)?;
    let sizes = SIZES.map(|(word, _)| word);
    if let Some(word) = filter.size.as_deref().filter(|word| !sizes.contains(word)) {
        return Err(Problem::bad_request(format!("`{word}` is no size; use one of {}", sizes.join(", "))));
    }
    let weights = match (filter.weights.as_deref(), filter.has_weights) {
        (None, None) => None,
        (Some("yes"), _) | (None, Some(true)) => Some("yes".to_owned()),
        (Some("no"), _) | (None, Some(false)) => Some("no".to_owned()),
        (Some(other), _) => {
            return Err(Problem::bad_request(format!("weights is yes or no, not `{other}`")));
        }
    };
    if let Some(word) = filter.kinship.as_deref().filter(|word| !matches!(*word, "yes" | "no")) {
        return Err(Problem::bad_request(format!("kinship is yes or no, not `{word}`")));
    }
    let all = [
        (Facet::Relation, relation.map(|relation| relation.to_string())),
        (Facet::Architecture, filter.architecture.clone()),
        (Facet::Size, filter.size.clone()),
        (Facet::Dtype, filter.dtype.clone()),
        (Facet::Licence, filter.license.clone()),
        (Facet::Task, filter.task.clone().or_else(|| filter.pipeline_tag.clone())),
        (Facet::Library, filter.library.clone()),
        (Facet::Weights, weights),
        (Facet::Kinship, filter.kinship.clone()),
    ];
    Ok(all
        .into_iter()
        .filter_map(|(facet, value)| Some((facet, value?)))
        .filter(|(_, value)| !value.is_empty())
        .collect())
}

/// What a request looks for, without the counts of facets.
pub(crate) fn wanted(registry: &Registry, filter: ModelFilter) -> Result<FindQuery> {
    let by_kinship = filter.sort.as_deref() == Some("kinship");
    if by_kinship != filter.pin.is_some() {
        let told = "`sort=kinship` goes with `pin`, the model that it is sorted by";
        return Err(Problem::bad_request(told));
    }
    let tags =
        filter.tag.iter().flat_map(|tags| tags.split(',')).map(str::trim).filter(|tag| !tag.is_empty());
    Ok(FindQuery {
        picks: picks(&filter)?,
        tags: tags.map(str::to_owned).collect(),
        order: order(filter.sort.as_deref().filter(|_| !by_kinship))?,
        pin: filter.pin.filter(|_| by_kinship),
        limit: page_size(registry, filter.limit)?,
        text: filter.search,
        org: filter.author,
        cursor: filter.cursor,
        ..FindQuery::default()
    })
}

/// List or search models.
#[utoipa::path(tag = "models", params(ModelFilter), responses((status = 200, body = ModelPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models")]
pub async fn list_models(
    request: HttpRequest,
    registry: Seen,
    filter: Query<ModelFilter>,
) -> Result<HttpResponse> {
    let filter = filter.into_inner();
    if let Some(tensor) = &filter.tensor {
        return holders(&request, &registry, (tensor, &filter)).await;
    }
    let counted = filter.facets == Some(true);
    let by_kinship = filter.sort.as_deref() == Some("kinship");
    let query = wanted(&registry, filter)?;
    let query = FindQuery { values: if counted { VALUES } else { 0 }, ..query };
    let found = jobs::find(&registry, query).await?;
    let facets = found.facets.into_iter().map(|counts| FacetView {
        facet: counts.facet.as_str().to_owned(),
        values: counts.values.into_iter().map(|(value, count)| FacetValue { value, count }).collect(),
    });
    let kinship =
        by_kinship.then(|| found.rows.iter().map(|row| found.kinship.get(&row.id).copied()).collect());
    let page = ModelPage {
        items: found.rows.iter().map(ModelSummary::from).collect(),
        next: found.next,
        total: found.total,
        near: Vec::new(),
        kinship,
        facets: counted.then(|| facets.collect()),
    };
    Ok(hub::page(&request, &page, page.next.as_deref()))
}

/// Models that hold a tensor.
async fn holders(
    request: &HttpRequest,
    registry: &Registry,
    (tensor, filter): (&str, &ModelFilter),
) -> Result<HttpResponse> {
    let alone = |part: &str| {
        let key = part.split('=').next().unwrap_or_default();
        matches!(key, "" | "tensor" | "limit" | "cursor")
    };
    if let Some(other) = request.query_string().split('&').find(|part| !alone(part)) {
        let told = format!("`tensor` goes with `limit` and `cursor` alone, not with `{other}`");
        return Err(Problem::bad_request(told));
    }
    let limit = page_size(registry, filter.limit)?;
    let found = jobs::holders(registry, tensor, (filter.cursor.as_deref(), limit)).await?;
    let page = ModelPage {
        items: found.rows.iter().map(ModelSummary::from).collect(),
        next: found.next,
        total: None,
        near: found.near,
        kinship: None,
        facets: None,
    };
    Ok(hub::page(request, &page, page.next.as_deref()))
}

/// What is typed so far.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Typed {
    /// The beginning or a part of a name; needed, by this name or as `q`.
    pub search: Option<String>,
    /// The same by another name.
    pub q: Option<String>,
    /// 1 to 100, default 10.
    pub limit: Option<u64>,
}

/// Models whose names begin with a text, then those that hold it; the most downloaded first.
#[utoipa::path(tag = "models", params(Typed), responses((status = 200, body = Vec<ModelSummary>), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/typeahead")]
pub async fn typeahead(registry: Seen, typed: Query<Typed>) -> Result<HttpResponse> {
    let most = page_length(&registry, typed.limit.or(Some(10)))?;
    let Some(text) = typed.search.as_deref().or(typed.q.as_deref()) else {
        let message = "`search` is missing".to_owned();
        return Err(Problem::misasked(vec![Item { pointer: "search".to_owned(), message }]));
    };
    let rows = jobs::typeahead(&registry, text, most).await?;
    let found: Vec<ModelSummary> = rows.iter().map(ModelSummary::from).collect();
    Ok(HttpResponse::Ok().json(found))
}
