//! Discussions and pull requests, which this registry does not keep: whoever asks for them is told so.

use actix_web::{HttpResponse, http::StatusCode};
use http::Problem;
use serde_json::json;

use super::{Call, answer, stop::Outcome};

/// 403 for what would start one.
pub fn none_here() -> Problem {
    let told = "discussions and pull requests are not kept here; commit to a branch";
    Problem::new(StatusCode::FORBIDDEN, "forbidden", told)
}

/// `GET …/discussions[/NUMBER]`: there are none.
///
/// # Errors
/// 404 for a repository that is not here, and for every number.
pub async fn list(call: &Call<'_>) -> Outcome {
    let row = answer::find(call).await?;
    match call.part(0) {
        None => Ok(HttpResponse::Ok().json(json!({ "discussions": [], "count": 0, "start": 0 }))),
        Some(number) => {
            let told = format!("discussion `{number}` of `{}` (discussions are not kept here; it)", row.name);
            Err(Problem::not_found(told).into())
        }
    }
}

/// `POST …/discussions[/…]`.
///
/// # Errors
/// 404 for a repository that is not here, else 403.
pub async fn refuse(call: &Call<'_>) -> Outcome {
    answer::find(call).await?;
    Err(none_here().into())
}
