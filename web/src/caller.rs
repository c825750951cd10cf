//! Who asks: the person behind a form, what they lack to send one, and whether the script asks for a part of a page.

use actix_web::HttpRequest;
use domain::Class;
use http::Problem;

use crate::{source::Failure, view::SignIn};

/// What is told where a name is needed and the one that the browser brings is no good any more.
const ENDED: &str =
    "Your session has ended, or its token has. Sign in again at `/login`, then send this once more.";

/// What is told above the forms of a page that would be refused, or taken for those of a stranger.
///
/// # Errors
/// When it cannot be told who asks.
pub async fn sign_in(request: &HttpRequest) -> Result<Option<SignIn>, Failure> {
    let lack = http::lack(request).await.map_err(of_problem)?;
    Ok(lack.map(|lack| SignIn::of(lack, http::whence(request).as_deref())))
}

/// A failure of the rooms below, as a page tells it.
fn of_problem(problem: Problem) -> Failure {
    let class = if problem.status == 503 { Class::Unavailable } else { Class::Internal };
    Failure::new(class, &problem.code, problem.detail)
}

/// Who sent a form.
///
/// # Errors
/// When the session of the browser has ended.
pub async fn person(request: &HttpRequest) -> Result<String, Failure> {
    http::person(request).await.map_err(|problem| match problem.status {
        401 => Failure::new(Class::Forbidden, "bad_token", ENDED),
        _ => of_problem(problem),
    })
}

/// Whether the script asks, for a part of a page.
pub fn wants_part(request: &HttpRequest) -> bool {
    request.headers().contains_key("HX-Request")
}
