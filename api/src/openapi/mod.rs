//! The OpenAPI document and its page at `/docs`.

mod complete;
mod security;

use actix_web::{HttpResponse, get};
use http::Doors;
use utoipa::{OpenApi, openapi};
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
        crate::catalogue::list_models,
        crate::catalogue::typeahead,
        crate::models::get_model,
        crate::contents::list_files,
        crate::contents::list_tensors,
        crate::contents::get_provenance,
        crate::contents::get_manifest,
        crate::compare::compare_revisions,
        crate::upload::upload_model,
        crate::arrivals::get_arrivals,
        crate::advisories::list_advisories,
        crate::advisories::file_advisory,
        crate::advisories::get_feed,
        crate::advisories::get_advisory,
        crate::advisories::withdraw_advisory,
        crate::advisories::get_model_advisories,
        crate::advisories::get_model_feed,
        crate::edges::list_edges,
        crate::edges::decide_edge,
        crate::edges::list_contradictions,
        crate::lineage::get_lineage,
        crate::sparql::ask,
        crate::sparql::ask_in_body,
        crate::children::get_children,
        crate::children::get_siblings,
        crate::descendants::get_descendants,
        crate::lineage::list_families,
        crate::path::get_path,
        crate::kinship::get_kinship,
        crate::relatives::get_relatives,
        crate::suggestions::get_suggestions,
        crate::reports::get_licence,
        crate::reports::get_versions,
        crate::reports::get_report,
        crate::diffs::get_diff,
        crate::diffs::create_diff,
        crate::diffs::apply_diff,
        crate::adapters::extract_adapter,
        crate::adapters::bake_adapter,
        crate::merges::list_methods,
        crate::merges::create_merge,
        crate::explained::explain_merge,
        crate::merges::download_merge,
        crate::imports::create_import,
        crate::watches::list_watches,
        crate::watches::create_watch,
        crate::watches::remove_watch,
        crate::people::list_users,
        crate::people::add_user,
        crate::people::remove_user,
        crate::people::list_orgs,
        crate::people::create_org,
        crate::people::remove_org,
        crate::people::list_members,
        crate::people::set_member,
        crate::people::remove_member,
        crate::people::list_tokens,
        crate::people::create_token,
        crate::people::revoke_token,
        crate::transfers::create_transfer,
        crate::searches::list_searches,
        crate::searches::create_search,
        crate::searches::get_search,
        crate::searches::cancel_search,
        crate::searches::finish_search,
        crate::searches::list_candidates,
        crate::searches::tell_scores,
        crate::searches::merge_candidate,
        crate::transplants::create_transplant,
        crate::jobs_api::list_jobs,
        crate::jobs_api::get_job,
        crate::job_events::job_events,
        crate::jobs_api::cancel_job,
        crate::jobs_api::retry_job,
        crate::download::get_blob,
        crate::download::resolve_file,
        crate::raw::raw_file,
    )
)]
struct Document;

/// The OpenAPI document of a registry that asks nobody for a token.
pub fn document() -> openapi::OpenApi {
    document_for(Doors::default())
}

/// The OpenAPI document, with what these doors ask of every operation.
pub fn document_for(doors: Doors) -> openapi::OpenApi {
    let mut document = complete::completed(Document::openapi());
    security::secure(&mut document, doors);
    let bare: Vec<(String, openapi::PathItem)> =
        document.paths.paths.iter().filter_map(|(path, item)| bare(path, item)).collect();
    document.paths.paths.extend(bare);
    document
}

/// The address of a model without an organisation, such as `gpt2`, beside the one with.
fn bare(path: &str, item: &openapi::PathItem) -> Option<(String, openapi::PathItem)> {
    let (before, after) = path.split_once("{org}/{name}")?;
    let mut item = item.clone();
    for operation in [&mut item.get, &mut item.head, &mut item.post].into_iter().flatten() {
        operation.operation_id = operation.operation_id.take().map(|id| format!("{id}_bare"));
        if let Some(parameters) = &mut operation.parameters {
            parameters.retain(|parameter| !matches!(parameter, openapi::RefOr::T(own) if own.name == "org"));
        }
    }
    Some((format!("{before}{{name}}{after}"), item))
}

/// The page that shows the document, in Swagger UI's script, with a way back to the registry.
#[get("/docs/")]
pub async fn reference() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(include_str!("reference.html"))
}

/// The files of Swagger UI below `/docs/`, the document at `/api/v1/openapi.json`; served from the binary.
pub fn swagger(doors: Doors) -> SwaggerUi {
    SwaggerUi::new(r"/docs/{_:(?:swagger-|favicon-|oauth2-).*|index\.css}")
        .url("/api/v1/openapi.json", document_for(doors))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_operation_has_a_name_of_its_own_and_bare_ids_have_every_address() {
        let document = super::document();
        let operations: Vec<_> = document
            .paths
            .paths
            .values()
            .flat_map(|item| [&item.get, &item.head, &item.post, &item.put, &item.delete])
            .flatten()
            .map(|operation| operation.operation_id.clone().unwrap())
            .collect();

        let names: BTreeSet<_> = operations.iter().collect();

        assert_eq!(names.len(), operations.len(), "{operations:?}");
        let parts = [
            "/advisories",
            "/files",
            "/tensors",
            "/edges",
            "/children",
            "/siblings",
            "/descendants",
            "/lineage",
            "/relatives",
            "/merge-suggestions",
            "/licence",
            "/versions",
        ];
        for below in [""].into_iter().chain(parts) {
            assert!(document.paths.paths.contains_key(&format!("/api/v1/models/{{name}}{below}")), "{below}");
        }
    }
}
