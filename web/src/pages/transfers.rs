//! The form for a transfer: target base + λ · (source tuned − source base).

use actix_web::HttpRequest;
use askama::Template;
use domain::Class;

use super::{Answer, Data, Offer, offers};
use crate::{
    answer,
    asked::Asked,
    caller::sign_in,
    form::Form,
    source::{self, Failure},
    view::{Faults, Field, Name, SignIn, TransferCheck, TransferForm, encoded},
};

#[derive(Template)]
#[template(path = "pages/transfers.html")]
struct Page {
    form: TransferForm,
    presets: [(&'static str, &'static str); 3],
    check: Option<TransferCheck>,
    faults: Faults,
    /// What may have been meant.
    offers: Vec<Offer>,
    asked: Deed,
    sign_in: Option<SignIn>,
}

/// What the form was sent for.
#[derive(Clone, Copy, PartialEq)]
enum Deed {
    Check,
    Start,
}

/// The fields in the order of the form.
const FIELDS: [Field; 8] = [
    Field { pointer: "/source_base", name: "source_base", label: "Base" },
    Field { pointer: "/source_tuned", name: "source_tuned", label: "Tuned from it" },
    Field { pointer: "/target_base", name: "target_base", label: "Target" },
    Field { pointer: "/lambda", name: "lambda", label: "λ, the strength" },
    Field { pointer: "/preset", name: "preset", label: "What is carried" },
    Field { pointer: "/include", name: "include", label: "Only names with" },
    Field { pointer: "/exclude", name: "exclude", label: "No names with" },
    Field { pointer: "/output", name: "output", label: "Name of the new model" },
];

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

    /// Whether the transfer was refused.
    fn refused(&self) -> bool {
        !self.faults.is_empty() && self.asked == Deed::Start
    }

    /// Whether the check found faults, which stand where its findings would.
    fn unfit(&self) -> bool {
        !self.faults.is_empty() && self.asked == Deed::Check
    }

    /// With all that is wrong with what was asked, and the names that may have been meant.
    async fn faulty(self, source: &Data, failure: Failure) -> Self {
        let (faults, form) = (Faults::of(failure, &FIELDS), &self.form);
        let typed = [
            ("source_base", form.source_base.as_str()),
            ("source_tuned", &form.source_tuned),
            ("target_base", &form.target_base),
        ];
        let offers = offers(source, (&faults, &typed), |field, near| address(form, (field, near))).await;
        Self { faults, offers, ..self }
    }

    async fn of(form: TransferForm, request: &HttpRequest) -> source::Result<Self> {
        let (faults, sign_in) = (Faults::default(), sign_in(request).await?);
        let (presets, offers) = (PRESETS, Vec::new());
        Ok(Self { form, presets, check: None, faults, offers, asked: Deed::Start, sign_in })
    }
}

/// `GET /transfers/new?source_tuned=`: the base is taken from the tree where it is not named.
pub async fn form(source: Data, request: HttpRequest) -> Answer {
    let mut form = read(&Asked::read(request.query_string()));
    if form.source_base.is_empty() && !form.source_tuned.is_empty() {
        let tuned = source.model(&form.source_tuned, None).await?;
        form.source_base = tuned.and_then(|tuned| tuned.path.last().cloned()).unwrap_or_default().0;
    }
    Ok(answer::ok(&Page::of(form, &request).await?))
}

/// `POST /transfers/new`, to look before (`do=check`) or to start.
pub async fn submit(source: Data, request: HttpRequest, Form(asked): Form) -> Answer {
    let form = read(&asked);
    if asked.get("do") == Some("check") {
        let mut check = source.check_transfer(&form).await?;
        let page = Page { asked: Deed::Check, ..Page::of(form, &request).await? };
        return Ok(match check.fault.take() {
            None => answer::ok(&Page { check: Some(check), ..page }),
            Some(detail) => {
                let failure =
                    Failure { items: check.items, ..Failure::new(Class::Invalid, "invalid_request", detail) };
                answer::ok(&page.faulty(&source, failure).await)
            }
        });
    }
    match source.submit_transfer(&form).await {
        Ok(job) => Ok(answer::see_other(&format!("/jobs/{}", encoded(&job)))),
        Err(failure) => {
            let status = http::status_of(failure.class);
            let page = Page::of(form, &request).await?.faulty(&source, failure).await;
            Ok(answer::page(status, &page))
        }
    }
}

/// The address of the form with another name in one of its fields.
fn address(form: &TransferForm, (field, near): (&str, &Name)) -> String {
    let fields = [
        ("source_base", &form.source_base),
        ("source_tuned", &form.source_tuned),
        ("target_base", &form.target_base),
        ("lambda", &form.lambda),
        ("preset", &form.preset),
        ("include", &form.include),
        ("exclude", &form.exclude),
        ("output", &form.output),
    ];
    let value = |key: &str, typed: &str| if key == field { near.query() } else { encoded(typed) };
    let pairs: Vec<String> = fields.map(|(key, typed)| format!("{key}={}", value(key, typed))).to_vec();
    format!("/transfers/new?{}", pairs.join("&"))
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
