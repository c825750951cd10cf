//! File contents by way of the API's addresses, and the headers of sharded weights.

use actix_web::HttpResponse;
use domain::Digest;
use futures::TryStreamExt as _;
use http::{Problem, Result};
use jobs::Registry;
use serde_json::{Map, Value, json};
use store::MAIN;

use super::{
    Call,
    answer::{self, Found, missing_entry},
};
use crate::download::send_file;

/// `GET …/resolve/REV/PATH`, as under the repository's own address.
///
/// # Errors
/// 404.
pub async fn resolve(call: &Call<'_>) -> Result<HttpResponse> {
    let revision = call.part(0).unwrap_or(MAIN);
    send_file((call.request, call.registry), &call.id, (revision, &call.rest[1..].join("/"))).await
}

/// `GET …/safetensors-metadata/INDEX`: the headers of all shards that an index names.
///
/// # Errors
/// 404; 422 for an index that cannot be read.
pub async fn safetensors_metadata(call: &Call<'_>) -> Result<HttpResponse> {
    let row = match answer::find(call).await? {
        Found::Here(row) => row,
        Found::Elsewhere(answer) => return Ok(answer),
    };
    let path = call.rest.join("/");
    let commit = answer::commit_of(call.registry, &row, MAIN).await?;
    let commit = commit.ok_or_else(|| missing_entry(&row.name, &path, ""))?;
    let files = call.registry.store.files(commit.revision).await?;
    let by_path = |wanted: &str| {
        let found = files.iter().find(|file| file.path == wanted);
        found.ok_or_else(|| missing_entry(&row.name, wanted, &commit.oid))
    };
    let text =
        call.registry.store.read_text(&by_path(&path)?.digest, call.registry.limits.index_bytes).await?;
    let unreadable =
        |what: &str| Problem::bad_request(format!("`{path}` cannot be read as an index: {what}"));
    let index: Value = serde_json::from_str(&text).map_err(|error| unreadable(&error.to_string()))?;
    let map = index["weight_map"].as_object().ok_or_else(|| unreadable("it has no `weight_map`"))?;
    let mut shards: Vec<&str> = map.values().filter_map(Value::as_str).collect();
    shards.sort_unstable();
    shards.dedup();
    let mut headers = Map::new();
    for shard in shards {
        let file = by_path(shard)?;
        headers.insert(shard.to_owned(), header(call.registry, &file.digest, file.size).await?);
    }
    Ok(HttpResponse::Ok().json(json!({ "index": { "metadata": index["metadata"] }, "headers": headers })))
}

/// The JSON header of a stored safetensors file.
async fn header(registry: &Registry, digest: &Digest, size: u64) -> Result<Value> {
    let bad = |what: &str| Problem::bad_request(format!("{digest} is no safetensors file: {what}"));
    let read = async |range: std::ops::Range<u64>| -> Result<Vec<u8>> {
        let parts: Vec<_> = registry.store.stream(digest, range).await?.try_collect().await?;
        Ok(parts.concat())
    };
    let length = read(0..8.min(size)).await?;
    let length: [u8; 8] = length.try_into().map_err(|_| bad("it is shorter than 8 bytes"))?;
    let length = u64::from_le_bytes(length);
    if length > registry.limits.header_bytes || length > size.saturating_sub(8) {
        return Err(bad("its header is too long"));
    }
    serde_json::from_slice(&read(8..8 + length).await?).map_err(|error| bad(&error.to_string()))
}
