//! Search results and suggestions as the pages show them.

use std::cmp::Reverse;

use ::web::{
    Failure,
    view::{FACETS, FacetGroup, Found, Name, SearchPage, SearchQuery, Sort},
};
use analysis::catalogue::{Facet, Order, SIZES};
use domain::{Class, Digest, Relation};
use jobs::{FindQuery, Finds, Registry};
use store::{ModelRow, VerdictWord};

use super::{Result, count};

/// Values listed of each facet.
const VALUES: usize = 10;
/// Names suggested.
const NAMES: usize = 8;
/// Names among which the root of a large family is looked for.
const LOOKED_AT: usize = 100;

/// Refuses a value that a facet of few values does not have.
fn known((facet, value): &(Facet, String)) -> Result<()> {
    let words: Vec<&str> = match facet {
        Facet::Relation => Relation::ALL.map(Relation::as_str).to_vec(),
        Facet::Size => SIZES.map(|(word, _)| word).to_vec(),
        Facet::Weights | Facet::Kinship => vec!["yes", "no"],
        _ => return Ok(()),
    };
    let spelt = *facet == Facet::Relation && value.parse::<Relation>().is_ok();
    if spelt || words.iter().any(|word| word.eq_ignore_ascii_case(value)) {
        return Ok(());
    }
    let told = format!("`{value}` is no {}; use one of {}.", facet.as_str(), words.join(", "));
    Err(Failure::new(Class::Invalid, "invalid_request", told))
}

fn facet(word: &str) -> Option<Facet> {
    Facet::ALL.into_iter().find(|facet| facet.as_str() == word)
}

/// One page of results.
pub async fn page(registry: &Registry, query: &SearchQuery) -> Result<SearchPage> {
    let picks = query.picks.iter().filter_map(|(word, value)| Some((facet(word)?, value.clone())));
    let picks: Vec<(Facet, String)> = picks.collect();
    picks.iter().try_for_each(known)?;
    let wanted = FindQuery {
        text: query.text.clone(),
        org: query.org.clone(),
        tags: query.tags.clone(),
        picks,
        order: match query.sort {
            Sort::Downloads | Sort::Kinship => Order::Downloads,
            Sort::Created => Order::Created,
            Sort::Likes => Order::Likes,
            Sort::Parameters => Order::Parameters,
            Sort::Name => Order::Name,
        },
        pin: query.pin.clone().filter(|_| query.sort == Sort::Kinship),
        cursor: query.cursor.clone(),
        limit: u64::from(query.limit).clamp(1, registry.limits.page_max),
        values: VALUES,
        ..FindQuery::default()
    };
    let text = query.text.as_deref().unwrap_or_default().trim();
    let mut near = Vec::new();
    let found = match (query.tensor(), text.parse::<Digest>()) {
        (Some(tensor), _) => {
            let place = (query.cursor.as_deref(), wanted.limit);
            let holders = jobs::holders(registry, tensor, place).await?;
            near = holders.near;
            Finds { rows: holders.rows, next: holders.next, ..Finds::default() }
        }
        (None, Ok(digest)) => of_digest(registry, &digest).await?,
        (None, Err(_)) => jobs::find(registry, wanted).await?,
    };
    let ids: Vec<i64> = found.rows.iter().map(|row| row.id).collect();
    let verdicts = registry.store.verdicts_of(&ids).await?;
    // One contradicted claim outweighs what is verified beside it.
    let verified = |id: i64| {
        verdicts.iter().filter(|one| one.child == id).map(|one| one.verdict == VerdictWord::Verified).min()
    };
    let advised = jobs::advised(registry, &ids).await?;
    let forest = registry.forests.current().await.map_err(Failure::from)?;
    let items = found
        .rows
        .iter()
        .map(|row| Found {
            name: Name(row.name.clone()),
            ghost: row.ghost,
            parent: forest.primary_parent(row.id).and_then(|parent| {
                let link = forest.parents(row.id).into_iter().find(|link| link.id == parent)?;
                Some((link.relation, Name(forest.node(parent)?.name.to_owned())))
            }),
            more_parents: forest.parents(row.id).len().saturating_sub(1) as u64,
            parameters: row.parameters.map(count),
            license: row.licence().map(str::to_owned),
            pipeline_tag: row.pipeline_tag.clone(),
            library: row.library.clone(),
            downloads: row.downloads.map(count),
            likes: row.likes.map(count),
            created_at: row.created_at,
            has_weights: row.has_weights,
            verified: verified(row.id),
            advised: advised.contains(&row.id),
            private: row.private,
            gated: row.gated.is_some(),
            kinship: found.kinship.get(&row.id).copied(),
        })
        .collect();
    let group = |counts: analysis::catalogue::FacetCounts| {
        let known = FACETS.into_iter().find(|(word, _)| *word == counts.facet.as_str())?;
        Some(FacetGroup { facet: known.0, values: counts.values, more: counts.more as u64 })
    };
    Ok(SearchPage {
        items,
        next: found.next,
        total: found.total,
        near,
        facets: found.facets.into_iter().filter_map(group).collect(),
    })
}

/// The models that have or had a revision, or a file, of a digest.
async fn of_digest(registry: &Registry, digest: &Digest) -> Result<Finds> {
    let mut ids = registry.store.models_with(digest).await?;
    ids.truncate(usize::try_from(registry.limits.page_max).unwrap_or(usize::MAX));
    let rows = registry.store.light_models(&ids).await?;
    let total = Some(rows.len() as u64);
    Ok(Finds { rows, total, ..Finds::default() })
}

/// Names for what is typed.
pub async fn suggest(registry: &Registry, text: &str) -> Result<Vec<Name>> {
    let mut rows = jobs::typeahead(registry, text, LOOKED_AT).await?;
    let forest = registry.forests.current().await.map_err(Failure::from)?;
    // Who types the name of a family most likely means its root, which need not be what is downloaded most.
    let below = |row: &ModelRow| forest.family_size(row.id);
    let root = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| below(row) > 1)
        .max_by_key(|(at, row)| (below(row), Reverse(*at)));
    if let Some(at) = root.map(|(at, _)| at).filter(|at| *at >= NAMES) {
        let root = rows.remove(at);
        rows.insert(NAMES - 1, root);
    }
    rows.truncate(NAMES);
    Ok(rows.into_iter().map(|row| Name(row.name)).collect())
}
