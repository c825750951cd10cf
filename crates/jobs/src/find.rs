//! Finding models through the index, or through the database while there is none yet; and by kinship to one of them.

use std::collections::HashMap;

use analysis::{
    catalogue::{After, Answer, Facet, FacetCounts, Filter, Order, Wanted},
    lineage::addressed,
};
use domain::Relation;
use store::{ModelRow, SearchQuery, Sort};

use crate::{Error, Registry, pinned};

/// Names that may have been meant.
const NEAR: usize = 8;

/// What to find.
#[derive(Debug, Clone, Default)]
pub struct FindQuery {
    /// Words that all occur in the name.
    pub text: Option<String>,
    pub org: Option<String>,
    /// Values of facets, at most one of each.
    pub picks: Vec<(Facet, String)>,
    /// Tags that the model has, all of them; a library, a task or a language counts as one.
    pub tags: Vec<String>,
    /// Datasets that the model names, all of them.
    pub datasets: Vec<String>,
    /// Parents that the model has, all of them; by this relation where one is given.
    pub child_of: Vec<(Option<Relation>, String)>,
    /// Whether files are only for those who were let in.
    pub gated: Option<bool>,
    /// The least and the most weights.
    pub parameters: (Option<i64>, Option<i64>),
    /// Only models that are more than a name.
    pub no_ghosts: bool,
    pub order: Order,
    /// Orders by kinship to this model instead, and leaves out models of another layout or without sketches.
    pub pin: Option<String>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    pub limit: u64,
    /// Values listed of each facet.
    pub values: usize,
}

/// A page of models.
#[derive(Debug, Clone, Default)]
pub struct Finds {
    pub rows: Vec<ModelRow>,
    pub next: Option<String>,
    /// Models on all pages; unknown until the index is there.
    pub total: Option<u64>,
    /// Empty until the index is there.
    pub facets: Vec<FacetCounts>,
    /// By number, the cosine with the model that the order goes by, where it goes by kinship.
    pub kinship: HashMap<i64, f32>,
}

impl FindQuery {
    fn picked(&self, facet: Facet) -> Option<String> {
        self.picks.iter().find(|(known, _)| *known == facet).map(|(_, value)| value.clone())
    }

    /// The same question to the database, which knows fewer facets and orders.
    fn plain(&self) -> SearchQuery {
        SearchQuery {
            text: self.text.clone(),
            org: self.org.clone(),
            license: self.picked(Facet::Licence),
            pipeline_tag: self.picked(Facet::Task),
            library: self.picked(Facet::Library),
            relation: self.picked(Facet::Relation).and_then(|word| word.parse().ok()),
            has_weights: self.picked(Facet::Weights).map(|word| word == "yes"),
            tags: self.tags.clone(),
            datasets: self.datasets.clone(),
            child_of: self.child_of.clone(),
            gated: self.gated,
            parameters: self.parameters,
            no_ghosts: self.no_ghosts,
            sort: match self.order {
                Order::Downloads | Order::Parameters => Sort::Downloads,
                Order::Created => Sort::Created,
                Order::Modified => Sort::Modified,
                Order::Likes => Sort::Likes,
                Order::Name => Sort::Name,
            },
            cursor: self.cursor.clone(),
            limit: self.limit,
        }
    }

    /// Whether only the database can answer: the index leaves out what nearly every model has, and what hardly anybody
    /// asks for.
    fn needs_rows(&self) -> bool {
        !self.datasets.is_empty()
            || self.gated.is_some()
            || self.parameters != (None, None)
            || self.tags.iter().any(|tag| tag.starts_with("region:"))
    }

    /// Whether only the index can answer.
    fn needs_index(&self) -> bool {
        let narrow = |(facet, _): &(Facet, String)| {
            matches!(facet, Facet::Architecture | Facet::Size | Facet::Dtype | Facet::Kinship)
        };
        self.pin.is_some() || self.order == Order::Parameters || self.picks.iter().any(narrow)
    }
}

