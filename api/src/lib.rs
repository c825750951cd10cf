//! The REST interface under `/api/v1`, its OpenAPI document, and file downloads at the Hub's addresses.

mod diffs;
mod download;
mod jobs_api;
mod kinship;
mod lineage;
mod merges;
mod models;
mod openapi;
mod service;
mod transfers;
mod upload;

use actix_web::web::{JsonConfig, QueryConfig, ServiceConfig};

pub use openapi::document;

/// Registers every route; needs `web::Data<jobs::Registry>`.
pub fn configure(cfg: &mut ServiceConfig, limits: &domain::Limits) {
    cfg.app_data(JsonConfig::default().limit(limits.body_bytes).error_handler(http::json_error_handler))
        .app_data(QueryConfig::default().error_handler(http::query_error_handler))
        .service(service::livez)
        .service(service::readyz)
        .service(service::healthz)
        .service(service::limits)
        .service(models::list_models)
        .service(models::list_files)
        .service(models::list_tensors)
        .service(upload::upload_model)
        .service(lineage::get_lineage)
        .service(lineage::list_families)
        .service(models::get_model)
        .service(kinship::get_kinship)
        .service(diffs::get_diff)
        .service(diffs::create_diff)
        .service(merges::list_methods)
        .service(merges::create_merge)
        .service(transfers::create_transfer)
        .service(jobs_api::list_jobs)
        .service(jobs_api::job_events)
        .service(jobs_api::get_job)
        .service(jobs_api::cancel_job)
        .service(download::get_blob)
        .service(download::resolve_file)
        .service(openapi::swagger());
}
