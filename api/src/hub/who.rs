//! Who is asking.

use actix_web::{HttpRequest, HttpResponse, get};
use http::Result;
use jobs::Registry;
use serde_json::json;
use store::Scope;

use crate::seen::Seen;

/// The name a commit carries.
pub async fn author(request: &HttpRequest, registry: &Registry) -> Result<Option<String>> {
    Ok(http::bearer(request, &registry.store).await?.map(|token| token.owner))
}

/// The user behind the token.
#[get("/api/whoami-v2")]
pub async fn whoami(request: HttpRequest, registry: Seen) -> Result<HttpResponse> {
    let token = http::bearer(&request, &registry.store).await?.ok_or_else(http::bad_token)?;
    let orgs = registry.store.memberships(&token.owner, (None, registry.limits.list_rows)).await?.items;
    let orgs: Vec<_> = orgs
        .iter()
        .map(|one| json!({ "type": "org", "name": one.org, "fullname": one.org, "roleInOrg": one.role }))
        .collect();
    let role = if token.scope == Scope::Write { "write" } else { "read" };
    Ok(HttpResponse::Ok().json(json!({
        "type": "user",
        "id": super::answer::hex_of(&token.owner, 24),
        "name": token.owner,
        "fullname": token.owner,
        "isPro": false,
        "canPay": false,
        "orgs": orgs,
        "auth": {
            "type": "access_token",
            "accessToken": { "displayName": token.label, "role": role },
        },
    })))
}

/// Newer clients ask once a day; an answer spares them asking at every start.
#[get("/api/agent-harnesses")]
pub async fn agent_harnesses() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "standardEnvVars": [], "harnesses": {} }))
}
