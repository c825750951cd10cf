//! Bytes out: blobs by digest, files at the Hub's own addresses; ranges and entity tags.

use std::ops::Range;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError as _, get, http::StatusCode, http::header,
    routes, web,
};
use domain::{Act, Digest};
use futures::TryStreamExt;
use http::{Problem, Result};
use jobs::Registry;
use serde::Deserialize;

use crate::{
    hub,
    models::ModelPath,
    relay::{self, Brought},
    seen::Seen,
};

/// A blob by digest.
#[utoipa::path(tag = "files", params(("digest" = String, Path, description = "sha256:<hex>")), responses((status = 200, description = "bytes"), (status = 206, description = "a range"), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/blobs/{digest}")]
pub async fn get_blob(
    request: HttpRequest,
    registry: Seen,
    digest: web::Path<String>,
) -> Result<HttpResponse> {
    let digest: Digest = digest.parse()?;
    let size = registry.store.size_for_viewer(&digest).await.map_err(|error| match error {
        store::Error::BlobMissing(_) => Problem::not_found(digest),
        other => other.into(),
    })?;
    let mut response = HttpResponse::Ok();
    // What somebody with a name was given, a cache must not give to others.
    let whose = if registry.store.viewer().name.is_some() { "private" } else { "public" };
    response.insert_header((header::CACHE_CONTROL, format!("{whose}, max-age=31536000, immutable")));
    send(&request, &registry, response, Blob { digest, size, name: Name::Sha256 }).await
}

/// Which file of which state of a model.
#[derive(Debug, Deserialize)]
pub struct Place {
    pub revision: String,
    pub path: String,
}

/// A file of a model, at the Hub's address.
#[utoipa::path(get, path = "/{org}/{name}/resolve/{revision}/{path}", tag = "files", params(("org" = String, Path), ("name" = String, Path), ("revision" = String, Path), ("path" = String, Path)), responses((status = 200, description = "bytes"), (status = 206, description = "a range"), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[routes]
#[get("/{org}/{name}/resolve/{revision}/{path:.*}")]
#[get("/{name}/resolve/{revision}/{path:.*}", guard = "http::may_be_a_model")]
pub async fn resolve_file(
    request: HttpRequest,
    registry: Seen,
    model: web::Path<ModelPath>,
    place: web::Path<Place>,
) -> Result<HttpResponse> {
    let Place { revision, path } = place.into_inner();
    send_file((&request, &registry), &model.id(), (&revision, &path)).await
}

/// A file of a model at a revision: a branch, a tag, a commit, or the digest of a content.
///
/// # Errors
/// 404 with the Hub's code for what is missing.
pub async fn send_file(
    (request, registry): (&HttpRequest, &Registry),
    id: &str,
    (revision, path): (&str, &str),
) -> Result<HttpResponse> {
    let row = match relay::bring(registry, id, revision).await? {
        Brought::Here(row) => *row,
        Brought::Coming(coming) => return relay::file((request, registry), (id, path), coming).await,
    };
    if let Some(answer) = hub::moved(request, id, &row) {
        return Ok(answer);
    }
    registry.store.may_with(Act::Read, &row).await?;
    let (commit, path) = hub::commit_and_path(registry, &row, (revision, path)).await?;
    let path = path.as_str();
    // A model of which only metadata is here has a state, as its information says, and no files.
    let commit = commit.ok_or_else(|| hub::missing_entry(&row.name, path, &hub::sha(&row, None)))?;
    let files = registry.store.files(commit.revision).await?;
    let file = files.into_iter().find(|file| file.path == path);
    let file = file.ok_or_else(|| hub::missing_entry(&row.name, path, &commit.oid))?;
    let name = hub::content_name(registry, commit.revision, &file).await?;
    let response = headers((&file.path, &commit.oid), file.size);
    send(request, registry, response, Blob { digest: file.digest, size: file.size, name }).await
}

/// What a file of a repository at a commit is sent with.
pub fn headers((path, commit): (&str, &str), size: u64) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    let safe: String = path.rsplit('/').next().unwrap_or("file").replace(['"', '\\'], "_");
    response
        .insert_header(("x-repo-commit", commit))
        .insert_header(("x-linked-size", size.to_string()))
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{safe}\"")));
    response
}

/// Bytes by their digest.
pub struct Blob {
    pub digest: Digest,
    pub size: u64,
    pub name: Name,
}

/// What a content goes by in its entity tag.
pub enum Name {
    /// Its digest.
    Sha256,
    /// That too, as a file in LFS: its tag is of the content and not of the pointer to it.
    Lfs,
    /// The object id that git gives a small file.
    Git(String),
}

