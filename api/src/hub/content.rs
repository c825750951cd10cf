//! File contents by way of the API's addresses, and the headers of sharded weights.

use actix_web::HttpResponse;
use http::Problem;
use serde_json::{Map, Value, json};
use store::MAIN;

use super::{
    Call,
    answer::{self, missing_entry},
    stop::Outcome,
};
use crate::download::send_file;

/// `GET …/resolve/REV/PATH`, as under the repository's own address.
///
/// # Errors
/// 404.
pub async fn resolve(call: &Call<'_>) -> Outcome {
    let (revision, path) = call.rest.split_first().ok_or_else(|| missing_entry(&call.id, "", ""))?;
    Ok(send_file((call.request, call.registry), &call.id, (revision, &path.join("/"))).await?)
}

/// `GET …/safetensors-metadata/INDEX`: the headers of all shards that an index names.
///
/// # Errors
/// 404; 422 for an index that cannot be read.
pub async fn safetensors_metadata(call: &Call<'_>) -> Outcome {
    let row = answer::find(call).await?;
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
        headers
            .insert(shard.to_owned(), jobs::stored_header(call.registry, (&file.digest, file.size)).await?);
    }
    Ok(HttpResponse::Ok().json(json!({ "index": { "metadata": index["metadata"] }, "headers": headers })))
}
