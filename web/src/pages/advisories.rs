//! Advisories: the list with its form, one of them with those it reaches, and its withdrawal.

use actix_web::{HttpRequest, http::StatusCode, web};
use askama::Template;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    caller::{person, sign_in},
    form::Form,
    view::{AdvisoryForm, AdvisoryPage, AdvisoryRow, Faults, Field, KINDS, SEVERITIES, SignIn, encoded},
};

#[derive(Template)]
#[template(path = "pages/advisories.html")]
struct List {
    rows: Vec<AdvisoryRow>,
    next: Option<String>,
    form: AdvisoryForm,
    faults: Faults,
    sign_in: Option<SignIn>,
}

/// The fields in the order of the form.
const FIELDS: [Field; 7] = [
    Field { pointer: "/model", name: "model", label: "Model" },
    Field { pointer: "/digest", name: "digest", label: "Digest" },
    Field { pointer: "/kind", name: "kind", label: "Kind" },
    Field { pointer: "/severity", name: "severity", label: "Severity" },
    Field { pointer: "/summary", name: "summary", label: "Summary" },
    Field { pointer: "/details", name: "details", label: "Details" },
    Field { pointer: "/link", name: "link", label: "Link" },
];

#[derive(Template)]
#[template(path = "pages/advisory.html")]
struct One {
    page: AdvisoryPage,
    next: Option<String>,
    sign_in: Option<SignIn>,
}

/// `GET /advisories?cursor=&model=`
pub async fn list(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let form = AdvisoryForm { model: asked.text("model"), ..AdvisoryForm::default() };
    let (rows, next) = source.advisories(asked.get("cursor")).await?;
    let next = next.map(|cursor| format!("/advisories?cursor={}", encoded(&cursor)));
    let sign_in = sign_in(&request).await?;
    Ok(answer::ok(&List { rows, next, form, faults: Faults::default(), sign_in }))
}

/// `POST /advisories`
pub async fn file(source: Data, request: HttpRequest, Form(asked): Form) -> Answer {
    let text = |key: &str| asked.text(key);
    let form = AdvisoryForm {
        model: text("model"),
        digest: text("digest"),
        kind: text("kind"),
        severity: text("severity"),
        summary: text("summary"),
        details: text("details"),
        link: text("link"),
    };
    // A session that has ended costs nobody what was typed.
    let filed = async { source.file_advisory(&form, &person(&request).await?).await };
    match filed.await {
        Ok(id) => Ok(answer::see_other(&format!("/advisories/{}", encoded(&id)))),
        Err(failure) => {
            let status = http::status_of(failure.class);
            let (rows, next, faults) = (Vec::new(), None, Faults::of(failure, &FIELDS));
            let page = List { rows, next, form, faults, sign_in: sign_in(&request).await? };
            let status =
                if status == StatusCode::NOT_FOUND { StatusCode::UNPROCESSABLE_ENTITY } else { status };
            Ok(answer::page(status, &page))
        }
    }
}

/// `GET /advisories/{id}?cursor=`
pub async fn show(source: Data, request: HttpRequest, id: web::Path<String>) -> Answer {
    let asked = Asked::read(request.query_string());
    let Some(page) = source.advisory(&id, asked.get("cursor")).await? else {
        return Ok(answer::not_found(&format!("There is no advisory `{id}`.")));
    };
    let next = page.next.as_ref().map(|cursor| format!("{}?cursor={}", page.row.href(), encoded(cursor)));
    let sign_in = sign_in(&request).await?;
    Ok(answer::ok(&One { page, next, sign_in }))
}

/// `POST /advisories/{id}/withdraw`
pub async fn withdraw(
    source: Data,
    request: HttpRequest,
    id: web::Path<String>,
    Form(asked): Form,
) -> Answer {
    let (page, reason) = (format!("/advisories/{}", encoded(&id)), asked.text("reason"));
    let withdrawn = async { source.withdraw_advisory(&id, (&person(&request).await?, &reason)).await };
    Ok(match withdrawn.await {
        Ok(()) => answer::see_other(&page),
        Err(failure) => answer::refused(&failure, (page, &id), &[("Reason", &reason)]),
    })
}
