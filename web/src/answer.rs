//! How pages leave the house: headers that forbid foreign code, and the error pages.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use askama::Template;
use domain::{Class, Item};

use crate::{source::Failure, view::Name};

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
    /// What may have been meant.
    near: &'a [Name],
    /// What the form held that was refused, by the labels of its fields.
    typed: &'a [(&'a str, &'a str)],
    /// Where it stands: address and name.
    back: Option<(String, &'a str)>,
}

impl<'a> ErrorPage<'a> {
    fn new(status: StatusCode, (title, detail): (&'a str, &'a str)) -> Self {
        Self { status: status.as_u16(), title, detail, items: &[], near: &[], typed: &[], back: None }
    }
}

/// A rendered template with its headers.
pub fn page(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(html) => html_answer(status, html),
        Err(error) => {
            let text = format!("The page could not be drawn; the log has it under {}.", http::logged(&error));
            html_answer(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    }
}

/// A rendered template, all well.
pub fn ok(template: &impl Template) -> HttpResponse {
    page(StatusCode::OK, template)
}

/// A picture of a model as a file of its own.
pub fn picture(of: &Name, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(svg) => HttpResponse::Ok()
            .content_type("image/svg+xml")
            .insert_header((header::CONTENT_DISPOSITION, http::attachment(&of.0, "svg")))
            .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(svg),
        Err(error) => {
            let told =
                format!("The picture could not be drawn; the log has it under {}.", http::logged(&error));
            error_page(StatusCode::INTERNAL_SERVER_ERROR, title(Class::Internal), &told)
        }
    }
}

/// An error page.
pub fn error_page(status: StatusCode, title: &str, detail: &str) -> HttpResponse {
    page(status, &ErrorPage::new(status, (title, detail)))
}

/// The 404 page.
pub fn not_found(detail: &str) -> HttpResponse {
    error_page(StatusCode::NOT_FOUND, "Not found", detail)
}

/// The 404 page of a model, with the names that may have been meant.
pub fn no_model(name: &str, near: &[Name]) -> HttpResponse {
    let status = StatusCode::NOT_FOUND;
    let detail = &format!("No model `{name}` is known here.");
    page(status, &ErrorPage { near, ..ErrorPage::new(status, ("Not found", detail)) })
}

/// The page of a refused form that is part of another page, which `back` names by address and name; it keeps what was
/// typed.
pub fn refused(failure: &Failure, back: (String, &str), typed: &[(&str, &str)]) -> HttpResponse {
    let status = http::status_of(failure.class);
    let (told, items) = ((title(failure.class), failure.detail.as_str()), failure.items.as_slice());
    let typed: Vec<_> = typed.iter().copied().filter(|(_, value)| !value.is_empty()).collect();
    let back = Some(back).filter(|(_, name)| !name.is_empty());
    page(status, &ErrorPage { items, typed: &typed, back, ..ErrorPage::new(status, told) })
}

/// The 303 that follows a form.
pub fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, address)).finish()
}

const fn title(class: Class) -> &'static str {
    match class {
        Class::Invalid => "This cannot be done as asked",
        Class::NotFound => "Not found",
        Class::Forbidden => "Not yours to do",
        Class::Conflict => "This conflicts with what is there",
        Class::TooLarge => "Too large",
        Class::Unsupported => "Not supported",
        Class::Unavailable => "Not available just now",
        Class::TooMany => "Too much at once",
        Class::Full => "No room for it",
        Class::Damaged => "Damaged here",
        Class::Internal => "Something broke here",
    }
}

impl From<Failure> for HttpResponse {
    fn from(failure: Failure) -> Self {
        let status = http::status_of(failure.class);
        let told = (title(failure.class), failure.detail.as_str());
        page(status, &ErrorPage { items: &failure.items, ..ErrorPage::new(status, told) })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        http::status_of(self.class)
    }

    fn error_response(&self) -> HttpResponse {
        self.clone().into()
    }
}

fn html_answer(status: StatusCode, html: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .body(html)
}
