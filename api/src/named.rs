//! The model that a request makes, by its name.

use domain::RepoId;
use http::{Problem, Result};

/// What a dry run calls a result whose name was left out; nothing of this name is ever published.
const UNNAMED: &str = "dry/run";

/// The id in `text`.
///
/// # Errors
/// 400 with what an id looks like.
pub fn id(text: &str) -> Result<RepoId> {
    RepoId::parse(text).map_err(|error| Problem::bad_request(format!("`output`: {error}")))
}

/// The id of a result, where it is given.
///
/// # Errors
/// As [`id`].
pub fn given(output: Option<&str>) -> Result<Option<RepoId>> {
    output.map(id).transpose()
}

/// The id of a result, or a word for one without a name.
///
/// # Errors
/// As [`id`].
pub fn or_unnamed(output: Option<&str>) -> Result<RepoId> {
    id(output.unwrap_or(UNNAMED))
}

/// The id of a result that is to be made.
///
/// # Errors
/// As [`id`]; 400 when it was left out.
pub fn needed(output: Option<&str>) -> Result<RepoId> {
    id(output.ok_or_else(|| Problem::bad_request("`output` is missing: the id of the result"))?)
}
