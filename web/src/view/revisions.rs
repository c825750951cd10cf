//! Two revisions of one model.

use super::{CommitView, FieldDiff, Name};

/// Names of one kind that differ in one way.
#[derive(Debug, Clone, Default)]
pub struct NameList {
    pub label: String,
    pub names: Vec<String>,
}

/// What kind of things differ, and how.
#[derive(Debug, Clone, Default)]
pub struct Differing {
    /// Files or Tensors.
    pub what: &'static str,
    pub differing: u64,
    pub same: u64,
    /// Those that are listed, by how they differ.
    pub lists: Vec<NameList>,
}

impl Differing {
    /// How many are listed, where that is not all.
    pub(crate) fn cut(&self) -> Option<u64> {
        let listed = self.lists.iter().map(|list| list.names.len() as u64).sum();
        (listed < self.differing).then_some(listed)
    }
}

/// The comparison of two revisions.
#[derive(Debug, Clone, Default)]
pub struct RevisionsPage {
    pub name: Name,
    pub from: CommitView,
    pub to: CommitView,
    /// How far the change reaches, in one sentence.
    pub verdict: String,
    /// Parts that changed, and how.
    pub changes: Vec<(String, String)>,
    /// Keys of the configuration that differ.
    pub config: Vec<FieldDiff>,
    pub parts: Vec<Differing>,
}

impl RevisionsPage {
    pub(crate) fn ends(&self) -> [(&'static str, &CommitView); 2] {
        [("From", &self.from), ("To", &self.to)]
    }

    /// The way back.
    pub(crate) fn swapped(&self) -> String {
        self.name.revisions((&self.to.oid, &self.from.oid))
    }
}
