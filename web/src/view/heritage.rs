//! What descent says of a model's licence and version.

use super::Name;

/// An ancestor whose licence asks what the model's drops.
#[derive(Debug, Clone)]
pub struct LicenceConflict {
    pub ancestor: Name,
    pub licence: String,
    pub reason: String,
    /// From the ancestor down to the model.
    pub path: Vec<Name>,
    pub dropped_by: Option<Name>,
}

/// Two parents that each want their own licence carried on.
#[derive(Debug, Clone)]
pub struct LicenceTension {
    pub parents: Vec<Name>,
    pub licences: String,
}

/// A model's licence against those of its ancestors.
#[derive(Debug, Clone, Default)]
pub struct LicenceHeritage {
    /// What the model's own licence asks, in words.
    pub asks: Vec<String>,
    /// At most a page's worth, nearest first.
    pub conflicts: Vec<LicenceConflict>,
    pub conflicts_hidden: u64,
    pub tensions: Vec<LicenceTension>,
    /// Ancestors that state a licence, and that state none.
    pub stated: u64,
    pub unstated: u64,
}

/// A release on the way to a model.
#[derive(Debug, Clone)]
pub struct VersionRow {
    pub version: String,
    pub name: Name,
    /// The version its name states.
    pub stated: Option<String>,
    /// What changed, as part and detail.
    pub changes: Vec<(String, String)>,
    /// The weights are others and the name is the same.
    pub silent: bool,
}
