//! Licences: what each asks, and where those of children drop what those of their parents ask.

use actix_web::HttpRequest;
use askama::Template;
use domain::licence::{LICENCES, Licence};

use super::{Answer, Data, reports};
use crate::{
    answer,
    asked::Asked,
    svg::plot::Plot,
    view::{LicenceClass, Name, ReportCell, ReportSection},
};

/// The report whose tables stand here too.
const REPORT: &str = "licences";

struct Known {
    licence: &'static Licence,
    class: LicenceClass,
    asks: String,
}

#[derive(Template)]
#[template(path = "pages/licences.html")]
struct Page {
    pending: bool,
    stale: bool,
    sections: Vec<(ReportSection, Plot)>,
    known: Vec<Known>,
}

/// `GET /licences`, and `?model=` on to the way down to one model.
pub async fn show(source: Data, request: HttpRequest) -> Answer {
    if let Some(model) = Asked::read(request.query_string()).get("model") {
        return Ok(answer::see_other(&format!("{}#licence", Name::from(model.trim()).href())));
    }
    let drawn = reports::drawn(&source, REPORT).await?.unwrap_or_default();
    let known = LICENCES
        .iter()
        .map(|licence| Known {
            class: LicenceClass::of(Some(licence.id)),
            asks: licence.obligations.iter().map(|one| one.phrase()).collect::<Vec<_>>().join("; "),
            licence,
        })
        .collect();
    Ok(answer::ok(&Page { pending: drawn.pending, stale: drawn.stale, sections: drawn.sections, known }))
}
