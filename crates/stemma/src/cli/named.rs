//! Models as people name them: ids, paths, and addresses pasted from a browser.

use std::convert::Infallible;

use analysis::lineage::addressed;

/// A model that is read: an address is taken as the id, with the revision that it is of.
#[allow(clippy::unnecessary_wraps)] // The shape that a parser of arguments has.
pub fn model(text: &str) -> Result<String, Infallible> {
    Ok(addressed(text).map_or_else(|| text.to_owned(), |of| of.told()))
}

/// The same where revisions have no part.
#[allow(clippy::unnecessary_wraps)] // The shape that a parser of arguments has.
pub fn id(text: &str) -> Result<String, Infallible> {
    Ok(addressed(text).map_or_else(|| text.to_owned(), |of| of.id.to_string()))
}
