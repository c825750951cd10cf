//! HEAD wherever GET is: the request is answered as GET, then its body is dropped and its length kept.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    HttpMessage as _, HttpRequest,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web::Bytes,
};

/// Marks a request that was HEAD before it was routed as GET.
#[derive(Clone, Copy)]
struct Head;

/// Whether the client asked by HEAD, for handlers that need not prepare a body then.
pub fn asked_by_head(request: &HttpRequest) -> bool {
    request.method() == Method::HEAD || request.extensions().contains::<Head>()
}

/// Middleware: routes HEAD as GET and sends the headers alone.
///
/// # Errors
/// Those of the service behind it.
pub async fn answer_head<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if request.method() != Method::HEAD {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    request.extensions_mut().insert(Head);
    request.head_mut().method = Method::GET;
    let answer = next.call(request).await?;
    Ok(answer.map_body(|_, body| BoxBody::new(Unsent(body.size()))))
}

/// A body known by its size only.
struct Unsent(BodySize);

impl MessageBody for Unsent {
    type Error = actix_web::Error;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpRequest, HttpResponse, body::MessageBody as _, middleware::from_fn, test, web};

    use super::{answer_head, asked_by_head};

    async fn page(request: HttpRequest) -> HttpResponse {
        let told = if asked_by_head(&request) { "head" } else { "get" };
        HttpResponse::Ok().insert_header(("x-asked-by", told)).body("twelve bytes")
    }

    #[actix_web::test]
    async fn head_gets_the_headers_and_the_length_of_get_without_its_body() {
        let app = test::init_service(
            App::new().wrap(from_fn(answer_head)).route("/{org}/{name}", web::get().to(page)),
        )
        .await;

        let request = test::TestRequest::with_uri("/org/name").method(actix_web::http::Method::HEAD);
        let answer = test::call_service(&app, request.to_request()).await;

        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers().get("x-asked-by").unwrap(), "head");
        assert_eq!(answer.response().body().size(), actix_web::body::BodySize::Sized(12));
        assert!(test::read_body(answer).await.is_empty());
    }

    #[actix_web::test]
    async fn get_is_left_as_it_is() {
        let app = test::init_service(
            App::new().wrap(from_fn(answer_head)).route("/{org}/{name}", web::get().to(page)),
        )
        .await;

        let answer = test::call_service(&app, test::TestRequest::with_uri("/org/name").to_request()).await;

        assert_eq!(answer.headers().get("x-asked-by").unwrap(), "get");
        assert_eq!(test::read_body(answer).await, "twelve bytes");
    }
}
