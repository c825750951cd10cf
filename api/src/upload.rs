//! `POST /api/v1/models/{org}/{name}`: upload a checkpoint folder as multipart parts, published at once or not at all.

use actix_multipart::{Multipart, MultipartError};
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, http::header, routes, web};
use domain::{Act, RelativePath, RepoId};
use futures::{Stream, TryStreamExt as _};
use http::{Precondition, Problem, Result};
use jobs::{Gathered, Incoming, Made, Registry, ingest_files};
use store::{Founding, NewCommit};

use crate::{
    hub,
    models::{ModelPath, ModelSummary, state_of},
    seen::Seen,
};

/// Upload a checkpoint.
///
/// Each part's file name is the file's path inside the repository (`config.json`, `README.md`,
/// `model-00001-of-00002.safetensors` …). Parts are streamed to storage; nothing is kept when the
/// files do not make a sound checkpoint. `If-Match` with the entity tag of the model, or of the upload
/// before, replaces that state only, and `If-None-Match: *` no model at all; 412 else.
#[utoipa::path(post, path = "/api/v1/models/{org}/{name}", tag = "models", params(("org" = String, Path), ("name" = String, Path)),
    request_body(content = Vec<u8>, content_type = "multipart/form-data"),
    responses((status = 201, body = ModelSummary), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[routes]
#[post("/api/v1/models/{org}/{name}")]
#[post("/api/v1/models/{name}")]
pub async fn upload_model(
    request: HttpRequest,
    registry: Seen,
    path: web::Path<ModelPath>,
    mut parts: Multipart,
) -> Result<HttpResponse> {
    let id = RepoId::parse(&path.id())?;
    registry.store.may(Act::Write, id.as_str()).await?;
    let commit = founded(&registry, &id, Precondition::of(&request)?).await?;
    let conditional = commit.parent.is_some() || commit.founds.is_some();
    registry.store.room_for(hub::announced(&request))?;
    let mut gathered = Gathered::new();
    if let Err(problem) = receive(&registry, &mut parts, &mut gathered).await {
        gathered.discard(&registry).await;
        return Err(problem);
    }
    let made = Made { commit, ..Made::default() };
    let row = ingest_files(&registry, &id, gathered, made).await.map_err(|error| match error {
        jobs::Error::Store(store::Error::StaleParent { .. } | store::Error::OutputTaken(_))
            if conditional =>
        {
            Precondition::failed(&format!("`{id}` was changed while the upload came in"))
        }
        error => error.into(),
    })?;
    let mut answer = HttpResponse::Created();
    if let Some(state) = state_of(&registry, &row).await? {
        answer.insert_header((header::ETAG, http::strong_etag(state)));
    }
    Ok(answer
        .insert_header((header::LOCATION, format!("/api/v1/models/{}", row.name)))
        .json(ModelSummary::from(&row)))
}

/// The commit that an upload makes where its condition holds; it is held against the condition once more when it is
/// published.
async fn founded(registry: &Registry, id: &RepoId, condition: Precondition) -> Result<NewCommit> {
    let row = registry.store.model_by_id(id.as_str()).await?;
    let row = row.filter(|row| !row.ghost && row.name.eq_ignore_ascii_case(id.as_str()));
    let mut commit = NewCommit::default();
    match (condition, row) {
        (Precondition::Free, _) | (Precondition::Exists, Some(_)) => {}
        (Precondition::Absent, None) => commit.founds = Some(Founding::Open),
        (Precondition::Absent, Some(row)) => {
            return Err(Precondition::failed(&format!("`{}` is here already", row.name)));
        }
        (Precondition::Exists | Precondition::Is(_), None) => {
            return Err(Precondition::failed(&format!("`{id}` is not here")));
        }
        (Precondition::Is(states), Some(row)) => {
            let state = state_of(registry, &row).await?.filter(|state| states.contains(state));
            let told = || Precondition::failed(&format!("`{}` is in another state", row.name));
            commit.parent = Some(state.ok_or_else(told)?);
        }
    }
    Ok(commit)
}

async fn receive(registry: &Registry, parts: &mut Multipart, gathered: &mut Gathered) -> Result<()> {
    let Gathered { holder, files, .. } = gathered;
    while let Some(mut part) = next(parts).await? {
        let named = part.content_disposition().and_then(|d| d.get_filename().map(str::to_owned));
        let Some(file_name) = named else {
            return Err(Problem::bad_request(
                "a part has no file name; each part is one file of the repository",
            ));
        };
        let path = RelativePath::parse(&file_name)?;
        if files.iter().any(|known: &Incoming| known.path == path) {
            return Err(Problem::bad_request(format!("`{path}` was sent twice")));
        }
        if files.len() >= registry.limits.files {
            return Err(too_large(format!("over {} files", registry.limits.files)));
        }
        let mut writer = registry.store.blob_writer(holder).await?;
        let mut length = 0_u64;
        loop {
            let chunk = match next(&mut part).await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(problem) => {
                    writer.abort();
                    return Err(problem);
                }
            };
            length += chunk.len() as u64;
            if length > registry.limits.file_bytes {
                writer.abort();
                return Err(too_large(format!("`{path}` is over {} bytes", registry.limits.file_bytes)));
            }
            writer.write(&chunk).await?;
        }
        let (digest, size) = writer.finish().await?;
        files.push(Incoming { path, digest, size });
    }
    if files.is_empty() {
        return Err(Problem::bad_request("the upload holds no files"));
    }
    Ok(())
}

/// The next part or chunk.
async fn next<T, S>(stream: &mut S) -> Result<Option<T>>
where
    S: Stream<Item = std::result::Result<T, MultipartError>> + Unpin,
{
    stream.try_next().await.map_err(|error| {
        Problem::bad_request(format!("the upload cannot be read: {error}; send multipart/form-data"))
    })
}

fn too_large(detail: String) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}
