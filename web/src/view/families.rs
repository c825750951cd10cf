//! Families: trees of models below one root.

use super::{Counts, LicenceClass, Name};

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
}
