//! What is known of a namespace: an organisation, a user, or what names have in common.

use super::{Found, Name, encoded};

/// A namespace with its models.
#[derive(Debug, Clone, Default)]
pub struct NamespacePage {
    /// As its models write it.
    pub name: String,
    /// The first of them, those with the most downloads first.
    pub items: Vec<Found>,
    /// How many there are, where that is known.
    pub total: Option<u64>,
    /// Members with their roles; none for whoever may not see them, and where it is no organisation.
    pub members: Option<Vec<(String, &'static str)>>,
    /// Whether there are more members than are listed.
    pub more_members: bool,
}

impl NamespacePage {
    /// All of its models, to be narrowed.
    pub(crate) fn search(&self) -> String {
        format!("/search?author={}", encoded(&self.name))
    }

    /// Whether there are more models than are listed.
    pub(crate) fn more(&self) -> Option<u64> {
        self.total.map(|all| all.saturating_sub(self.items.len() as u64)).filter(|left| *left > 0)
    }

    /// The page of a member.
    pub(crate) fn person(name: &str) -> String {
        Name::from(name).href()
    }
}
