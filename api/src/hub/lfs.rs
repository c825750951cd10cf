//! Large files before their commit: git LFS with its basic transfer.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, post, put, routes, web};
use domain::{Act, BadDigest, Digest};
use futures::StreamExt as _;
use http::{Problem, Result};
use jobs::Registry;
use serde::Deserialize;
use serde_json::{Value, json};
use store::Holder;

use super::{
    Call,
    answer::{self, misread, present_row},
    repos::models_only,
    stop::Outcome,
};
use crate::{models::ModelPath, seen::Seen};

const MEDIA: &str = "application/vnd.git-lfs+json";

/// What a client without Xet never asks for.
pub fn no_xet() -> Problem {
    Problem::not_found("Xet storage (set HF_HUB_DISABLE_XET=1 to send files of this size by LFS); it")
}

/// Which objects.
#[derive(Debug, Deserialize)]
pub struct Batch {
    operation: String,
    objects: Vec<Object>,
}

/// An object by SHA-256.
#[derive(Debug, Deserialize)]
pub struct Object {
    oid: String,
    size: u64,
}

/// Where to send objects, or fetch them from.
#[routes]
#[post("/{org}/{name}.git/info/lfs/objects/batch")]
#[post("/{name}.git/info/lfs/objects/batch")]
pub async fn batch(
    request: HttpRequest,
    registry: Seen,
    path: web::Path<ModelPath>,
    body: actix_web::Result<web::Bytes>,
) -> Result<HttpResponse> {
    let body = body.map_err(|error| http::body_problem(&error, registry.limits.body_bytes))?;
    let batch: Batch = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("the batch cannot be read: {error}")))?;
    let row = present_row(&registry, &path.id()).await?;
    let act = if batch.operation == "upload" { Act::Write } else { Act::Read };
    registry.store.may_with(act, &row).await?;
    // The client sends objects without its token.
    let key = match batch.operation == "upload" {
        true => http::upload_key(&request, &registry.store).await?,
        false => None,
    };
    let key = key.map(|key| format!("?key={key}")).unwrap_or_default();
    let mut objects = Vec::with_capacity(batch.objects.len());
    for Object { oid, size } in batch.objects {
        objects.push(match oid.parse::<Digest>() {
            Ok(digest) => object((&request, &registry), (&batch.operation, digest, size), &key).await?,
            Err(error) => {
                json!({ "oid": oid, "size": size, "error": { "code": 422, "message": error.to_string() } })
            }
        });
    }
    let answer = json!({ "transfer": "basic", "objects": objects, "hash_algo": "sha256" });
    Ok(HttpResponse::Ok().content_type(MEDIA).body(answer.to_string()))
}

async fn object(
    (request, registry): (&HttpRequest, &Registry),
    (operation, digest, size): (&str, Digest, u64),
    key: &str,
) -> Result<Value> {
    let (host, oid) = (http::address(request), digest.hex());
    // To somebody who may not have it, it is as if it were not here: their own copy has to come.
    let stored = registry.store.open_size(&digest).await?;
    let room = registry.store.room_for(size);
    let link = |href: String| json!({ "href": href, "header": {} });
    Ok(match (operation, stored) {
        ("upload", Some(held)) if held == size => json!({ "oid": oid, "size": size }),
        ("upload", _) if size > registry.limits.file_bytes => {
            let message = format!("at most {} bytes are taken", registry.limits.file_bytes);
            json!({ "oid": oid, "size": size, "error": { "code": 422, "message": message } })
        }
        ("upload", _) if room.is_err() => {
            let message = room.err().map(|full| full.to_string());
            json!({ "oid": oid, "size": size, "error": { "code": 507, "message": message } })
        }
        ("upload", _) => json!({
            "oid": oid, "size": size,
            "actions": {
                "upload": link(format!("{host}/api/lfs/{oid}/{size}{key}")),
                "verify": link(format!("{host}/api/lfs/verify{key}")),
            },
        }),
        (_, Some(held)) => json!({
            "oid": oid, "size": held,
            "actions": { "download": link(format!("{host}/api/v1/blobs/sha256:{oid}")) },
        }),
        (_, None) => {
            json!({ "oid": oid, "size": size, "error": { "code": 404, "message": "not stored here" } })
        }
    })
}

