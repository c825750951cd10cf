//! Search results with filters; the address holds the whole state.

use actix_web::HttpRequest;
use askama::Template;
use domain::Relation;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    view::{SearchPage, SearchQuery, Sort, encoded},
};

const PAGE: u32 = 30;

#[derive(Template)]
#[template(path = "pages/models.html")]
struct Page {
    search: String,
    org: String,
    license: String,
    pipeline_tag: String,
    library: String,
    relations: Vec<(Relation, bool)>,
    weights: &'static str,
    sorts: Vec<(&'static str, &'static str, bool)>,
    filtered: bool,
    page: SearchPage,
    first: bool,
    next: Option<String>,
}

/// `GET /models?search=&org=&license=&pipeline_tag=&library=&relation=&weights=&sort=&cursor=`
pub async fn list(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let own = |key: &str| asked.get(key).map(str::to_owned);
    let query = SearchQuery {
        text: own("search"),
        org: own("org").or_else(|| own("author")),
        license: own("license"),
        pipeline_tag: own("pipeline_tag"),
        library: own("library"),
        relation: asked.get("relation").and_then(|word| word.parse().ok()),
        has_weights: match asked.get("weights") {
            Some("yes") => Some(true),
            Some("no") => Some(false),
            _ => None,
        },
        sort: Sort::read(asked.get("sort").unwrap_or_default()),
        cursor: own("cursor"),
        limit: PAGE,
    };
    let page = source.search(&query).await?;
    let next = page.next.as_deref().map(|cursor| address(&asked, cursor));
    let filters = ["org", "license", "pipeline_tag", "library", "relation", "weights"];
    Ok(answer::ok(&Page {
        search: asked.text("search"),
        org: query.org.clone().unwrap_or_default(),
        license: asked.text("license"),
        pipeline_tag: asked.text("pipeline_tag"),
        library: asked.text("library"),
        relations: Relation::ALL.map(|relation| (relation, query.relation == Some(relation))).to_vec(),
        weights: query.has_weights.map_or("", |has| if has { "yes" } else { "no" }),
        sorts: Sort::ALL.map(|(sort, word, label)| (word, label, sort == query.sort)).to_vec(),
        filtered: filters.iter().any(|key| asked.get(key).is_some()),
        first: query.cursor.is_none(),
        page,
        next,
    }))
}

fn address(asked: &Asked, cursor: &str) -> String {
    let keys = ["search", "org", "license", "pipeline_tag", "library", "relation", "weights", "sort"];
    let mut pairs: Vec<String> = keys
        .iter()
        .filter_map(|key| asked.get(key).map(|value| format!("{key}={}", encoded(value))))
        .collect();
    pairs.push(format!("cursor={}", encoded(cursor)));
    format!("/models?{}", pairs.join("&"))
}
