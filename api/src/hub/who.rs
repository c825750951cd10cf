//! Who is asking.

use actix_web::{HttpRequest, HttpResponse, get, http::StatusCode, http::header, web};
use http::{Problem, Result};
use jobs::Registry;
use serde_json::json;
use store::{Scope, TokenRow};

/// What the client takes for a token that is no good, word for word.
const BAD_TOKEN: &str = "Invalid credentials in Authorization header";

/// The bearer of a living token; none for a request without one.
///
/// # Errors
/// 401 for a token that is unknown, revoked or expired.
pub async fn bearer(request: &HttpRequest, registry: &Registry) -> Result<Option<TokenRow>> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(secret) = given.and_then(|text| text.strip_prefix("Bearer ")) else { return Ok(None) };
    let known = registry.store.token(secret.trim()).await?;
    known.map(Some).ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "bad_token", BAD_TOKEN))
}

/// The name a commit carries.
pub async fn author(request: &HttpRequest, registry: &Registry) -> Result<Option<String>> {
    Ok(bearer(request, registry).await?.map(|token| token.owner))
}

/// The user behind the token.
#[get("/api/whoami-v2")]
pub async fn whoami(request: HttpRequest, registry: web::Data<Registry>) -> Result<HttpResponse> {
    let token = bearer(&request, &registry).await?;
    let token = token.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "bad_token", BAD_TOKEN))?;
    let role = if token.scope == Scope::Write { "write" } else { "read" };
    Ok(HttpResponse::Ok().json(json!({
        "type": "user",
        "id": super::answer::hex_of(&token.owner, 24),
        "name": token.owner,
        "fullname": token.owner,
        "isPro": false,
        "canPay": false,
        "orgs": [],
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
