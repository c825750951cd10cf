//! Who may do what: the one place that decides whether a request is let in.

use actix_web::{
    HttpMessage as _, HttpRequest, ResponseError as _,
    body::{EitherBody, MessageBody},
    cookie::{Cookie, SameSite},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, StatusCode, header},
    middleware::Next,
    web,
};
use domain::{ANYBODY, TOKEN_MARK, Viewer};
use serde::{Deserialize, Serialize};
use store::{Scope, Store, TokenRow};

use crate::{
    Lack, Problem,
    entrance::{way_in, whence},
    hub_path::{self, Verb},
};

/// The cookie that holds the secret of a browser's session.
const COOKIE: &str = "stemma_token";
/// The same where the browser speaks TLS: it takes such a name only from this host, and sends it only encrypted.
const SECURE_COOKIE: &str = "__Host-stemma_token";

/// Whether the browser reached the service by TLS, which may end at a proxy.
fn is_secure(request: &HttpRequest) -> bool {
    crate::address(request).starts_with("https://")
}

/// The name of the cookie that holds the secret of a browser's session.
fn cookie_name(request: &HttpRequest) -> &'static str {
    if is_secure(request) { SECURE_COOKIE } else { COOKIE }
}

/// The cookie with the secret of a browser's session.
pub fn session_cookie(request: &HttpRequest, secret: String) -> Cookie<'static> {
    Cookie::build(cookie_name(request), secret)
        .secure(is_secure(request))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .finish()
}

/// The secret of a browser's session.
pub fn session(request: &HttpRequest) -> Option<String> {
    request.cookie(cookie_name(request)).map(|cookie| cookie.value().to_owned())
}

/// What the Hub's clients take for a token that is no good, word for word.
const BAD_TOKEN: &str = "Invalid credentials in Authorization header";

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// Everybody who reaches the service.
    #[default]
    Anyone,
    /// The bearer of a token.
    Token,
}

/// Who may look, and who may change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Doors {
    pub reads: Door,
    pub writes: Door,
}

impl Doors {
    /// Who may change something: never more than may look.
    pub fn for_writes(self) -> Door {
        self.writes.max(self.reads)
    }
}

/// The rules in force; app data of the service.
#[derive(Clone)]
pub struct Gate {
    pub store: Store,
    pub doors: Doors,
}

/// Addresses that answer whatever the rules are: signs of life, the way in, and what its page needs.
fn always_open(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/healthz" | "/login" | "/logout")
        || path.strip_prefix("/static/").is_some_and(|name| !name.contains('/'))
}

/// The addresses that large files are sent to before their commit.
pub(crate) const UPLOADS: &str = "/api/lfs/";

/// A secret as it came with a request.
enum Carried {
    /// As `Authorization: Bearer`, or in the cookie of a browser that signed in.
    Token(String),
    /// In the address of an upload that was announced.
    Key(String),
}

/// The secret that a request carries.
fn carried(request: &HttpRequest) -> Option<Carried> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(text) = given {
        return text.strip_prefix("Bearer ").map(|text| Carried::Token(text.trim().to_owned()));
    }
    if request.path().starts_with(UPLOADS) {
        let key = request.query_string().split('&').find_map(|part| part.strip_prefix("key="));
        return key.map(|key| Carried::Key(key.to_owned()));
    }
    session(request).map(Carried::Token)
}

/// Whether the token in a request's header was made by a registry like this one.
fn is_ours(request: &HttpRequest) -> bool {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|text| text.strip_prefix("Bearer "));
    token.is_some_and(|token| token.trim_start().starts_with(TOKEN_MARK))
}

/// The living token that a request carries; none for a request without one.
///
/// # Errors
/// 401 for a token that is unknown, revoked or expired.
pub async fn bearer(request: &HttpRequest, store: &Store) -> Result<Option<TokenRow>, Problem> {
    if let Some(known) = request.extensions().get::<TokenRow>() {
        return Ok(Some(known.clone()));
    }
    let found = match carried(request) {
        None => return Ok(None),
        // Addresses are written down along the way, so that no token may stand in one, and what may is good there alone.
        Some(Carried::Key(key)) => store.token(&key).await?.filter(|token| token.scope == Scope::Upload),
        Some(Carried::Token(secret)) => {
            store.token(&secret).await?.filter(|token| token.scope != Scope::Upload)
        }
    };
    found.map(Some).ok_or_else(bad_token)
}

