//! Reports over the whole registry: a list of them, and each as plots with tables.

use actix_web::web;
use askama::Template;

use super::{Answer, Data};
use crate::{
    answer,
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

/// `GET /reports`
pub async fn list(source: Data) -> Answer {
    Ok(answer::ok(&List { cards: source.reports() }))
}

/// `GET /reports/{subject}`
pub async fn show(source: Data, subject: web::Path<String>) -> Answer {
    let cards = source.reports();
    let page = match source.report(&subject).await? {
        None => return Ok(answer::not_found(&format!("There is no report `{subject}`."))),
        Some(ReportAnswer::Pending(card)) => {
            Page { card, stale: false, pending: true, sections: Vec::new(), cards }
        }
        Some(ReportAnswer::Ready(page)) => {
            let drawn = page.sections.into_iter().map(|section| (draw(&section), section));
            let sections = drawn.map(|(plot, section)| (section, plot)).collect();
            Page { card: page.card, stale: page.stale, pending: false, sections, cards }
        }
    };
    Ok(answer::ok(&page))
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
