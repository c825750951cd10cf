//! Families: trees of models below one root.

use super::{Counts, LicenceClass, Name, Parameters};

/// One family.
#[derive(Debug, Clone, Default)]
pub struct FamilyRow {
    pub root: Name,
    /// The root is only known by name.
    pub ghost: bool,
    /// Members, the root included.
    pub size: u64,
    /// Generations below the root.
    pub depth: u64,
    pub license: Option<String>,
}

impl FamilyRow {
    pub(crate) fn licence_class(&self) -> LicenceClass {
        LicenceClass::of(self.license.as_deref())
    }
}

/// The front page.
#[derive(Debug, Clone, Default)]
pub struct HomePage {
    pub counts: Counts,
    /// The biggest families, largest first.
    pub families: Vec<FamilyRow>,
    /// What was brought in last, newest first.
    pub recent: Vec<RecentRow>,
}

/// A model that was brought in lately.
#[derive(Debug, Clone, Default)]
pub struct RecentRow {
    pub name: Name,
    pub architecture: Option<String>,
    pub parameters: Option<u64>,
    /// Unix seconds.
    pub at: i64,
}

impl RecentRow {
    /// Architecture and number of weights, as far as they are known.
    pub(crate) fn about(&self) -> String {
        let weights = self.parameters.map(|count| format!("{} weights", Parameters(count)));
        self.architecture.iter().cloned().chain(weights).collect::<Vec<_>>().join(", ")
    }
}
