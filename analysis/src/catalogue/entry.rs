//! A model on its way into the index.

use domain::Relation;

/// What the index is told of a model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entry<'a> {
    pub id: i64,
    /// The name in lower case.
    pub key: &'a str,
    /// Known only because a child names it.
    pub ghost: bool,
    /// Its weights are stored here.
    pub weights: bool,
    /// Kinship is answered from its sketches.
    pub sketched: bool,
    pub org: Option<&'a str>,
    pub licence: Option<&'a str>,
    pub task: Option<&'a str>,
    pub library: Option<&'a str>,
    pub architecture: Option<&'a str>,
    pub dtype: Option<&'a str>,
    pub parameters: Option<i64>,
    pub downloads: Option<i64>,
    pub likes: Option<i64>,
    /// Unix seconds.
    pub created_at: Option<i64>,
    /// Unix seconds.
    pub last_modified: Option<i64>,
    pub tags: &'a [String],
    pub languages: &'a [String],
    pub relations: &'a [Relation],
}
