//! Access to gated models: asked for, listed, granted and taken back.

use actix_web::{HttpRequest, HttpResponse, post, web, web::Payload};
use domain::Act;
use http::{Problem, Result, hub_path::Verb};
use serde::Deserialize;
use serde_json::json;
use store::{GrantState, ModelRow};

use super::{
    Call,
    answer::{self, date, hex_of, missing_model},
    stop::{Outcome, settled},
};
use crate::{models::ModelPath, seen::Seen};

/// Asks for the files of a gated model, as the button of the Hub's page does.
#[post("/{org}/{name}/ask-access")]
pub async fn ask_at_the_page(
    request: HttpRequest,
    registry: Seen,
    path: web::Path<ModelPath>,
) -> Result<HttpResponse> {
    let call = Call {
        request: &request,
        registry: &registry,
        id: path.id(),
        verb: Verb::AskAccess,
        rest: Vec::new(),
    };
    settled(ask(&call).await)
}

/// `POST …/ask-access`: at once where the gate is automatic, else somebody decides.
///
/// # Errors
/// 404; 400 for a model without a gate; 401 without a token.
pub async fn ask(call: &Call<'_>) -> Outcome {
    let row = answer::find(call).await?;
    let gate = row.gated.ok_or_else(|| no_gate(&row))?;
    let token = http::bearer(call.request, &call.registry.store).await?.ok_or_else(http::bad_token)?;
    let state = call.registry.store.ask_access((row.id, &token.owner), gate).await?;
    Ok(HttpResponse::Ok().json(json!({ "status": state })))
}

fn no_gate(row: &ModelRow) -> Problem {
    Problem::bad_request(format!("`{}` is not gated; everybody who sees it may read its files", row.name))
}

/// A user, or the number of their request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decision {
    user: Option<String>,
    request_id: Option<String>,
    status: Option<String>,
}

/// `GET …/user-access-request/{pending,accepted,rejected}` and `POST …/user-access-request/{handle,grant}`.
///
/// # Errors
/// 404, also for a user to let in who is not there; 403 for whoever is no administrator of the namespace; 400 for a
/// decision that cannot be read.
pub async fn requests(call: &Call<'_>, payload: Payload) -> Outcome {
    let row = answer::find(call).await?;
    call.registry.store.may_with(Act::Close, &row).await?;
    let word = call.part(0).unwrap_or_default();
    match (call.request.method().as_str(), GrantState::of(word), word) {
        ("GET", Some(state), _) => list(call, &row, state).await,
        ("POST", _, "handle" | "grant") => {
            row.gated.ok_or_else(|| no_gate(&row))?;
            decide(call, (&row, word), answer::body(call, payload).await?).await
        }
        _ => Err(missing_model(&call.id).into()),
    }
}

async fn list(call: &Call<'_>, row: &ModelRow, state: GrantState) -> Outcome {
    let most = call.registry.limits.report_rows as u64;
    let rows = call.registry.store.access_of(row.id, state, most).await?;
    let told = rows.iter().map(|one| {
        json!({
            "requestId": hex_of(&one.person, 24), "status": one.state, "timestamp": date(one.asked_at),
            "user": { "user": one.person, "fullname": one.person },
        })
    });
    Ok(HttpResponse::Ok().json(told.collect::<Vec<_>>()))
}

async fn decide(call: &Call<'_>, (row, word): (&ModelRow, &str), asked: Decision) -> Outcome {
    let store = &call.registry.store;
    let state = match asked.status.as_deref() {
        _ if word == "grant" => Some(GrantState::Accepted),
        Some(word) => GrantState::of(word),
        None => None,
    };
    let state = state.ok_or_else(|| Problem::bad_request("`status` is pending, accepted or rejected"))?;
    let person = match (asked.user, asked.request_id) {
        (Some(user), _) => Some(user),
        (None, Some(id)) => {
            let mut known = Vec::new();
            for state in GrantState::ALL {
                known.extend(store.access_of(row.id, state, call.registry.limits.report_rows as u64).await?);
            }
            known.into_iter().map(|one| one.person).find(|person| hex_of(person, 24) == id)
        }
        (None, None) => None,
    };
    let person =
        person.ok_or_else(|| Problem::bad_request("name the `user`, or a `requestId` of the lists"))?;
    jobs::decide_access(call.registry, &row.name, (&person, state)).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}
