//! Reports over the whole registry: a list of them, and each as plots with tables.

use actix_web::web;
use askama::Template;

use super::{Answer, Data};
use crate::{
    answer, source,
    svg::plot::{self, Plot, Scale},
    view::{Bars, ReportAnswer, ReportBar, ReportCard, ReportCell, ReportSection},
};

#[derive(Template)]
#[template(path = "pages/reports.html")]
struct List {
    cards: Vec<ReportCard>,
}

#[derive(Template)]
#[template(path = "pages/report.html")]
struct Page {
    card: ReportCard,
    stale: bool,
    pending: bool,
    sections: Vec<(ReportSection, Plot)>,
    cards: Vec<ReportCard>,
}

impl Page {
    /// All rows, as a file.
    fn csv(&self) -> String {
        format!("/api/v1/reports/{}?format=csv", self.card.id)
    }
}

/// `GET /reports`
pub async fn list(source: Data) -> Answer {
    Ok(answer::ok(&List { cards: source.reports() }))
}

/// A report with its plots.
#[derive(Default)]
pub(super) struct Drawn {
    card: ReportCard,
    /// The registry has changed since it was made.
    pub stale: bool,
    /// It is being made for the first time.
    pub pending: bool,
    pub sections: Vec<(ReportSection, Plot)>,
}

/// A report by its word, as it stands.
pub(super) async fn drawn(source: &Data, word: &str) -> source::Result<Option<Drawn>> {
    Ok(source.report(word).await?.map(|answer| match answer {
        ReportAnswer::Pending(card) => Drawn { card, pending: true, ..Drawn::default() },
        ReportAnswer::Ready(page) => {
            let drawn = page.sections.into_iter().map(|section| (draw(&section), section));
            let sections = drawn.map(|(plot, section)| (section, plot)).collect();
            Drawn { card: page.card, stale: page.stale, pending: false, sections }
        }
    }))
}

/// `GET /reports/{subject}`
pub async fn show(source: Data, subject: web::Path<String>) -> Answer {
    let Some(Drawn { card, stale, pending, sections }) = drawn(&source, &subject).await? else {
        return Ok(answer::not_found(&format!("There is no report `{subject}`.")));
    };
    Ok(answer::ok(&Page { card, stale, pending, sections, cards: source.reports() }))
}

fn draw(section: &ReportSection) -> Plot {
    let value = |bar: &ReportBar| plot::Value {
        label: bar.label.clone(),
        value: bar.value,
        text: bar.text.clone(),
        interval: bar.interval,
    };
    let values: Vec<plot::Value> = section.bars.iter().map(value).collect();
    plot::bars(&values, if section.scale == Bars::Log { Scale::Log } else { Scale::Linear })
}
