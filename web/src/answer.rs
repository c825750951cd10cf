//! How pages leave the house: headers that forbid foreign code, and the error pages.

use std::fmt;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use askama::Template;
use domain::{Class, Item};

use crate::source::Failure;

/// Only our own files may act on a page; nothing may frame it.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "pages/error.html")]
struct ErrorPage<'a> {
    status: u16,
    title: &'a str,
    detail: &'a str,
    items: &'a [Item],
}

/// A rendered template with its headers.
pub fn page(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(html) => html_answer(status, html),
        Err(_) => html_answer(StatusCode::INTERNAL_SERVER_ERROR, "The page could not be drawn.".to_owned()),
    }
}

/// A rendered template, all well.
pub fn ok(template: &impl Template) -> HttpResponse {
    page(StatusCode::OK, template)
}

/// An error page.
pub fn error_page(status: StatusCode, title: &str, detail: &str) -> HttpResponse {
    page(status, &ErrorPage { status: status.as_u16(), title, detail, items: &[] })
}

/// The 404 page.
pub fn not_found(detail: &str) -> HttpResponse {
    error_page(StatusCode::NOT_FOUND, "Not found", detail)
}

/// The 303 that follows a form.
pub fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, address)).finish()
}

/// The status and title of a class of failure.
pub fn status(class: Class) -> (StatusCode, &'static str) {
    match class {
        Class::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "This cannot be done as asked"),
        Class::NotFound => (StatusCode::NOT_FOUND, "Not found"),
        Class::Conflict => (StatusCode::CONFLICT, "This conflicts with what is there"),
        Class::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Too large"),
        Class::Unsupported => (StatusCode::UNPROCESSABLE_ENTITY, "Not supported"),
        Class::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Not available just now"),
        Class::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Something broke here"),
    }
}

/// What a reader may know of a failure: our own faults stay in the log.
pub fn told(failure: &Failure) -> &str {
    match failure.class {
        Class::Internal => "The fault is on our side and has been written to the log. Trying again may help.",
        _ => &failure.detail,
    }
}

impl From<Failure> for HttpResponse {
    fn from(failure: Failure) -> Self {
        let (code, title) = status(failure.class);
        let items: &[Item] = if failure.class == Class::Internal { &[] } else { &failure.items };
        page(code, &ErrorPage { status: code.as_u16(), title, detail: told(&failure), items })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        status(self.class).0
    }

    fn error_response(&self) -> HttpResponse {
        self.clone().into()
    }
}

/// `true` unless a browser says that another site sent the request.
pub fn same_origin(request: &HttpRequest) -> bool {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    text("origin")
        .is_none_or(|origin| origin.split_once("://").is_some_and(|(_, rest)| Some(rest) == text("host")))
}

/// The refusal of a form sent from elsewhere.
pub fn foreign_form() -> HttpResponse {
    error_page(
        StatusCode::FORBIDDEN,
        "Form refused",
        "The form was sent from another site. Open it here and send it again.",
    )
}

fn html_answer(status: StatusCode, html: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(html)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::same_origin;

    #[test]
    fn another_site_cannot_post_a_form() {
        let request = |headers: &[(&'static str, &'static str)]| {
            headers.iter().fold(TestRequest::post(), |r, h| r.insert_header(*h)).to_http_request()
        };
        assert!(!same_origin(&request(&[("sec-fetch-site", "cross-site")])));
        assert!(!same_origin(&request(&[("sec-fetch-site", "same-site")])));
        assert!(!same_origin(&request(&[("origin", "https://evil.example"), ("host", "localhost:8080")])));
        assert!(!same_origin(&request(&[("origin", "null"), ("host", "localhost:8080")])));
        assert!(same_origin(&request(&[("origin", "http://localhost:8080"), ("host", "localhost:8080")])));
        assert!(same_origin(&request(&[])));
    }
}
