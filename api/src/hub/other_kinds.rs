//! Repositories of other kinds than models: there are none, and clients are told so in a way that they understand.

use actix_web::{
    HttpRequest, HttpResponse, guard,
    web::{self, ServiceConfig},
};
use http::{Problem, Result};
use serde_json::json;

/// The kinds, as they stand in addresses.
const KINDS: &str = "datasets|spaces|kernels";

/// Registers their addresses.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(web::resource(format!("/api/{{kind:{KINDS}}}")).guard(guard::Get()).to(list))
        .service(web::resource(format!("/api/{{kind:{KINDS}}}/{{tail:.*}}")).to(missing))
        // A bare name before `resolve` may be that of a model of an organisation called so.
        .service(
            web::resource(format!("/{{kind:{KINDS}}}/{{org}}/{{name}}/resolve/{{tail:.*}}")).to(missing),
        );
}

async fn list() -> HttpResponse {
    HttpResponse::Ok().json(json!([]))
}

async fn missing(request: HttpRequest) -> Result<HttpResponse> {
    let kind = request.match_info().query("kind").trim_end_matches('s');
    Err(none(&format!("the {kind} of `{}`", request.path())))
}

/// 404 that the client raises as `RepositoryNotFoundError`.
pub fn none(what: &str) -> Problem {
    Problem::not_found(format!("{what} (models alone are kept here; it)")).for_hub("RepoNotFound", None)
}