/// A key by which the bearer of this request's token sends large files, to addresses that are asked without it; none for
/// a request without a token.
///
/// # Errors
/// As [`bearer`].
pub async fn upload_key(request: &HttpRequest, store: &Store) -> Result<Option<String>, Problem> {
    match (bearer(request, store).await?, carried(request)) {
        (Some(token), Some(Carried::Token(secret))) => Ok(Some(store.upload_key(&token, &secret).await?)),
        _ => Ok(None),
    }
}

/// Who asks: the user that the request's token speaks for, with the token's label; `anybody` without one.
///
/// # Errors
/// As [`bearer`].
pub async fn person(request: &HttpRequest) -> Result<String, Problem> {
    let Some(gate) = request.app_data::<web::Data<Gate>>() else { return Ok(ANYBODY.to_owned()) };
    let token = bearer(request, &gate.store).await?;
    Ok(token.map_or_else(|| ANYBODY.to_owned(), |token| format!("{} ({})", token.owner, token.label)))
}

/// With whose eyes a request looks at the registry; a token that is no good lends none.
///
/// # Errors
/// When the database cannot be read.
pub async fn viewer(request: &HttpRequest) -> Result<Viewer, Problem> {
    if let Some(known) = request.extensions().get::<Viewer>() {
        return Ok(known.clone());
    }
    let Some(gate) = request.app_data::<web::Data<Gate>>() else { return Ok(Viewer::default()) };
    let viewer = match bearer(request, &gate.store).await {
        Ok(Some(token)) => gate.store.viewer_of(&token).await?,
        Ok(None) => Viewer::default(),
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED.as_u16() => Viewer::default(),
        Err(problem) => return Err(problem),
    };
    request.extensions_mut().insert(viewer.clone());
    Ok(viewer)
}

/// What whoever asks for a page lacks to send its forms; nothing where they are taken.
///
/// # Errors
/// When the database cannot be read.
pub async fn lack(request: &HttpRequest) -> Result<Option<Lack>, Problem> {
    let Some(gate) = request.app_data::<web::Data<Gate>>() else { return Ok(None) };
    match bearer(request, &gate.store).await {
        Ok(Some(token)) => Ok((token.scope < Scope::Write).then_some(Lack::Writing)),
        Ok(None) => Ok((gate.doors.for_writes() == Door::Token).then_some(Lack::Token)),
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED.as_u16() => Ok(Some(Lack::Life)),
        Err(problem) => Err(problem),
    }
}

/// 401 for a token that is no good, or for none where one is needed.
pub fn bad_token() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "bad_token", BAD_TOKEN)
}

/// Whether a request changes nothing, also where its question is too long for an address, or asks to be let in.
fn reads_only(request: &HttpRequest) -> bool {
    let safe = request.method().is_safe();
    safe || (request.method() == Method::POST && only_asks(request.path()))
}

/// Whether a POST to this address only asks something.
fn only_asks(path: &str) -> bool {
    if matches!(path, "/api/v1/sparql" | "/api/v1/merges/explain" | "/merges/check" | "/settings/ask-access")
    {
        return true;
    }
    if let Some(tail) = path.strip_prefix("/api/models/") {
        let parts = hub_path::parts(tail);
        let place = hub_path::read(&parts.iter().map(String::as_str).collect::<Vec<_>>());
        return place.is_some_and(|place| matches!(place.verb, Verb::PathsInfo | Verb::AskAccess));
    }
    matches!(path.split('/').collect::<Vec<_>>()[..], ["", _, _, "ask-access"])
}

