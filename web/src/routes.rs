//! Which address shows which page. Model pages have the Hub's own addresses, so they come last.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::{answer, assets, pages};

/// Registers every page; expects `web::Data<dyn Source>` as app data. Call it after other rooms have registered
/// theirs: `/{org}/{name}` takes what is left.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .route("/", web::get().to(pages::home::show))
        .route("/static/{name}", web::get().to(assets::serve))
        .route("/models", web::get().to(pages::models::list))
        .route("/search", web::get().to(pages::models::list))
        .route("/search/suggest", web::get().to(pages::models::suggest))
        .route("/atlas", web::get().to(pages::atlas::show))
        .route("/lineage", web::get().to(pages::path::show))
        .route("/families", web::get().to(pages::families::list))
        .route("/licences", web::get().to(pages::licences::show))
        .service(
            web::resource("/advisories")
                .route(web::get().to(pages::advisories::list))
                .route(web::post().to(pages::advisories::file)),
        )
        .route("/advisories/{id}", web::get().to(pages::advisories::show))
        .route("/advisories/{id}/withdraw", web::post().to(pages::advisories::withdraw))
        .route("/contradictions", web::get().to(pages::edges::contradictions))
        .route("/edges", web::post().to(pages::edges::decide))
        .route("/kinship", web::get().to(pages::kinship::show))
        .route("/compare", web::get().to(pages::compare::choose))
        .service(
            web::resource("/compare/{spec:.*}")
                .route(web::get().to(pages::compare::show))
                .route(web::post().to(pages::compare::submit)),
        )
        .service(
            web::resource("/merges/new")
                .route(web::get().to(pages::merges::form))
                .route(web::post().to(pages::merges::submit)),
        )
        .route("/merges/check", web::post().to(pages::merges::check))
        .service(
            web::resource("/transfers/new")
                .route(web::get().to(pages::transfers::form))
                .route(web::post().to(pages::transfers::submit)),
        )
        .service(
            web::resource("/login")
                .route(web::get().to(pages::login::form))
                .route(web::post().to(pages::login::submit)),
        )
        .route("/logout", web::post().to(pages::login::leave))
        .route("/about", web::get().to(pages::about::show))
        .route("/settings", web::get().to(pages::settings::show))
        .route("/settings/tokens", web::post().to(pages::settings::create))
        .route("/settings/tokens/{id}/revoke", web::post().to(pages::settings::revoke))
        .route("/settings/ask-access", web::post().to(pages::settings::ask))
        .route("/settings/access", web::post().to(pages::settings::access))
        .route("/reports", web::get().to(pages::reports::list))
        .route("/reports/{subject}", web::get().to(pages::reports::show))
        .route("/jobs", web::get().to(pages::jobs::list))
        .route("/jobs/{id}", web::get().to(pages::jobs::show))
        .route("/jobs/{id}/retry", web::post().to(pages::jobs::retry))
        .route("/jobs/{id}/cancel", web::post().to(pages::jobs::cancel))
        .route("/{org}/{name}/tree/{revision:.+}", web::get().to(pages::model::show))
        .route("/{name}/tree/{revision:.+}", web::get().to(pages::model::show))
        .route("/{org}/{name}/commit/{revision:.+}", web::get().to(at_revision))
        .route("/{org}/{name}/commits/{revision:.+}", web::get().to(at_revision))
        .route("/{org}/{name}/blob/{place:.+}", web::get().to(pages::file::show))
        .route("/{name}/blob/{place:.+}", web::get().to(pages::file::show))
        .route("/{name}/compare/{range:.*}", web::get().to(pages::revisions::show))
        .route("/{org}/{name}/compare/{range:.*}", web::get().to(pages::revisions::show))
        .route("/{org}/{name}/badge.svg", web::get().to(pages::badge::show))
        .route("/{org}/{name}/children", web::get().to(pages::children::show))
        .route("/{org}/{name}/icicle", web::get().to(pages::icicle::show))
        .route("/{org}/{name}/kin", web::get().to(pages::kin::show))
        .route("/{org}/{name}/lineage", web::get().to(pages::lineage::show))
        .route("/{org}/{name}", web::get().to(pages::model::show))
        .route("/{name}", web::get().to(pages::model::show))
        .default_service(web::to(no_page));
}

/// Registers the pages below `/docs/`; call it before the room that has the rest of that address.
pub fn configure_docs(config: &mut web::ServiceConfig) {
    config
        .route("/docs", web::get().to(docs))
        .route("/docs/errors", web::get().to(pages::errors::list))
        .route("/docs/merging", web::get().to(pages::methods::list));
}

/// The interface's documents stand below `/docs/`, and links to them as files.
async fn docs() -> HttpResponse {
    pages::model::moved("/docs/")
}

/// The Hub's pages of a commit and of a history: here all of that is on the page of the revision.
async fn at_revision(request: HttpRequest) -> HttpResponse {
    // As the address has them: escapes stay as they are, and where a name with slashes ends, its page finds out.
    let parts: Vec<&str> = request.path().splitn(4, '/').collect();
    match parts[..] {
        [_, org, name, rest] => match rest.split_once('/') {
            Some((_, revision)) => pages::model::moved(&format!("/{org}/{name}/tree/{revision}")),
            None => no_page(request).await,
        },
        _ => no_page(request).await,
    }
}

/// The 404 page of an address nobody knows.
pub async fn no_page(request: HttpRequest) -> HttpResponse {
    answer::not_found(&format!("There is no page at `{}`.", request.path()))
}
