//! What caches may do with an answer that says nothing about it itself.

use actix_web::{
    HttpMessage as _,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderValue},
    middleware::Next,
};
use store::TokenRow;

/// Middleware: an answer is asked for anew each time, since what is open may be closed meanwhile; what the bearer of a token
/// got, such as by the cookie of a browser, no cache keeps for others. An answer with a rule of its own keeps it.
///
/// # Errors
/// Those of the service behind it.
pub async fn limit_caches<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let mut answer = next.call(request).await?;
    if answer.headers().contains_key(header::CACHE_CONTROL) {
        return Ok(answer);
    }
    let named = answer.request().extensions().contains::<TokenRow>();
    let rule = if named { "private, no-cache" } else { "no-cache" };
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(rule));
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpResponse, middleware::from_fn, test, web};
    use store::Scope;

    use super::*;

    async fn rule(path: &str, token: Option<TokenRow>) -> String {
        let own = || async { HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).finish() };
        let app = App::new()
            .wrap(from_fn(limit_caches))
            .route("/plain", web::get().to(HttpResponse::Ok))
            .route("/own", web::get().to(own));
        let request = test::TestRequest::get().uri(path).to_request();
        if let Some(token) = token {
            request.extensions_mut().insert(token);
        }
        let answer = test::call_service(&test::init_service(app).await, request).await;
        answer.headers().get(header::CACHE_CONTROL).unwrap().to_str().unwrap().to_owned()
    }

    #[actix_web::test]
    async fn what_a_token_let_through_is_private_and_an_answer_with_a_rule_keeps_it() {
        let token = || TokenRow {
            id: 1,
            owner: "ann".to_owned(),
            label: String::new(),
            scope: Scope::Read,
            created_at: 0,
            expires_at: None,
            last_used_on: None,
        };

        let told = [rule("/plain", None).await, rule("/plain", Some(token())).await];
        let kept = [rule("/own", None).await, rule("/own", Some(token())).await];

        assert_eq!(told, ["no-cache", "private, no-cache"]);
        assert_eq!(kept, ["no-store", "no-store"]);
    }
}
