//! The pages over HTTP.

use std::sync::Arc;

use actix_web::{
    App,
    http::StatusCode,
    middleware::from_fn,
    test,
    web::{Data, PayloadConfig},
};

use crate::fake::Fake;

/// Status, address that it leads to, and page that a request gets from a source whose texts carry `mark`.
pub async fn ask(mark: &str, request: test::TestRequest) -> (StatusCode, String, String) {
    let source: Arc<dyn web::Source> = Arc::new(Fake { mark: mark.to_owned() });
    let app = App::new()
        .app_data(Data::from(source))
        .app_data(PayloadConfig::new(10_000))
        .wrap(from_fn(http::refuse_cross_site))
        .configure(web::configure_docs)
        .configure(web::configure);
    let app = test::init_service(app).await;
    let answer = test::call_service(&app, request.to_request()).await;
    let status = answer.status();
    let location =
        answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let policy = answer.headers().get("content-security-policy").cloned();
    let body = String::from_utf8(test::read_body(answer).await.to_vec()).unwrap();
    if body.starts_with("<!doctype") {
        assert_eq!(policy.unwrap().to_str().unwrap(), web::CONTENT_SECURITY_POLICY);
    }
    (status, location, body)
}

/// The same of an address, with honest texts.
pub async fn get(address: &str) -> (StatusCode, String, String) {
    ask("", test::TestRequest::get().uri(&address.replace('<', "%3C").replace('>', "%3E"))).await
}
