//! Signing in with an access token, which the browser then sends by itself.

use actix_web::{
    HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    http::StatusCode,
    web::{self, Bytes},
};
use askama::Template;

use super::{Answer, Data};
use crate::answer;

#[derive(Template)]
#[template(path = "pages/login.html")]
struct Page {
    refused: bool,
    /// Whether somebody is signed in, so that there is something to leave.
    signed_in: bool,
}

/// `GET /login`
pub async fn form(source: Data) -> Answer {
    let signed_in = source.account().await?.is_some();
    Ok(answer::ok(&Page { refused: false, signed_in }))
}

/// `POST /login`
pub async fn submit(source: Data, body: actix_web::Result<Bytes>) -> Answer {
    let body = match answer::form(body) {
        Ok(body) => body,
        Err(page) => return Ok(page),
    };
    let text = String::from_utf8_lossy(&body);
    let fields = web::Query::<Vec<(String, String)>>::from_query(&text).map(web::Query::into_inner);
    let token = fields.unwrap_or_default().into_iter().find(|(name, _)| name == "token");
    let token = token.map(|(_, value)| value.trim().to_owned()).unwrap_or_default();
    if !source.is_token(&token).await? {
        return Ok(answer::page(StatusCode::UNAUTHORIZED, &Page { refused: true, signed_in: false }));
    }
    let mut answer = answer::see_other("/");
    let cookie = Cookie::build(http::COOKIE, token)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(Duration::days(30))
        .finish();
    // A value that no cookie can hold was no token.
    let _ = answer.add_cookie(&cookie);
    Ok(answer)
}

/// `POST /logout`
pub async fn leave() -> HttpResponse {
    let mut answer = answer::see_other("/");
    let _ = answer.add_removal_cookie(&Cookie::build(http::COOKIE, "").path("/").finish());
    answer
}
