//! The children of a model, page by page, by name and by what they can be narrowed to.

use std::cmp::Reverse;

use super::{
    forest::{Forest, Link},
    sieve::Sieve,
};

/// Which children.
#[derive(Debug, Clone, Default)]
pub struct KinQuery {
    pub sieve: Sieve,
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
        let rank =
            |link: &Link| (self.node(link.id).and_then(|node| node.downloads).unwrap_or_default(), link.id);
        if text.is_empty() && self.veils_nothing() {
            return self.plain_kin(id, query);
        }
        let wanted = |link: &Link| {
            self.node(link.id).is_some_and(|node| {
                query.sieve.passes(node, Some(link.relation)) && node.name.to_lowercase().contains(&text)
            })
        };
        let mut links = self.links(id, petgraph::Direction::Outgoing);
        links.retain(wanted);
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

    /// As [`Self::kin`], without one of the children.
    pub fn kin_but(&self, id: i64, query: &KinQuery, left_out: i64) -> Kin {
        let mut kin = self.kin(id, &KinQuery { limit: query.limit + 1, ..query.clone() });
        let text = query.text.to_lowercase();
        let counted = self.links(id, petgraph::Direction::Outgoing).into_iter().any(|link| {
            link.id == left_out
                && self.node(link.id).is_some_and(|node| {
                    query.sieve.passes(node, Some(link.relation)) && node.name.to_lowercase().contains(&text)
                })
        });
        kin.total -= u64::from(counted);
        let full = kin.links.len();
        kin.links.retain(|link| link.id != left_out);
        let more = kin.next.is_some() || (full == kin.links.len() && full > query.limit);
        kin.links.truncate(query.limit);
        let last = kin.links.last().map(|link| (self.downloads(link), link.id));
        kin.next = last.filter(|_| more);
        kin
    }

    /// As [`Self::kin`] without a text, from the ranks of the children.
    fn plain_kin(&self, id: i64, query: &KinQuery) -> Kin {
        let none = Kin { links: Vec::new(), total: 0, next: None };
        let Some(at) = self.place(id) else { return none };
        let mut links = Vec::new();
        let (own, others) = (self.own_children(at), self.other_children(at));
        let mut total = 0;
        if query.sieve.is_empty() {
            total += own.len() + others.len();
            self.take_page(&mut links, (own, |edge| self.to_child(*edge)), query);
            self.take_page(&mut links, (others, |edge| self.to_child(*edge)), query);
        } else {
            let own = self.passing_children(at, &query.sieve);
            let others = self.ranked_links(others, usize::MAX, |link| {
                self.node(link.id).is_some_and(|node| query.sieve.passes(node, Some(link.relation)))
            });
            total += own.len() + others.len();
            self.take_page(&mut links, (&own, |place| self.to_place(*place)), query);
            self.take_page(&mut links, (&others, |link| Some(*link)), query);
        }
        let rank = |link: &Link| (self.downloads(link), link.id);
        links.sort_unstable_by_key(|link| Reverse(rank(link)));
        let more = links.len() > query.limit;
        links.truncate(query.limit);
        let next = links.last().filter(|_| more).map(rank);
        Kin { links, total: total as u64, next }
    }

    fn downloads(&self, link: &Link) -> i64 {
        self.node(link.id).and_then(|node| node.downloads).unwrap_or_default()
    }

    /// Takes from ranked children what may stand on a page: of those with as many downloads as the last of it all are
    /// looked at, as the ranks put them by name.
    fn take_page<T>(
        &self,
        links: &mut Vec<Link>,
        (ranked, of): (&[T], impl Fn(&T) -> Option<Link>),
        query: &KinQuery,
    ) {
        let begin = query.after.map_or(0, |(most, _)| {
            ranked.partition_point(|child| of(child).is_some_and(|link| self.downloads(&link) > most))
        });
        let (mut taken, mut least) = (0, 0);
        for link in ranked[begin..].iter().filter_map(of) {
            let downloads = self.downloads(&link);
            if taken > query.limit && downloads < least {
                break;
            }
            if query.after.is_none_or(|after| (downloads, link.id) < after) {
                (taken, least) = (taken + 1, downloads);
                links.push(link);
            }
        }
    }
}
