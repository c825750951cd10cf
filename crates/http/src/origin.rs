//! Whether an unsafe request comes from our own pages (or from no browser at all).

use actix_web::HttpRequest;

/// `true` unless a browser says that another site sent the request.
pub fn same_origin(request: &HttpRequest) -> bool {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    match text("origin") {
        None => true,
        Some(origin) => {
            let host = text("host").unwrap_or_default();
            origin.split_once("://").is_some_and(|(_, rest)| rest == host)
        }
    }
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
        assert!(!same_origin(&request(&[("origin", "https://evil.example"), ("host", "localhost:8080")])));
        assert!(same_origin(&request(&[("origin", "http://localhost:8080"), ("host", "localhost:8080")])));
        assert!(same_origin(&request(&[])));
    }
}
