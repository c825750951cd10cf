//! Who am I: my tokens and organisations; and the forms about access to gated models.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use http::Lack;

use super::{Answer, Data};
use crate::{
    answer,
    form::Form,
    source::{self, Source},
    view::{AccountPage, Name, TokenForm},
};

#[derive(Template)]
#[template(path = "pages/settings.html")]
struct Page {
    account: AccountPage,
    /// The secret of the token that was just made.
    secret: Option<String>,
    fault: Option<String>,
    form: TokenForm,
}

async fn page(source: &dyn Source, fill: impl FnOnce(AccountPage) -> (StatusCode, Page)) -> Answer {
    Ok(match source.account().await? {
        Some(account) => {
            let (status, page) = fill(account);
            answer::page(status, &page)
        }
        None => answer::see_other(&http::way_in(Lack::Token, Some("/settings"))),
    })
}

/// `GET /settings`
pub async fn show(source: Data) -> Answer {
    let form = TokenForm::default();
    page(&*source, |account| (StatusCode::OK, Page { account, secret: None, fault: None, form })).await
}

/// `POST /settings/tokens`
pub async fn create(source: Data, Form(asked): Form) -> Answer {
    let text = |key: &str| asked.text(key);
    let form = TokenForm { label: text("label"), read_only: text("read_only"), days: text("days") };
    let made = source.create_token(&form).await;
    page(&*source, |account| match made {
        Ok(secret) => {
            let (secret, form) = (Some(secret), TokenForm::default());
            (StatusCode::CREATED, Page { account, secret, fault: None, form })
        }
        Err(failure) => {
            let (status, fault) = (http::status_of(failure.class), Some(failure.detail));
            (status, Page { account, secret: None, fault, form })
        }
    })
    .await
}

/// `POST /settings/tokens/{id}/revoke`
pub async fn revoke(source: Data, id: web::Path<i64>) -> Answer {
    source.revoke_token(*id).await?;
    Ok(answer::see_other("/settings"))
}

/// `POST /settings/ask-access`: somebody asks for a gated model's files, which a token that may only read can do too.
pub async fn ask(source: Data, Form(asked): Form) -> Answer {
    let model = asked.text("model");
    Ok(back(&model, &[], source.ask_access(&model).await))
}

/// `POST /settings/access`: the owner of a gated model decides about somebody.
pub async fn access(source: Data, Form(asked): Form) -> Answer {
    let (model, person) = (asked.text("model"), asked.text("person"));
    let decided = source.decide_access(&model, (&person, &asked.text("decision"))).await;
    Ok(back(&model, &[("User", &person)], decided))
}

/// To the part of the model's page about access, or why nothing came of what was sent from there.
fn back(model: &str, typed: &[(&str, &str)], outcome: source::Result<()>) -> HttpResponse {
    let page = format!("{}#access", Name::from(model).href());
    match outcome {
        Ok(()) => answer::see_other(&page),
        Err(failure) => answer::refused(&failure, (page, model), typed),
    }
}
