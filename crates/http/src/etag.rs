//! Strong entity tags.

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, StatusCode, header},
    middleware::Next,
};
use domain::Digest;

/// What an answer that is not sent again says all the same.
const KEPT: [header::HeaderName; 4] = [header::CACHE_CONTROL, header::LINK, header::VARY, header::SET_COOKIE];

/// The state of what an answer tells, such as a model's commit; its tag begins with it, so that a write may name it.
/// Extension of an answer.
pub struct State(pub String);

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

/// Middleware: answers to GET that are whole in memory get a strong tag of their bytes, and are not sent again to a
/// client that names it. Streams, and answers with a tag of their own, pass.
///
/// # Errors
/// Those of the service behind it.
pub async fn tag_answers<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let read = request.method() == Method::GET;
    let answer = next.call(request).await?.map_into_boxed_body();
    if !read || answer.status() != StatusCode::OK || answer.headers().contains_key(header::ETAG) {
        return Ok(answer);
    }
    let state = answer.response().extensions().get::<State>().map(|State(state)| format!("{state}."));
    let (request, answer) = answer.into_parts();
    let (mut head, body) = answer.into_parts();
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(stream) => return Ok(ServiceResponse::new(request, head.set_body(stream))),
    };
    let etag = strong_etag(format!("{}{}", state.unwrap_or_default(), Digest::of(&bytes).hex()));
    if not_modified(&request, &etag) {
        let mut unsent = HttpResponse::NotModified();
        unsent.insert_header((header::ETAG, etag));
        for name in KEPT {
            head.headers().get_all(&name).for_each(|value| {
                unsent.append_header((name.clone(), value.clone()));
            });
        }
        return Ok(ServiceResponse::new(request, unsent.finish()));
    }
    if let Ok(value) = header::HeaderValue::from_str(&etag) {
        head.headers_mut().insert(header::ETAG, value);
    }
    Ok(ServiceResponse::new(request, head.set_body(BoxBody::new(bytes))))
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpResponse, middleware::from_fn, test, web};
    use futures::stream;

    use super::*;

    async fn asked(request: test::TestRequest) -> ServiceResponse<impl MessageBody> {
        let streamed = || async {
            let parts = stream::iter([Ok::<_, actix_web::Error>(web::Bytes::from_static(b"part"))]);
            HttpResponse::Ok().streaming(parts)
        };
        let own = || async { HttpResponse::Ok().insert_header((header::ETAG, "\"own\"")).body("whole") };
        let kept = || async { HttpResponse::Ok().insert_header((header::VARY, "Accept")).body("whole") };
        let app = App::new()
            .wrap(from_fn(tag_answers))
            .route("/whole", web::get().to(kept))
            .route("/whole", web::post().to(kept))
            .route("/streamed", web::get().to(streamed))
            .route("/own", web::get().to(own));
        test::call_service(&test::init_service(app).await, request.to_request()).await
    }

    fn tag(answer: &ServiceResponse<impl MessageBody>) -> Option<String> {
        answer.headers().get(header::ETAG).map(|tag| tag.to_str().unwrap().to_owned())
    }

    #[actix_web::test]
    async fn a_whole_answer_has_a_tag_and_is_not_sent_again() {
        let first = asked(test::TestRequest::get().uri("/whole")).await;
        let tag = tag(&first).unwrap();

        let names = |tags: String| {
            test::TestRequest::get().uri("/whole").insert_header((header::IF_NONE_MATCH, tags))
        };
        let again = asked(names(format!("\"other\", {tag}"))).await;
        let other = asked(names("\"other\"".to_owned())).await;

        assert_eq!((first.status(), other.status()), (StatusCode::OK, StatusCode::OK));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers().get(header::VARY).unwrap(), "Accept");
        assert_eq!(self::tag(&again), Some(tag));
        assert_eq!(test::read_body(first).await, "whole");
        assert!(test::read_body(again).await.is_empty());
    }

    #[actix_web::test]
    async fn streams_and_writes_get_no_tag_and_a_tag_of_its_own_stays() {
        let streamed = asked(test::TestRequest::get().uri("/streamed")).await;
        let written = asked(test::TestRequest::post().uri("/whole")).await;
        let own = asked(test::TestRequest::get().uri("/own")).await;

        assert_eq!((tag(&streamed), tag(&written)), (None, None));
        assert_eq!(tag(&own).unwrap(), "\"own\"");
        assert_eq!(test::read_body(streamed).await, "part");
    }
}