/// One page of models with the counts of every facet.
///
/// # Errors
/// [`store::Error::BadCursor`], [`store::Error::SearchTooLong`]; [`Error::IndexPending`] where only the index could
/// answer; when the database cannot be read.
pub async fn find(registry: &Registry, mut query: FindQuery) -> Result<Finds, Error> {
    query.text = query.text.map(bare);
    let plain = query.plain();
    plain.fits(&registry.limits)?;
    let most = registry.limits.search_bytes;
    if let Some((_, value)) = query.picks.iter().find(|(_, value)| value.len() > most) {
        let given = value.len();
        return Err(store::Error::SearchTooLong { given, unit: "bytes", most, limit: "search_bytes" }.into());
    }
    let index = registry.catalogue.current().await?;
    let Some(index) = index.filter(|_| !query.needs_rows() || query.needs_index()) else {
        if query.needs_index() {
            return Err(Error::IndexPending);
        }
        let page = registry.store.search(plain).await?;
        return Ok(Finds { rows: page.items, next: page.next, ..Finds::default() });
    };
    let order = query.order;
    let kin = match &query.pin {
        Some(pin) => Some(pinned::kin_of(registry, (pin, query.cursor.as_deref())).await?),
        None => None,
    };
    let after = match &query.cursor {
        _ if kin.is_some() => None,
        None => None,
        Some(cursor) => {
            let bad = || store::Error::BadCursor(cursor.chars().take(120).collect());
            Some(After::read(cursor, order).ok_or_else(bad)?)
        }
    };
    let mut families = Vec::new();
    for (relation, parent) in &query.child_of {
        families.push(children(registry, parent, *relation).await?);
    }
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX).clamp(1, 10_000);
    let only = kin.as_ref().map(|kin| kin.ids());
    let answer = tokio::task::spawn_blocking(move || {
        let filter = Filter::default()
            .text(query.text.as_deref().unwrap_or_default())
            .org(query.org.as_deref())
            .tags(&query.tags);
        let filter =
            query.picks.iter().fold(filter, |filter, (facet, value)| filter.pick(*facet, Some(value)));
        let filter = families.into_iter().fold(filter, Filter::only);
        let filter = only.into_iter().fold(filter, Filter::only);
        let filter = if query.no_ghosts { filter.real() } else { filter };
        let most = if query.pin.is_some() { pinned::MOST } else { limit };
        index.search(&filter, &Wanted { order, after, limit: most, values: query.values })
    })
    .await?;
    let Answer { ids, total, next, facets } = answer;
    if let Some(kin) = kin {
        let (ids, next) = kin.page(&ids, limit);
        let rows = registry.store.light_models(&ids).await?;
        return Ok(Finds { rows, next, total: Some(total), facets, kinship: kin.cosines(&ids) });
    }
    let rows = registry.store.light_models(&ids).await?;
    let next = next.map(|after| after.cursor(order));
    Ok(Finds { rows, next, total: Some(total), facets, kinship: HashMap::new() })
}

/// What is looked for: of a pasted address, the model that it is of.
fn bare(text: String) -> String {
    addressed(&text).map_or(text, |of| of.id.to_string())
}

/// The names that may have been meant by one that nobody has, the most fitting first.
///
/// # Errors
/// When the database cannot be read.
pub async fn near_names(registry: &Registry, name: &str) -> Result<Vec<String>, Error> {
    let short = last_part(name);
    let near = match typeahead(registry, short, NEAR).await {
        // A part that is too long for a search has no neighbours.
        Err(Error::Store(store::Error::SearchTooLong { .. })) => Vec::new(),
        near => near?,
    };
    Ok(near.into_iter().map(|row| row.name).filter(|near| domain::alike(short, last_part(near))).collect())
}

fn last_part(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, short)| short)
}

/// The models that somebody declared to be children of `parent`, by this relation where one is given.
async fn children(registry: &Registry, parent: &str, relation: Option<Relation>) -> Result<Vec<i64>, Error> {
    let Some(parent) = registry.store.model_by_id(parent).await? else { return Ok(Vec::new()) };
    Ok(registry.forests.current().await?.declared_children(parent.id, relation))
}

/// The cursor after a child: its downloads and number.
pub fn after_kin((downloads, id): (i64, i64)) -> String {
    format!("{downloads}.{id}")
}

/// The place in a list of children that a cursor names: downloads and number of the last one.
///
/// # Errors
/// [`store::Error::BadCursor`].
pub fn kin_cursor(cursor: &str) -> Result<(i64, i64), Error> {
    let place = cursor.split_once('.').and_then(|(value, id)| Some((value.parse().ok()?, id.parse().ok()?)));
    place.ok_or_else(|| store::Error::BadCursor(cursor.chars().take(120).collect()).into())
}

/// Models whose names begin with a text or hold it, the most fitting first; none while there is no index yet.
///
/// # Errors
/// [`store::Error::SearchTooLong`]; when the database cannot be read.
pub async fn typeahead(registry: &Registry, text: &str, most: usize) -> Result<Vec<ModelRow>, Error> {
    let (text, most) = (bare(text.to_owned()), most.min(100));
    SearchQuery { text: Some(text.clone()), ..SearchQuery::default() }.fits(&registry.limits)?;
    let Some(index) = registry.catalogue.current().await? else { return Ok(Vec::new()) };
    let ids = tokio::task::spawn_blocking(move || index.suggest(&text, most)).await?;
    Ok(registry.store.light_models(&ids).await?)
}
