//! The form for a transfer: target base + λ · (source tuned − source base).

use actix_web::{HttpRequest, http::StatusCode, web};
use askama::Template;
use domain::Item;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    view::{TransferCheck, TransferForm, encoded},
};

#[derive(Template)]
#[template(path = "pages/transfers.html")]
struct Page {
    form: TransferForm,
    presets: [(&'static str, &'static str); 3],
    check: Option<TransferCheck>,
    fault: Option<String>,
    items: Vec<Item>,
}

const PRESETS: [(&str, &str); 3] = [
    ("diff_vector", "every tensor, and the fine-tune's tokenizer"),
    ("shadow_ft", "only the projections of attention and MLP"),
    ("chat_vector", "as the first, for λ from 0.5 to 1"),
];

impl Page {
    /// A field that is folded away holds something.
    fn says_more(&self) -> bool {
        !self.form.include.is_empty() || !self.form.exclude.is_empty()
    }

    fn of(form: TransferForm) -> Self {
        Self { form, presets: PRESETS, check: None, fault: None, items: Vec::new() }
    }
}

/// `GET /transfers/new?source_tuned=`: the base is taken from the tree where it is not named.
pub async fn form(source: Data, request: HttpRequest) -> Answer {
    let mut form = read(&Asked::read(request.query_string()));
    if form.source_base.is_empty() && !form.source_tuned.is_empty() {
        let tuned = source.model(&form.source_tuned, None).await?;
        form.source_base = tuned.and_then(|tuned| tuned.path.last().cloned()).unwrap_or_default().0;
    }
    Ok(answer::ok(&Page::of(form)))
}

/// `POST /transfers/new`, to look before (`do=check`) or to start.
pub async fn submit(source: Data, body: actix_web::Result<web::Bytes>) -> Answer {
    let asked = match answer::form(body) {
        Ok(bytes) => Asked::body(&bytes),
        Err(refusal) => return Ok(refusal),
    };
    let (form, checks) = (read(&asked), asked.get("do") == Some("check"));
    let mut needed = vec![&form.target_base, &form.source_base, &form.source_tuned];
    let missing = match checks {
        true => "Fill in all three models.",
        false => {
            needed.push(&form.output);
            "Fill in all three models and the name of the new one."
        }
    };
    if needed.iter().any(|field| field.is_empty()) {
        let page = Page { fault: Some(missing.to_owned()), ..Page::of(form) };
        return Ok(answer::page(StatusCode::UNPROCESSABLE_ENTITY, &page));
    }
    if checks {
        let check = Some(source.check_transfer(&form).await?);
        return Ok(answer::ok(&Page { check, ..Page::of(form) }));
    }
    match source.submit_transfer(&form).await {
        Ok(job) => Ok(answer::see_other(&format!("/jobs/{}", encoded(&job)))),
        Err(failure) => {
            let page = Page { fault: Some(failure.detail), items: failure.items, ..Page::of(form) };
            Ok(answer::page(http::status_of(failure.class), &page))
        }
    }
}

fn read(asked: &Asked) -> TransferForm {
    TransferForm {
        target_base: asked.text("target_base"),
        source_base: asked.text("source_base"),
        source_tuned: asked.text("source_tuned"),
        lambda: asked.get("lambda").unwrap_or("1").to_owned(),
        preset: asked.get("preset").unwrap_or(PRESETS[0].0).to_owned(),
        include: asked.text("include"),
        exclude: asked.text("exclude"),
        output: asked.text("output"),
    }
}
