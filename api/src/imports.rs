//! Models of the configured Hub, brought in by a job.

use actix_web::{HttpRequest, HttpResponse, post};
use http::{Problem, Result};
use jobs::{Mirror, Take};
use serde::Deserialize;
use utoipa::{ToSchema, openapi::schema::Object};

use crate::{
    body::Body,
    jobs_api::{JobHeaders, JobView, accepted, idempotency_key},
    query::{Nothing, Query},
    schema::one_of,
    seen::Seen,
};

/// A model to bring in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewImport {
    /// Id on the configured Hub, with `@revision` where it is not `main`.
    pub model: String,
    /// none, headers or full (default).
    #[serde(default)]
    #[schema(schema_with = takes, required = false)]
    pub weights: Take,
    /// Generations of declared parents that come with it, as far as they are not here, at most 1,000 models; default 0.
    #[serde(default)]
    pub parents: u32,
}

/// The schema of what is taken of a model.
pub fn takes() -> Object {
    one_of(Take::ALL.map(Take::as_str))
}

/// Queue the import of a model from the configured Hub.
#[utoipa::path(tag = "models", params(JobHeaders), request_body = NewImport, responses((status = 202, body = JobView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/imports")]
pub async fn create_import(
    request: HttpRequest,
    registry: Seen,
    _: Query<Nothing>,
    Body(wanted): Body<NewImport>,
) -> Result<HttpResponse> {
    let NewImport { model, weights, parents } = wanted;
    let key = idempotency_key(&request)?;
    let job =
        jobs::submit_mirror(&registry, &Mirror { model, take: weights, parents, onto: None }, key).await?;
    Ok(accepted(&job))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Take;

    #[test]
    fn every_word_of_the_document_is_the_one_that_is_read() {
        for take in Take::ALL {
            assert_eq!(json!(take), take.as_str());
        }
    }
}
