//! Edges whose parent is dated after the child.

use domain::days_between;

use super::forest::{Forest, Link};

/// A child whose parent was created at least a day after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Late {
    pub child: i64,
    /// The edge to the parent.
    pub link: Link,
    /// Whole days from the child's creation to the parent's.
    pub days: i64,
}

impl Forest {
    /// The edges that dates speak against, those of the last models first; of models before the number `before` alone,
    /// where one is given. What a model hangs by twice is told once.
    pub fn late(&self, before: Option<i64>) -> impl Iterator<Item = Late> + '_ {
        let models = (0..self.len()).rev().map(|place| self.id_at(place));
        let models = models.filter(move |id| before.is_none_or(|before| *id < before));
        models.flat_map(move |child| {
            let created = self.node(child).and_then(|node| node.created_at);
            let parents = created.map(|_| self.parents(child)).unwrap_or_default();
            parents.into_iter().filter_map(move |link| {
                let days = days_between(created?, self.node(link.id)?.created_at?);
                (days > 0).then_some(Late { child, link, days })
            })
        })
    }
}
