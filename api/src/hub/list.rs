//! `GET /api/models`: search as the Hub's clients ask for it.

use actix_web::{HttpRequest, HttpResponse, get};
use analysis::catalogue::{Facet, Order};
use domain::Relation;
use http::{Problem, Result};
use jobs::FindQuery;
use serde_json::{Value, json};

use super::{
    answer::{self, page},
    info::{card_data, config_of, fields, only, parents, summary, tags},
};
use crate::seen::Seen;

/// Search; parameters that this registry has no answer for are left out of account, as the Hub does.
#[get("/api/models")]
pub async fn list_models(request: HttpRequest, registry: Seen) -> Result<HttpResponse> {
    let asked = answer::query(&request);
    let one = |name: &str| asked.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let named = |name: &str| one(name).filter(|value| !value.is_empty());
    let all = |name: &str| -> Vec<String> {
        let values = asked.iter().filter(|(key, _)| key == name);
        values.flat_map(|(_, value)| value.split(',')).map(|value| value.trim().to_owned()).collect()
    };
    let wanted = fields(&all("expand"))?;
    let max = registry.limits.page_max;
    let limit = match one("limit").map(|text| text.parse::<u64>()) {
        None => max,
        Some(Ok(limit)) if limit > 0 => limit.min(max),
        Some(_) => return Err(Problem::bad_request("`limit` is a number from 1 on")),
    };
    let mut query = FindQuery {
        text: one("search"),
        org: named("author"),
        picks: named("pipeline_tag").map(|task| (Facet::Task, task)).into_iter().collect(),
        order: order(one("sort").as_deref())?,
        cursor: one("cursor"),
        limit,
        no_ghosts: true,
        ..FindQuery::default()
    };
    for filter in all("filter").into_iter().filter(|filter| !filter.is_empty()) {
        narrow(&mut query, filter);
    }
    let found = jobs::find(&registry, query).await?;
    let ids: Vec<i64> = found.rows.iter().map(|row| row.id).collect();
    let mut heads = registry.store.heads(&ids).await?;
    let mut parents = parents(&registry, &registry.store.edges_of_many(&ids).await?).await?;
    let asks = |switch: &str, field: &str| {
        one(switch).is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || wanted.iter().any(|name| name == field)
    };
    let (files, cards, configs) =
        (asks("full", "siblings"), asks("cardData", "cardData"), asks("config", "config"));
    // A search leaves configurations where they are.
    let rows = if configs { registry.store.models_by_ids(&ids).await? } else { found.rows };
    let mut items = Vec::new();
    for row in &rows {
        let parents = parents.remove(&row.id).unwrap_or_default();
        let mut told = summary(row);
        let mut set = |name: &str, value: Value| drop(told.insert(name.to_owned(), value));
        if let Some(head) = heads.remove(&row.id) {
            set("sha", head.into());
        }
        set("tags", tags(row, &parents).into());
        if cards {
            set("cardData", card_data(row, &parents).into());
        }
        if let Some(config) = row.config.as_ref().filter(|_| configs) {
            set("config", config_of(config));
        }
        if files {
            let files = match row.revision {
                Some(revision) => registry.store.files(revision).await?,
                None => Vec::new(),
            };
            let names = files.iter().map(|file| json!({ "rfilename": file.path }));
            set("siblings", names.collect());
        }
        items.push(only(told, &wanted));
    }
    Ok(page(&request, &items, found.next.as_deref()))
}

/// Puts one tag of the Hub where this registry keeps what it says.
fn narrow(query: &mut FindQuery, filter: String) {
    let Some((kind, value)) = filter.split_once(':') else { return query.tags.push(filter) };
    match kind {
        "license" => {
            query.picks.retain(|(facet, _)| *facet != Facet::Licence);
            query.picks.push((Facet::Licence, value.to_owned()));
        }
        "base_model" => {
            let typed =
                value.split_once(':').and_then(|(word, id)| Some((word.parse::<Relation>().ok()?, id)));
            query.child_of.push(match typed {
                Some((relation, id)) => (Some(relation), id.to_owned()),
                None => (None, value.to_owned()),
            });
        }
        "dataset" => query.datasets.push(value.to_owned()),
        _ => query.tags.push(filter),
    }
}

fn order(word: Option<&str>) -> Result<Order> {
    Ok(match word {
        None | Some("downloads" | "trendingScore" | "trending_score") => Order::Downloads,
        Some("likes") => Order::Likes,
        Some("createdAt" | "created_at") => Order::Created,
        Some("lastModified" | "last_modified") => Order::Modified,
        Some(other) => {
            return Err(Problem::bad_request(format!(
                "cannot sort by `{other}`; use downloads, likes, createdAt, lastModified or trendingScore"
            )));
        }
    })
}
