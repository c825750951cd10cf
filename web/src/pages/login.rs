//! Signing in with an access token, which the browser then sends by itself.

use actix_web::{HttpRequest, cookie::time::Duration, http::StatusCode, web};
use askama::Template;

use super::{Answer, Data};
use crate::{answer, asked::Asked, form::Form};

#[derive(Template)]
#[template(path = "pages/login.html")]
struct Page {
    refused: bool,
    /// Whether what was asked needs a token that may write, and the one at hand may not.
    need_write: bool,
    /// Where to go on to; empty for the front page.
    next: String,
    /// Whether somebody is signed in, so that there is something to leave.
    signed_in: bool,
    /// Whether everybody may read here.
    open: bool,
    /// Whether everybody may write here.
    free: bool,
}

/// Whether everybody may read here, and whether everybody may write.
fn is_open(request: &HttpRequest) -> (bool, bool) {
    let doors = request.app_data::<web::Data<http::Gate>>().map(|gate| gate.doors);
    let anyone = |door: http::Door| door == http::Door::Anyone;
    doors.map_or((false, false), |doors| (anyone(doors.reads), anyone(doors.for_writes())))
}

/// Where to go on to: nowhere but here.
fn next(asked: &Asked) -> String {
    asked.get("next").and_then(http::place).unwrap_or_default().to_owned()
}

/// `GET /login?next=&need=write`
pub async fn form(request: HttpRequest, source: Data) -> Answer {
    // A session that has ended is left too.
    let signed_in = source.account().await?.is_some() || http::session(&request).is_some();
    let (open, free) = is_open(&request);
    let asked = Asked::read(request.query_string());
    let (need_write, next) = (asked.get("need") == Some("write"), next(&asked));
    Ok(answer::ok(&Page { refused: false, need_write, next, signed_in, open, free }))
}

/// `POST /login`
pub async fn submit(request: HttpRequest, source: Data, Form(asked): Form) -> Answer {
    let next = next(&asked);
    let Some(session) = source.open_session(&asked.text("token")).await? else {
        let (open, free) = is_open(&request);
        return Ok(answer::page(
            StatusCode::UNAUTHORIZED,
            &Page { refused: true, need_write: false, next, signed_in: false, open, free },
        ));
    };
    let mut answer = answer::see_other(if next.is_empty() { "/" } else { &next });
    let mut cookie = http::session_cookie(&request, session);
    cookie.set_max_age(Duration::days(30));
    // The secret of a session is plain text, which every cookie can hold.
    let _ = answer.add_cookie(&cookie);
    Ok(answer)
}

/// `POST /logout`
pub async fn leave(request: HttpRequest, source: Data) -> Answer {
    if let Some(secret) = http::session(&request) {
        source.end_session(&secret).await?;
    }
    let mut answer = answer::see_other("/");
    let _ = answer.add_removal_cookie(&http::session_cookie(&request, String::new()));
    Ok(answer)
}
