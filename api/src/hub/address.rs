//! `/api/models/…` taken apart, also where a model is called like a word of the addresses.

use http::{
    Problem, Result,
    hub_path::{Place, Verb, parts, read, verb},
};
use jobs::Registry;

/// Takes apart what follows `/api/models/`, percent-encoded as it came.
///
/// # Errors
/// 404 for an address that the Hub does not have either.
pub async fn split(registry: &Registry, tail: &str) -> Result<Place> {
    let parts = parts(tail);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    // `gpt2/refs` may be the refs of `gpt2` or a model of that very name.
    if let [org, name] = parts[..]
        && verb(name).is_some()
        && registry.store.model_by_id(&format!("{org}/{name}")).await?.is_some_and(|row| !row.ghost)
    {
        return Ok(Place { id: format!("{org}/{name}"), verb: Verb::Info, rest: Vec::new() });
    }
    read(&parts).ok_or_else(|| Problem::not_found(format!("the address `/api/models/{tail}`")))
}
