//! The OpenAPI document and its page at `/docs`.

use utoipa::OpenApi;
use utoipa_swagger_ui::SwaggerUi;

/// The document; every route is listed here.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Stemma",
        description = "Model lineage registry: family trees, kinship, diffs, transfers and merges."
    ),
    paths(
        crate::service::livez,
        crate::service::readyz,
        crate::service::healthz,
        crate::service::limits,
        crate::models::list_models,
        crate::models::get_model,
        crate::models::list_files,
        crate::models::list_tensors,
        crate::upload::upload_model,
        crate::lineage::get_lineage,
        crate::lineage::list_families,
        crate::kinship::get_kinship,
        crate::diffs::get_diff,
        crate::diffs::create_diff,
        crate::merges::list_methods,
        crate::merges::create_merge,
        crate::transfers::create_transfer,
        crate::jobs_api::list_jobs,
        crate::jobs_api::get_job,
        crate::jobs_api::job_events,
        crate::jobs_api::cancel_job,
        crate::download::get_blob,
        crate::download::resolve_file,
    )
)]
struct Document;

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Swagger UI at `/docs`, the document at `/api/v1/openapi.json`; served from the binary.
pub fn swagger() -> SwaggerUi {
    SwaggerUi::new("/docs/{_:.*}").url("/api/v1/openapi.json", document())
}
