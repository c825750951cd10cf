//! Strong entity tags.

use actix_web::{HttpRequest, http::header};

/// A strong tag of a digest or version.
pub fn strong_etag(value: impl std::fmt::Display) -> String {
    format!("\"{value}\"")
}

/// Whether the client already holds `etag`.
pub fn not_modified(request: &HttpRequest, etag: &str) -> bool {
    request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|tags| {
        tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*")
    })
}
