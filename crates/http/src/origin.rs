//! Whether an unsafe request comes from our own pages (or from no browser at all), and the refusal if not.

use actix_web::{
    HttpRequest, ResponseError as _,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::Next,
};

use crate::{Problem, address};

/// `true` unless a browser says that another site sent the request.
pub fn same_origin(request: &HttpRequest) -> bool {
    let text = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    // Browsers leave `Sec-Fetch-Site` out on plain HTTP. A proxy may have rewritten `Host`; what it says in
    // `X-Forwarded-Host` counts then, since no page of another site can set that header.
    let from = text("origin").or_else(|| text("referer"));
    from.is_none_or(|from| {
        let host = from.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
        let own = address(request);
        host == own.split_once("://").map(|(_, host)| host)
    })
}

/// Middleware: a request that could change something and comes from another site is refused.
///
/// # Errors
/// Those of the service behind it.
pub async fn refuse_cross_site<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    if request.method().is_safe() || same_origin(request.request()) {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    let problem = Problem::new(
        StatusCode::FORBIDDEN,
        "cross_site",
        "a page of another site sent this request; open the form here and send it again",
    );
    Ok(request.into_response(problem.error_response()).map_into_right_body())
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App, HttpResponse,
        http::{Method, StatusCode},
        middleware::from_fn,
        test::{TestRequest, call_service, init_service, read_body},
        web,
    };

    use super::{refuse_cross_site, same_origin};

    #[test]
    fn another_site_cannot_post_a_form() {
        let request = |headers: &[(&'static str, &'static str)]| {
            headers.iter().fold(TestRequest::post(), |r, h| r.insert_header(*h)).to_http_request()
        };
        for foreign in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "https://evil.example"), ("host", "localhost:8080")],
            &[("referer", "http://evil.example/page"), ("host", "localhost:8080")],
            &[("origin", "null"), ("host", "localhost:8080")],
            &[("origin", "http://\u{e9}vil.example"), ("host", "localhost:8080")],
        ] {
            assert!(!same_origin(&request(foreign)), "{foreign:?}");
        }
        for own in [
            &[][..],
            &[("origin", "http://localhost:8080"), ("host", "localhost:8080")],
            &[("referer", "http://localhost:8080/edges?x=1"), ("host", "localhost:8080")],
            &[
                ("origin", "https://models.example"),
                ("host", "10.0.0.1"),
                ("x-forwarded-host", "models.example"),
            ],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://models.example"), ("host", "10.0.0.1")],
        ] {
            assert!(same_origin(&request(own)), "{own:?}");
        }
    }

    #[actix_web::test]
    async fn every_unsafe_method_from_another_site_is_refused_and_safe_ones_pass() {
        let app = init_service(
            App::new().wrap(from_fn(refuse_cross_site)).default_service(web::to(HttpResponse::Ok)),
        )
        .await;
        let ask = |method: &Method| {
            TestRequest::with_uri("/api/v1/models/a/b")
                .method(method.clone())
                .insert_header(("sec-fetch-site", "cross-site"))
                .to_request()
        };

        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = call_service(&app, ask(&method)).await;

            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{method}");
            assert_eq!(answer.headers().get("content-type").unwrap(), "application/problem+json");
            let body = String::from_utf8(read_body(answer).await.to_vec()).unwrap();
            assert!(body.contains("\"code\":\"cross_site\""), "{body}");
        }
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert_eq!(call_service(&app, ask(&method)).await.status(), StatusCode::OK, "{method}");
        }
    }
}
