//! A model on its way from the Hub: what the Hub says of it, and its files as they come.

use std::{ops::Range, sync::Arc};

use actix_web::{HttpRequest, HttpResponse, ResponseError as _, http::StatusCode, web::Bytes};
use domain::Digest;
use futures::{Stream, stream};
use http::{Problem, Result};
use jobs::{Coming, Pulled, Registry};
use store::ModelRow;

use crate::{
    download::{Blob, Name, Reply, headers, reply},
    hub,
};

/// Bytes asked of the Hub at once.
const BLOCK: u64 = 1 << 20;

/// The model that is here, or what the Hub has of it.
pub enum Brought {
    Here(Box<ModelRow>),
    Coming(Arc<Coming>),
}

/// The model called `id`; one that is not here with its files is brought in where the operator wants that.
///
/// # Errors
/// 404 `RepoNotFound`; 503 where the Hub does not answer.
pub async fn bring(registry: &Registry, id: &str, revision: &str) -> Result<Brought> {
    let known = registry.store.model_by_id(id).await?.filter(|row| !row.ghost);
    if let Some(row) = known.as_ref().filter(|row| row.revision.is_some()) {
        return Ok(Brought::Here(Box::new(row.clone())));
    }
    match (jobs::pull(registry, id, revision).await?, known) {
        (Pulled::Here(row), _) => Ok(Brought::Here(row)),
        (Pulled::Coming(coming), _) => Ok(Brought::Coming(coming)),
        (Pulled::Nowhere, Some(row)) => Ok(Brought::Here(Box::new(row))),
        (Pulled::Nowhere, None) => Err(hub::missing_model(id)),
    }
}

/// 503 until the model is here.
pub fn not_yet(id: &str) -> HttpResponse {
    let detail = format!("`{id}` is being brought in from the Hub; ask again in a moment");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "on_its_way", detail).error_response()
}

/// A file of a model on its way, with the headers that it will have here.
///
/// # Errors
/// 404 for a file that the Hub does not have either; what the Hub answers.
pub async fn file(
    (request, registry): (&HttpRequest, &Registry),
    (id, path): (&str, &str),
    coming: Arc<Coming>,
) -> Result<HttpResponse> {
    let commit = coming.commit.clone();
    let Some((size, stated)) = coming.file(path).map(|file| (file.size(), file.stated())) else {
        return Err(hub::missing_entry(id, path, &commit));
    };
    let small = hub::kept(path, size) == hub::Kept::Git;
    let content = match stated {
        Some(_) if !small => Vec::new(),
        _ => whole(registry, &coming, path).await?,
    };
    let blob = Blob {
        // The Hub states none for small files; here every file has one.
        digest: stated.unwrap_or_else(|| Digest::of(&content)),
        size,
        name: if small { Name::Git(hub::git_oid(&content)) } else { Name::Lfs },
    };
    match reply(request, headers((path, &commit), size), blob) {
        Reply::Whole(answer) => Ok(answer),
        Reply::Body(mut head, range) => {
            let length = range.end - range.start;
            let body = parts(coming, path.to_owned(), range);
            Ok(head.body(actix_web::body::SizedStream::new(length, Box::pin(body))))
        }
    }
}

async fn whole(registry: &Registry, coming: &Coming, path: &str) -> Result<Vec<u8>> {
    let file = coming.file(path).ok_or_else(|| Problem::not_found(path))?;
    Ok(file.read_all(registry.limits.hub_file_bytes).await?)
}

/// The bytes of a range, a block at a time.
fn parts(
    coming: Arc<Coming>,
    path: String,
    range: Range<u64>,
) -> impl Stream<Item = std::result::Result<Bytes, actix_web::Error>> {
    stream::try_unfold((coming, path, range), |(coming, path, left)| async move {
        if left.is_empty() {
            return Ok(None);
        }
        let to = (left.start + BLOCK).min(left.end);
        let file = coming.file(&path).ok_or_else(|| Problem::not_found(&path))?;
        let block = file.part(left.start, to).await.map_err(Problem::from)?;
        Ok(Some((Bytes::from(block), (coming, path, to..left.end))))
    })
}
