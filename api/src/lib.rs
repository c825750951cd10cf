//! The REST interface under `/api/v1`, its OpenAPI document, and file downloads at the Hub's addresses.

mod adapters;
mod advisories;
mod arrivals;
mod body;
mod catalogue;
mod children;
mod compare;
mod contents;
mod descendants;
mod diffs;
mod download;
mod edges;
mod explained;
mod hub;
mod imports;
mod job_events;
mod jobs_api;
mod kinship;
mod lineage;
mod merges;
mod models;
mod named;
mod nowhere;
mod openapi;
mod paging;
mod path;
mod people;
mod query;
mod raw;
mod relatives;
mod relay;
mod reports;
mod schema;
mod searches;
mod seen;
mod service;
mod sparql;
mod suggestions;
mod transfers;
mod transplants;
mod upload;
mod watches;

use actix_web::web::{self, JsonConfig, PathConfig, QueryConfig, ServiceConfig};

pub use edges::{ContradictionView, EdgeList};
pub use job_events::Leaving;
pub use jobs_api::JobView;
pub use lineage::LineageView;
pub use models::ModelSummary;
pub use openapi::{document, document_for};
pub use relatives::RelativesView;
pub use reports::LicenceView;
pub use searches::{CandidateView, SearchView};

/// Registers every route; needs `web::Data<jobs::Registry>` and `web::Data<Leaving>`. Call it before the pages,
/// which take what is left. The document says what the doors ask.
pub fn configure(cfg: &mut ServiceConfig, limits: &domain::Limits, doors: http::Doors) {
    cfg.app_data(JsonConfig::default().limit(limits.body_bytes).error_handler(http::json_error_handler))
        .app_data(QueryConfig::default().error_handler(http::query_error_handler))
        .app_data(PathConfig::default().error_handler(http::path_error_handler))
        .service(service::livez)
        .service(service::readyz)
        .service(service::healthz)
        .service(service::limits)
        .service(catalogue::list_models)
        .service(catalogue::typeahead)
        .service(contents::list_files)
        .service(contents::list_tensors)
        .service(contents::get_provenance)
        .service(contents::get_manifest)
        .service(compare::compare_revisions)
        .service(upload::upload_model)
        .service(arrivals::get_arrivals)
        .service(advisories::list_advisories)
        .service(advisories::file_advisory)
        .service(advisories::get_feed)
        .service(advisories::get_advisory)
        .service(advisories::withdraw_advisory)
        .service(advisories::get_model_advisories)
        .service(advisories::get_model_feed)
        .service(edges::list_edges)
        .service(edges::decide_edge)
        .service(edges::list_contradictions)
        .service(lineage::get_lineage)
        .service(sparql::ask)
        .service(sparql::ask_in_body)
        .service(children::get_children)
        .service(children::get_siblings)
        .service(descendants::get_descendants)
        .service(lineage::list_families)
        .service(path::get_path)
        .service(relatives::get_relatives)
        .service(suggestions::get_suggestions)
        .service(reports::get_licence)
        .service(reports::get_versions)
        .service(reports::get_report)
        .service(models::get_model)
        .service(kinship::get_kinship)
        .service(diffs::get_diff)
        .service(diffs::create_diff)
        .service(diffs::apply_diff)
        .service(adapters::extract_adapter)
        .service(adapters::bake_adapter)
        .service(merges::list_methods)
        .service(merges::create_merge)
        .service(explained::explain_merge)
        .service(merges::download_merge)
        .service(imports::create_import)
        .service(watches::list_watches)
        .service(watches::create_watch)
        .service(watches::remove_watch)
        .service(transfers::create_transfer)
        .configure(searches::configure)
        .configure(people::configure)
        .service(transplants::create_transplant)
        .service(jobs_api::list_jobs)
        .service(job_events::job_events)
        .service(jobs_api::get_job)
        .service(jobs_api::cancel_job)
        .service(jobs_api::retry_job)
        .service(download::get_blob)
        .service(download::resolve_file)
        .service(raw::raw_file)
        .service(openapi::reference)
        .service(openapi::swagger(doors))
        .configure(hub::configure)
        .service(web::resource(["/api", "/api/{tail:.*}"]).to(nowhere::nowhere));
}