/// How a request for bytes is answered.
pub enum Reply {
    /// Without any of them.
    Whole(HttpResponse),
    /// With this range of them.
    Body(HttpResponseBuilder, Range<u64>),
}

async fn send(
    request: &HttpRequest,
    registry: &Registry,
    response: HttpResponseBuilder,
    blob: Blob,
) -> Result<HttpResponse> {
    let digest = blob.digest;
    match reply(request, response, blob) {
        Reply::Whole(answer) => Ok(answer),
        Reply::Body(mut response, range) => {
            let length = range.end - range.start;
            let bytes = registry.store.stream(&digest, range).await?;
            let bytes = bytes.map_err(|error| actix_web::error::ErrorInternalServerError(error.to_string()));
            Ok(response.body(actix_web::body::SizedStream::new(length, bytes)))
        }
    }
}

/// Headers, ranges and conditions of an answer with bytes.
pub fn reply(request: &HttpRequest, mut response: HttpResponseBuilder, blob: Blob) -> Reply {
    let Blob { digest, size, name } = blob;
    let by_digest = http::strong_etag(digest.hex());
    let etag = match &name {
        Name::Git(oid) => http::strong_etag(oid),
        Name::Sha256 | Name::Lfs => by_digest.clone(),
    };
    if matches!(name, Name::Lfs) {
        response.insert_header(("x-linked-etag", etag.clone()));
    }
    response
        .insert_header((header::ETAG, etag.clone()))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // Ranges are counted in stored bytes, so the body must travel as it is.
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .content_type("application/octet-stream");
    // A copy that was named by its digest is as good.
    if http::not_modified(request, &etag) || http::not_modified(request, &by_digest) {
        return Reply::Whole(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let header_text = |name| request.headers().get(name).and_then(|v: &header::HeaderValue| v.to_str().ok());
    let current = header_text(header::IF_RANGE).is_none_or(|tag| tag == etag || tag == by_digest);
    let range = header_text(header::RANGE).filter(|_| current).and_then(|text| parse_range(text, size));
    let range = match range {
        None => 0..size,
        Some(Err(())) => {
            return Reply::Whole(beyond(size));
        }
        Some(Ok(range)) => {
            response.status(StatusCode::PARTIAL_CONTENT).insert_header((
                header::CONTENT_RANGE,
                format!("bytes {}-{}/{size}", range.start, range.end - 1),
            ));
            range
        }
    };
    response.no_chunking(range.end - range.start);
    if http::asked_by_head(request) || range.is_empty() {
        return Reply::Whole(response.body(actix_web::body::SizedStream::new(
            range.end - range.start,
            futures::stream::empty::<std::result::Result<web::Bytes, actix_web::Error>>(),
        )));
    }
    Reply::Body(response, range)
}

/// 416 for a range without a byte of the file.
fn beyond(size: u64) -> HttpResponse {
    let told = format!("the range begins beyond the end of the file, which has {size} bytes");
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "bad_range", told);
    let mut answer = problem.error_response();
    if let Ok(value) = header::HeaderValue::from_str(&format!("bytes */{size}")) {
        answer.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    answer
}

/// One `bytes=` range; `None` for forms we answer with the whole file, as RFC 9110 allows.
fn parse_range(text: &str, size: u64) -> Option<std::result::Result<Range<u64>, ()>> {
    let spec = text.strip_prefix("bytes=")?;
    if spec.contains(',') {
        return None;
    }
    let (first, last) = spec.split_once('-')?;
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => size.saturating_sub(suffix.parse().ok()?)..size,
        (first, "") => first.parse().ok()?..size,
        (first, last) => first.parse().ok()?..last.parse::<u64>().ok()?.saturating_add(1).min(size),
    };
    Some(if range.start < range.end { Ok(range) } else { Err(()) })
}

#[cfg(test)]
mod tests {
    use super::parse_range;

    #[test]
    fn ranges_are_cut_at_the_end_and_refused_beyond_it() {
        assert_eq!(parse_range("bytes=0-3", 10), Some(Ok(0..4)));
        assert_eq!(parse_range("bytes=4-", 10), Some(Ok(4..10)));
        assert_eq!(parse_range("bytes=-3", 10), Some(Ok(7..10)));
        assert_eq!(parse_range("bytes=8-99", 10), Some(Ok(8..10)));
        assert_eq!(parse_range("bytes=10-", 10), Some(Err(())));
        assert_eq!(parse_range("bytes=0-1,3-4", 10), None);
        assert_eq!(parse_range("lines=0-1", 10), None);
    }
}