async fn admit(request: &HttpRequest, gate: &Gate) -> Result<(), Problem> {
    let (door, needed) = match reads_only(request) {
        true => (gate.doors.reads, Scope::Read),
        false if request.path().starts_with(UPLOADS) => (gate.doors.for_writes(), Scope::Upload),
        false => (gate.doors.for_writes(), Scope::Write),
    };
    if always_open(request.path()) {
        return Ok(());
    }
    if door == Door::Anyone {
        // A token that may only read does not write where anybody may, either. Clients that are set up for the Hub send
        // its token wherever they go: that says nothing here, while one of our own that is no good is told so.
        let Some(token) = bearer(request, &gate.store).await.or_else(|problem| match is_ours(request) {
            true => Err(problem),
            false => Ok(None),
        })?
        else {
            return Ok(());
        };
        request.extensions_mut().insert(token.clone());
        return reaches(&token, needed);
    }
    match bearer(request, &gate.store).await? {
        Some(token) => {
            request.extensions_mut().insert(token.clone());
            reaches(&token, needed)
        }
        None => {
            let detail = "a token is needed here: send Authorization: Bearer …, or sign in at /login";
            Err(Problem::new(StatusCode::UNAUTHORIZED, "token_needed", detail))
        }
    }
}

/// The cookie of a session that is no good any more, where a browser sends a form with it. It is told so once: what it sends
/// after that comes from somebody who is not signed in, instead of being refused as long as the cookie lasts.
async fn has_ended(request: &HttpRequest, store: &Store) -> Result<Option<Cookie<'static>>, Problem> {
    let known = request.extensions().get::<TokenRow>().is_some();
    let asks = request.headers().contains_key(header::AUTHORIZATION) || request.method().is_safe();
    if known || asks || always_open(request.path()) {
        return Ok(None);
    }
    let Some(secret) = session(request) else { return Ok(None) };
    Ok(match store.token(&secret).await? {
        Some(_) => None,
        None => Some(session_cookie(request, String::new())),
    })
}

/// Refuses a token that lends too little.
fn reaches(token: &TokenRow, needed: Scope) -> Result<(), Problem> {
    if token.scope >= needed {
        return Ok(());
    }
    let detail = "this token may only read; ask for one that may write";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}

impl Door {
    /// The stricter of two.
    fn max(self, other: Self) -> Self {
        if other == Self::Token { other } else { self }
    }
}

/// Middleware: lets a request in, or refuses it; a browser is shown the way in.
///
/// # Errors
/// Those of the service behind it.
pub async fn authorise<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let Some(gate) = request.app_data::<web::Data<Gate>>().cloned() else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    match admit(request.request(), &gate).await {
        Ok(()) => {
            let ended = has_ended(request.request(), &gate.store).await?;
            let mut answer = next.call(request).await?;
            if let Some(session) = ended {
                // Its name and its path are plain text, which every header can hold.
                let _ = answer.response_mut().add_removal_cookie(&session);
            }
            Ok(answer.map_into_left_body())
        }
        Err(problem) => {
            let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
            let browser = accepts.is_some_and(|text| text.contains("text/html"));
            let see = |lack: Lack| {
                let address = way_in(lack, whence(request.request()).as_deref());
                actix_web::HttpResponse::SeeOther().insert_header((header::LOCATION, address)).finish()
            };
            let answer = match StatusCode::from_u16(problem.status) {
                Ok(StatusCode::UNAUTHORIZED) if browser => see(Lack::Token),
                Ok(StatusCode::FORBIDDEN) if browser => see(Lack::Writing),
                _ => problem.error_response(),
            };
            Ok(request.into_response(answer).map_into_right_body())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::only_asks;

    #[test]
    fn a_post_that_asks_is_known_by_what_its_whole_address_means() {
        for asks in [
            "/api/v1/sparql",
            "/api/v1/merges/explain",
            "/merges/check",
            "/settings/ask-access",
            "/api/models/o/n/paths-info/main",
            "/api/models/n/paths-info/refs%2Fheads%2Fx",
            "/api/models/o/paths-info/paths-info/main",
            "/api/models/o/n/ask-access",
            "/o/n/ask-access",
        ] {
            assert!(only_asks(asks), "{asks}");
        }
        for changes in [
            "/api/v1/models/x/ask-access",
            "/api/v1/models/ask-access",
            "/api/models/o/n/branch/ask-access",
            "/api/models/o/n/commit/ask-access",
            "/api/models/o/n/tag/paths-info/x",
            "/api/models/o/paths-info/commit/main",
            "/api/models/paths-info/n/commit/main",
            "/api/models/paths-info/commit/main",
            "/api/models/o/n/user-access-request/paths-info/handle",
            "/api/repos/create",
            "/merges/new",
            "/settings/access",
        ] {
            assert!(!only_asks(changes), "{changes}");
        }
    }
}
