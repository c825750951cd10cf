//! The children of a model, page by page, by relation and by name.

use std::cmp::Reverse;

use domain::Relation;

use super::forest::{Forest, Link};

/// Which children.
#[derive(Debug, Clone, Default)]
pub struct KinQuery {
    pub relation: Option<Relation>,
    /// A part of the name, in any case.
    pub text: String,
    /// Downloads and number of the last child of the page before.
    pub after: Option<(i64, i64)>,
    pub limit: usize,
}

/// A page of children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kin {
    /// The most downloaded first, then the one that came last.
    pub links: Vec<Link>,
    /// Children on all pages.
    pub total: u64,
    pub next: Option<(i64, i64)>,
}

impl Forest {
    /// One page of a model's children over all edges, merges and proposals included; none for an unknown model.
    pub fn kin(&self, id: i64, query: &KinQuery) -> Kin {
        let text = query.text.to_lowercase();
        let rank = |link: &Link| (self.node(link.id).map_or(0, |node| node.downloads), link.id);
        let holds = |link: &Link| {
            text.is_empty() || self.node(link.id).is_some_and(|node| node.name.to_lowercase().contains(&text))
        };
        let mut links = self.links(id, petgraph::Direction::Outgoing);
        links.retain(|link| query.relation.is_none_or(|relation| link.relation == relation) && holds(link));
        let total = links.len() as u64;
        if let Some(after) = query.after {
            links.retain(|link| rank(link) < after);
        }
        links.sort_unstable_by_key(|link| Reverse(rank(link)));
        let more = links.len() > query.limit;
        links.truncate(query.limit);
        let next = links.last().filter(|_| more).map(rank);
        Kin { links, total, next }
    }
}
