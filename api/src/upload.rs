//! `POST /api/v1/models/{org}/{name}`: upload a checkpoint folder as multipart parts, published at once or not at all.

use actix_multipart::Multipart;
use actix_web::{HttpResponse, http::StatusCode, http::header, post, web};
use domain::{RelativePath, RepoId};
use futures::TryStreamExt;
use http::{Problem, Result};
use jobs::{Incoming, Made, Registry, ingest_files};

use crate::models::ModelSummary;

/// Upload a checkpoint.
///
/// Each part's file name is the file's path inside the repository (`config.json`, `README.md`,
/// `model-00001-of-00002.safetensors` …). Parts are streamed to storage; nothing is kept when the
/// files do not make a sound checkpoint.
#[utoipa::path(tag = "models", params(("org" = String, Path), ("name" = String, Path)),
    request_body(content = Vec<u8>, content_type = "multipart/form-data"),
    responses((status = 201, body = ModelSummary), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/models/{org}/{name}")]
pub async fn upload_model(
    registry: web::Data<Registry>,
    path: web::Path<(String, String)>,
    mut parts: Multipart,
) -> Result<HttpResponse> {
    let (org, name) = path.into_inner();
    let id = RepoId::parse(&format!("{org}/{name}")).map_err(|e| Problem::bad_request(e.to_string()))?;
    let mut files = Vec::new();
    if let Err(problem) = receive(&registry, &mut parts, &mut files).await {
        let digests: Vec<_> = files.iter().map(|file| file.digest).collect();
        registry.store.delete_unreferenced(&digests).await?;
        return Err(problem);
    }
    let row = ingest_files(&registry, &id, files, Made::default()).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/api/v1/models/{}", row.name)))
        .json(ModelSummary::from(&row)))
}

async fn receive(registry: &Registry, parts: &mut Multipart, files: &mut Vec<Incoming>) -> Result<()> {
    let unreadable = |error: actix_multipart::MultipartError| {
        Problem::bad_request(format!("the upload cannot be read: {error}; send multipart/form-data"))
    };
    while let Some(mut part) = parts.try_next().await.map_err(unreadable)? {
        let named = part.content_disposition().and_then(|d| d.get_filename().map(str::to_owned));
        let Some(file_name) = named else {
            return Err(Problem::bad_request(
                "a part has no file name; each part is one file of the repository",
            ));
        };
        let path = RelativePath::parse(&file_name).map_err(|e| Problem::bad_request(e.to_string()))?;
        if files.iter().any(|known: &Incoming| known.path == path) {
            return Err(Problem::bad_request(format!("`{path}` was sent twice")));
        }
        if files.len() >= registry.limits.files {
            return Err(too_large(format!("over {} files", registry.limits.files)));
        }
        let mut writer = registry.store.blob_writer().await?;
        let mut length = 0_u64;
        loop {
            let chunk = match part.try_next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => {
                    writer.abort().await?;
                    return Err(unreadable(error));
                }
            };
            length += chunk.len() as u64;
            if length > registry.limits.file_bytes {
                writer.abort().await?;
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

fn too_large(detail: String) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}
