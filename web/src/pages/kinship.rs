//! The kinship of several models as a table of shaded numbers.

use actix_web::HttpRequest;
use askama::Template;
use domain::Item;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    svg::{
        dendrogram::{self, Dendrogram},
        heat::{self, Distance},
    },
    view::{self, Fraction, KinshipPage, KinshipQuery, MeasureCard, Name, encoded},
};

#[derive(Template)]
#[template(path = "pages/kinship.html")]
struct Page {
    names: String,
    base: String,
    measures: Vec<(MeasureCard, bool)>,
    report: Option<KinshipPage>,
    rows: Vec<(Name, Vec<Shade>)>,
    /// Lines of the field of names.
    lines: usize,
    as_given: bool,
    /// The same in the other order.
    turned: String,
    dendrogram: Option<Dendrogram>,
    csv: String,
    /// Where the same is read from the weights.
    exact: String,
    ramp: Vec<String>,
    fault: Option<String>,
    items: Vec<Item>,
}

/// One cell as drawn.
struct Shade {
    class: String,
    text: String,
    /// `± …` of an estimate.
    error: String,
    reason: String,
}

/// `GET /kinship?of=a&of=b&base=c&measure=cosine`; one `of` may hold several names, one a line. `exact=true` reads the
/// weights even where sketches answer; `order=given` keeps the order of the names.
pub async fn show(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let names: Vec<String> = asked
        .all("of")
        .iter()
        .flat_map(|text| text.split([',', '\n', '\r', ' ']))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .take(100)
        .map(str::to_owned)
        .collect();
    let measures = source.measures();
    let first = measures.first().map_or("cosine", |measure| measure.id.as_str());
    let measure = asked.get("measure").unwrap_or(first).to_owned();
    let exact = asked.get("exact") == Some("true");
    let as_given = asked.get("order") == Some("given");
    let base = asked.get("base").map(str::to_owned);
    let query = KinshipQuery { names, base, measure, exact, as_given };
    let mut page = Page {
        names: query.names.join("\n"),
        base: query.base.clone().unwrap_or_default(),
        measures: measures
            .into_iter()
            .map(|card| (card.id == query.measure, card))
            .map(|(on, card)| (card, on))
            .collect(),
        report: None,
        rows: Vec::new(),
        lines: query.names.len().clamp(4, 12),
        as_given,
        turned: format!("/kinship?{}", question(&KinshipQuery { as_given: !as_given, ..query.clone() })),
        dendrogram: None,
        csv: format!(
            "/api/v1/kinship?{}&format=csv",
            question(&KinshipQuery { as_given: false, ..query.clone() })
        ),
        exact: format!("/kinship?{}", question(&KinshipQuery { exact: true, ..query.clone() })),
        ramp: (0..=10).map(|step| format!("heat-{step}")).collect(),
        fault: None,
        items: Vec::new(),
    };
    match query.names.len() {
        0 => return Ok(answer::ok(&page)),
        1 => page.fault = Some("Name at least two models.".to_owned()),
        _ => match source.kinship(&query).await {
            Ok(view::Answer::Job(id)) => return Ok(answer::see_other(&format!("/jobs/{}", encoded(&id)))),
            Ok(view::Answer::Ready(report)) => {
                page.rows = shades(&report);
                page.dendrogram = dendrogram::draw(&report.models, &report.joins);
                page.report = Some(*report);
                return Ok(answer::ok(&page));
            }
            Err(failure) => {
                page.fault = Some(failure.detail);
                page.items = failure.items;
                return Ok(answer::page(http::status_of(failure.class), &page));
            }
        },
    }
    Ok(answer::page(actix_web::http::StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// The query string that asks `query` again.
fn question(query: &KinshipQuery) -> String {
    let mut pairs: Vec<String> = query.names.iter().map(|name| format!("of={}", encoded(name))).collect();
    pairs.extend(query.base.iter().map(|base| format!("base={}", encoded(base))));
    pairs.push(format!("measure={}", encoded(&query.measure)));
    if query.exact {
        pairs.push("exact=true".to_owned());
    }
    if query.as_given {
        pairs.push("order=given".to_owned());
    }
    pairs.join("&")
}

fn shades(report: &KinshipPage) -> Vec<(Name, Vec<Shade>)> {
    let distance = if report.measure == "euclidean" { Distance::Yes } else { Distance::No };
    let largest = report.matrix.iter().flatten().filter_map(|cell| cell.value).fold(0.0, f64::max);
    let written =
        |value: f64| if value.abs() < 1000.0 { format!("{value:.3}") } else { Fraction(value).to_string() };
    let shade = |cell: &view::Cell| match cell.value {
        Some(value) => Shade {
            class: heat::class(value, largest, distance),
            text: written(value),
            error: cell.error.map(|error| format!("± {}", written(error))).unwrap_or_default(),
            reason: String::new(),
        },
        None => Shade {
            class: "hatched".to_owned(),
            text: "n/a".to_owned(),
            error: String::new(),
            reason: cell.reason.clone().unwrap_or_else(|| "not comparable".to_owned()),
        },
    };
    report
        .models
        .iter()
        .cloned()
        .zip(report.matrix.iter().map(|row| row.iter().map(shade).collect()))
        .collect()
}
