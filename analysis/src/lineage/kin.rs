//! The children of a model, page by page, by relation and by name.

use std::cmp::Reverse;

use domain::Relation;
use petgraph::graph::EdgeIndex;

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
        if text.is_empty() && query.relation.is_none() && self.veils_nothing() {
            return self.plain_kin(id, query);
        }
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

    /// As [`Self::kin`] of all children, from their ranks: of those with as many downloads as the last of the page all
    /// are looked at, as the ranks put them by name.
    fn plain_kin(&self, id: i64, query: &KinQuery) -> Kin {
        let none = Kin { links: Vec::new(), total: 0, next: None };
        let Some(at) = self.place(id) else { return none };
        let downloads = |link: &Link| self.node(link.id).map_or(0, |node| node.downloads);
        let rank = |link: &Link| (downloads(link), link.id);
        let (mut links, mut total) = (Vec::new(), 0);
        for edges in [self.own_children(at), self.other_children(at)] {
            total += edges.len() as u64;
            let of = |edge: &EdgeIndex| self.to_child(*edge);
            let begin = query.after.map_or(0, |(most, _)| {
                edges.partition_point(|edge| of(edge).is_some_and(|link| downloads(&link) > most))
            });
            let (mut taken, mut least) = (0, 0);
            for link in edges[begin..].iter().filter_map(of) {
                if taken > query.limit && downloads(&link) < least {
                    break;
                }
                if query.after.is_none_or(|after| rank(&link) < after) {
                    (taken, least) = (taken + 1, downloads(&link));
                    links.push(link);
                }
            }
        }
        links.sort_unstable_by_key(|link| Reverse(rank(link)));
        let more = links.len() > query.limit;
        links.truncate(query.limit);
        let next = links.last().filter(|_| more).map(rank);
        Kin { links, total, next }
    }
}
