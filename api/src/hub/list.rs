//! `GET /api/models`: search as the Hub's clients ask for it.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse, get};
use analysis::catalogue::{Facet, Order};
use domain::Relation;
use http::{Problem, Result};
use jobs::FindQuery;
use serde_json::Value;

use super::{
    answer::{self, page},
    card,
    info::{
        FROM_CARD, base_models, config_of, fields, gguf, names_of, only, parents, safetensors, summary, tags,
        transformers,
    },
};
use crate::seen::Seen;

/// Parameters of the Hub's that nothing stored here answers.
const UNANSWERED: [&str; 3] = ["apps", "inference", "inference_provider"];

/// Search. What nothing stored here answers is refused; parameters that nobody knows are left out of account, as
/// clients add new ones.
#[get("/api/models")]
pub async fn list_models(request: HttpRequest, registry: Seen) -> Result<HttpResponse> {
    let asked = Asked(answer::query(&request));
    let wanted = fields(&asked.all("expand"))?;
    let query = question(&asked, registry.limits.page_max)?;
    let found = jobs::find(&registry, query).await?;
    let ids: Vec<i64> = found.rows.iter().map(|row| row.id).collect();
    let mut heads = registry.store.heads(&ids).await?;
    let mut founded = registry.store.founded(&ids).await?;
    let mut parents = parents(&registry, &registry.store.edges_of_many(&ids).await?).await?;
    let wants = |field: &str| wanted.iter().any(|name| name == field);
    let asks = |switch: &str, field: &str| {
        asked.one(switch).is_some_and(|value| value.eq_ignore_ascii_case("true")) || wants(field)
    };
    let (files, cards, configs) =
        (asks("full", "siblings"), asks("cardData", "cardData"), asks("config", "config"));
    let indexes = FROM_CARD.iter().any(|(field, _)| wants(field));
    // A search leaves configurations where they are.
    let rows = if configs { registry.store.models_by_ids(&ids).await? } else { found.rows };
    let revisions: Vec<i64> = rows.iter().filter_map(|row| row.revision).collect();
    let of = |asked| if asked { revisions.as_slice() } else { &[] };
    let files_of = registry.store.files_of_many(of(files)).await?;
    let weights = registry.store.compositions(of(wants("safetensors"))).await?;
    let fronts = jobs::front_matters(&registry, of(cards || indexes)).await?;
    let mut items = Vec::new();
    for row in &rows {
        let parents = parents.remove(&row.id).unwrap_or_default();
        let mut told = summary(row, founded.remove(&row.id));
        let mut set = |name: &str, value: Value| drop(told.insert(name.to_owned(), value));
        // Told by name only, as on the Hub.
        let weights = row.revision.and_then(|revision| safetensors(weights.get(&revision)?));
        weights.into_iter().for_each(|told| set("safetensors", told));
        gguf(row).filter(|_| wants("gguf")).into_iter().for_each(|told| set("gguf", told));
        let loaded = transformers(row).filter(|_| wants("transformersInfo"));
        loaded.into_iter().for_each(|told| set("transformersInfo", told));
        let bases = base_models(&parents).filter(|_| wants("baseModels"));
        bases.into_iter().for_each(|told| set("baseModels", told));
        if let Some(head) = heads.remove(&row.id) {
            set("sha", head.into());
        }
        let front = row.revision.and_then(|revision| fronts.get(&revision));
        set("tags", tags(row, &parents, front).into());
        if cards {
            set("cardData", card::data(row, &parents, front).into());
        }
        for (field, name) in FROM_CARD {
            if let Some(value) = front.and_then(|front| front.get(name)).filter(|_| indexes) {
                set(field, value.clone());
            }
        }
        if let Some(config) = row.config.as_ref().filter(|_| configs) {
            set("config", config_of(config));
        }
        if files {
            let files = row.revision.and_then(|revision| files_of.get(&revision));
            set("siblings", files.map(|files| names_of(files)).unwrap_or_default().into());
        }
        items.push(only(told, &wanted));
    }
    Ok(page(&request, &items, found.next.as_deref()))
}

/// The parameters of a search.
struct Asked(Vec<(String, String)>);

impl Asked {
    /// The last value of a parameter.
    fn one(&self, name: &str) -> Option<String> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    /// The same where it is not empty.
    fn named(&self, name: &str) -> Option<String> {
        self.one(name).filter(|value| !value.is_empty())
    }

    /// All values of a parameter, those between commas too.
    fn all(&self, name: &str) -> Vec<String> {
        let values = self.0.iter().filter(|(key, _)| key == name);
        values.flat_map(|(_, value)| value.split(',')).map(|value| value.trim().to_owned()).collect()
    }
}

