//! The form for a transfer: target base + λ · (source tuned − source base).

use actix_web::{HttpRequest, http::StatusCode, web};
use askama::Template;
use domain::Item;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    view::{TransferForm, encoded},
};

#[derive(Template)]
#[template(path = "pages/transfers.html")]
struct Page {
    form: TransferForm,
    fault: Option<String>,
    items: Vec<Item>,
}

/// `GET /transfers/new`
pub async fn form(request: HttpRequest) -> Answer {
    let form = read(&Asked::read(request.query_string()));
    Ok(answer::ok(&Page { form, fault: None, items: Vec::new() }))
}

/// `POST /transfers/new`
pub async fn submit(source: Data, body: actix_web::Result<web::Bytes>) -> Answer {
    let form = match answer::form(body) {
        Ok(bytes) => read(&Asked::body(&bytes)),
        Err(refusal) => return Ok(refusal),
    };
    let needed = [&form.target_base, &form.source_base, &form.source_tuned, &form.output];
    if needed.iter().any(|field| field.is_empty()) {
        let fault = Some("Fill in all three models and the name of the new one.".to_owned());
        return Ok(answer::page(StatusCode::UNPROCESSABLE_ENTITY, &Page { form, fault, items: Vec::new() }));
    }
    match source.submit_transfer(&form).await {
        Ok(job) => Ok(answer::see_other(&format!("/jobs/{}", encoded(&job)))),
        Err(failure) => {
            let fault = Some(failure.detail);
            Ok(answer::page(http::status_of(failure.class), &Page { form, fault, items: failure.items }))
        }
    }
}

fn read(asked: &Asked) -> TransferForm {
    TransferForm {
        target_base: asked.text("target_base"),
        source_base: asked.text("source_base"),
        source_tuned: asked.text("source_tuned"),
        lambda: asked.get("lambda").unwrap_or("1").to_owned(),
        output: asked.text("output"),
    }
}
