//! Every request has an id, its client's or one made here: on the answer, in the log, and in what a problem says.

use actix_web::{
    HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
};
use tracing::Instrument as _;
use ulid::Ulid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id of a client that is taken over.
const LONGEST: usize = 128;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that is being answered; a new one where none is.
pub(crate) fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_else(|_| Ulid::generate().to_string())
}

/// The client's own id, where it is one that a log can hold.
fn given(request: &HttpRequest) -> Option<String> {
    let text = request.headers().get(HEADER)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=;/+".contains(&byte);
    ((1..=LONGEST).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
}

/// Middleware: gives every answer the id of its request, and notes those that say that something failed here.
///
/// # Errors
/// Those of the service behind it.
pub async fn identify<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let id = given(request.request()).unwrap_or_else(|| Ulid::generate().to_string());
    // At the level of errors, so that no filter of the log leaves the id out of a line.
    let span = tracing::error_span!("request", request_id = %id);
    let mut answer = CURRENT.scope(id.clone(), noted(request, next)).instrument(span).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(HEADER, value);
    }
    Ok(answer)
}

/// Answers, and notes what says that something failed here.
async fn noted<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let answer = next.call(request).await?;
    let status = answer.status();
    if status.is_server_error() {
        let asked = answer.request();
        let route = asked.match_pattern().unwrap_or_else(|| "unmatched".to_owned());
        tracing::warn!(status = status.as_u16(), method = %asked.method(), route, "not answered");
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App, HttpResponse, ResponseError as _,
        http::StatusCode,
        middleware::from_fn,
        test::{TestRequest, call_service, init_service, read_body_json},
        web,
    };
    use serde_json::Value;

    use super::identify;
    use crate::Problem;

    async fn ask(sent: Option<&str>, address: &str) -> (String, Value) {
        let broken =
            async || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "blob_store", "down").error_response();
        let app = init_service(
            App::new()
                .wrap(from_fn(identify))
                .route("/well", web::get().to(async || HttpResponse::Ok().json("well")))
                .route("/broken", web::get().to(broken)),
        )
        .await;
        let request = TestRequest::get().uri(address);
        let request =
            sent.into_iter().fold(request, |request, id| request.insert_header(("x-request-id", id)));
        let answer = call_service(&app, request.to_request()).await;
        let ids: Vec<_> = answer.headers().get_all("x-request-id").collect();
        assert_eq!(ids.len(), 1);
        (ids[0].to_str().unwrap().to_owned(), read_body_json(answer).await)
    }

    #[actix_web::test]
    async fn every_answer_has_an_id_and_a_well_formed_one_of_the_client_comes_back() {
        let (first, _) = ask(None, "/well").await;
        let (second, _) = ask(None, "/well").await;

        assert_eq!([first.len(), second.len()], [26, 26]);
        assert_ne!(first, second);
        assert_eq!(ask(Some("Root=1-67a;a/b+c"), "/well").await.0, "Root=1-67a;a/b+c");
        for odd in ["", "two words", "a\"b", &"x".repeat(129)] {
            assert_eq!(ask(Some(odd), "/well").await.0.len(), 26, "{odd}");
        }
    }

    #[actix_web::test]
    async fn a_problem_stands_under_the_id_of_its_request() {
        for sent in [None, Some("mine-1")] {
            let (id, body) = ask(sent, "/broken").await;

            assert_eq!(body["instance"], id.as_str());
            assert!(sent.is_none_or(|sent| sent == id));
        }
    }
}