/// What is searched for, on pages of at most `max`.
fn question(asked: &Asked, max: u64) -> Result<FindQuery> {
    if let Some(name) = UNANSWERED.into_iter().find(|name| asked.named(name).is_some()) {
        let told = format!(
            "`{name}` asks for what the Hub's own services run, which this registry knows nothing of"
        );
        return Err(Problem::bad_request(told));
    }
    let limit = match asked.one("limit").map(|text| text.parse::<u64>()) {
        None => max,
        Some(Ok(limit)) if limit > 0 => limit.min(max),
        Some(_) => return Err(Problem::bad_request("`limit` is a number from 1 on")),
    };
    let mut query = FindQuery {
        text: asked.one("search"),
        org: asked.named("author"),
        picks: asked.named("pipeline_tag").map(|task| (Facet::Task, task)).into_iter().collect(),
        order: order(asked.one("sort").as_deref())?,
        gated: asked.named("gated").map(|word| truth("gated", &word)).transpose()?,
        parameters: asked.named("num_parameters").map_or(Ok((None, None)), |text| sizes(&text))?,
        cursor: asked.one("cursor"),
        limit,
        no_ghosts: true,
        ..FindQuery::default()
    };
    let filters: Vec<String> = asked.all("filter").into_iter().filter(|filter| !filter.is_empty()).collect();
    let mut licences = BTreeSet::new();
    for filter in filters {
        match filter.strip_prefix("license:") {
            // A licence with a name of its own is kept by that name, and tagged as the card has it.
            Some(licence) if licence != OTHER => drop(licences.insert(licence.to_ascii_lowercase())),
            _ => narrow(&mut query, filter),
        }
    }
    // A model has one licence here; that it may be used under several, only its tags say.
    match licences.len() {
        1 => query.picks.extend(licences.into_iter().map(|licence| (Facet::Licence, licence))),
        _ => query.tags.extend(licences.into_iter().map(|licence| format!("license:{licence}"))),
    }
    Ok(query)
}

/// The Hub's word for licences that it has no id of.
const OTHER: &str = "other";

/// Puts one tag of the Hub where this registry keeps what it says.
fn narrow(query: &mut FindQuery, filter: String) {
    let Some((kind, value)) = filter.split_once(':') else { return query.tags.push(filter) };
    match kind {
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

fn truth(name: &str, word: &str) -> Result<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Problem::bad_request(format!("`{name}` is true or false, not `{word}`"))),
    }
}

/// The least and the most weights of `min:6B,max:128B`.
fn sizes(text: &str) -> Result<(Option<i64>, Option<i64>)> {
    let bad = || {
        Problem::bad_request(format!(
            "`num_parameters` is written as `min:6B,max:128B` or one half of it, not `{text}`"
        ))
    };
    let mut sizes = (None, None);
    for part in text.split(',').map(str::trim) {
        let (side, size) = part.split_once(':').ok_or_else(bad)?;
        let size = size.trim().to_ascii_uppercase();
        let (digits, unit) = match size.find(|c: char| c.is_ascii_alphabetic()) {
            Some(at) => size.split_at(at),
            None => (size.as_str(), ""),
        };
        let unit = match unit {
            "" => 1.0,
            "K" => 1e3,
            "M" => 1e6,
            "B" => 1e9,
            "T" => 1e12,
            _ => return Err(bad()),
        };
        let count = digits.parse::<f64>().map_err(|_| bad())? * unit;
        if !(0.0..1e18).contains(&count) {
            return Err(bad());
        }
        // Exact: below the largest integer, and nobody writes fractions of a weight.
        let count = Some(count.round() as i64);
        match side.trim() {
            "min" => sizes.0 = count,
            "max" => sizes.1 = count,
            _ => return Err(bad()),
        }
    }
    Ok(sizes)
}

fn order(word: Option<&str>) -> Result<Order> {
    Ok(match word {
        None | Some("downloads") => Order::Downloads,
        Some("trendingScore" | "trending_score") => {
            let told =
                "trending scores are not kept here; sort by downloads, likes, createdAt or lastModified";
            return Err(Problem::bad_request(told));
        }
        Some("likes") => Order::Likes,
        Some("createdAt" | "created_at") => Order::Created,
        Some("lastModified" | "last_modified") => Order::Modified,
        Some(other) => {
            return Err(Problem::bad_request(format!(
                "cannot sort by `{other}`; use downloads, likes, createdAt or lastModified"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::sizes;

    #[test]
    fn numbers_of_weights_are_read_as_the_hub_writes_them() {
        assert_eq!(sizes("min:6B,max:128B").unwrap(), (Some(6_000_000_000), Some(128_000_000_000)));
        assert_eq!(sizes("max:1.5b").unwrap(), (None, Some(1_500_000_000)));
        assert_eq!(sizes("min:0").unwrap(), (Some(0), None));
        assert_eq!(sizes("min:135M").unwrap(), (Some(135_000_000), None));
        for bad in ["6B", "min:", "min:B", "least:6B", "min:6X", "min:-1", "min:6B,", "min:nan", "min:1e30"] {
            assert!(sizes(bad).is_err(), "{bad}");
        }
    }
}