/// Where files are copied to, and which.
#[derive(Deserialize)]
struct Duplicate {
    target: Target,
    files: Vec<Copied>,
}

#[derive(Deserialize)]
struct Target {
    #[serde(rename = "type")]
    kind: Option<String>,
    name: String,
}

#[derive(Deserialize)]
struct Copied {
    sha256: String,
}

/// `POST …/lfs-files/duplicate`: makes large files of this repository ready for a commit to another. Contents are
/// stored once, so that it is enough to find each; those that are not here come back under `failed`.
///
/// # Errors
/// 404 for either repository; 400 for a target that is no model; where the caller may not read the one or write the
/// other.
pub async fn duplicate(call: &Call<'_>, payload: web::Payload) -> Outcome {
    if call.part(0) != Some("duplicate") || call.rest.len() > 1 {
        return Err(Problem::not_found(format!("the address `{}`", call.request.path())).into());
    }
    let row = answer::find(call).await?;
    let store = &call.registry.store;
    store.may_with(Act::Read, &row).await?;
    let asked: Duplicate = answer::body(call, payload).await?;
    models_only(asked.target.kind.as_deref())?;
    let target = present_row(call.registry, &asked.target.name).await?;
    store.may_with(Act::Write, &target).await?;
    let mut held = std::collections::HashSet::new();
    if let Some(revision) = row.revision {
        held.extend(store.files(revision).await?.into_iter().map(|file| file.digest));
    }
    let mut failed = Vec::new();
    for Copied { sha256 } in asked.files {
        let here = match sha256.parse::<Digest>() {
            Ok(digest) if held.contains(&digest) => true,
            Ok(digest) => store.open_size(&digest).await?.is_some(),
            Err(_) => false,
        };
        if !here {
            failed.push(json!({ "sha256": sha256, "error": format!("`{}` has no such file", row.name) }));
        }
    }
    Ok(HttpResponse::Ok().json(json!({ "failed": failed })))
}

/// Takes one object, streamed to storage and hashed on the way; kept for a day for the commit that names it.
#[put("/api/lfs/{oid}/{size}")]
pub async fn put(
    registry: Seen,
    place: web::Path<(String, u64)>,
    mut payload: web::Payload,
) -> Result<HttpResponse> {
    let (oid, size) = place.into_inner();
    let wanted: Digest = oid.parse().map_err(misread::<BadDigest>)?;
    if size > registry.limits.file_bytes {
        let detail = format!("at most {} bytes are taken", registry.limits.file_bytes);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "file_too_large", detail));
    }
    registry.store.room_for(size)?;
    let holder = Holder::upload_of(registry.store.viewer().name.as_deref());
    let mut writer = registry.store.blob_writer(&holder).await?;
    let mut length = 0_u64;
    let fault = loop {
        match payload.next().await {
            None => break None,
            Some(Ok(part)) => {
                length += part.len() as u64;
                if length > size {
                    break Some(Problem::bad_request(format!(
                        "more than the {size} bytes that were announced"
                    )));
                }
                writer.write(&part).await?;
            }
            Some(Err(error)) => {
                break Some(Problem::bad_request(format!("the upload ended early: {error}")));
            }
        }
    };
    if let Some(problem) = fault {
        writer.abort();
        return Err(problem);
    }
    let (digest, length) = writer.finish().await?;
    if digest != wanted || length != size {
        registry.store.discard(&holder, &[digest]).await?;
        let detail = format!("{length} bytes with SHA-256 {} came, not {size} with {oid}", digest.hex());
        return Err(Problem::bad_request(detail));
    }
    Ok(HttpResponse::Ok().finish())
}

/// Whether an object is here as announced.
#[post("/api/lfs/verify")]
pub async fn verify(registry: Seen, object: actix_web::Result<web::Bytes>) -> Result<HttpResponse> {
    let object = object.map_err(|error| http::body_problem(&error, registry.limits.body_bytes))?;
    let object: Object = serde_json::from_slice(&object)
        .map_err(|error| Problem::bad_request(format!("the object cannot be read: {error}")))?;
    let digest: Digest = object.oid.parse().map_err(misread::<BadDigest>)?;
    match registry.store.open_size(&digest).await? {
        Some(held) if held == object.size => Ok(HttpResponse::Ok().content_type(MEDIA).body("{}")),
        _ => Err(Problem::not_found(format!("object {}", object.oid))),
    }
}
