//! A whole family on one screen; a click comes nearer, and every step has an address.

use actix_web::HttpRequest;
use askama::Template;

use super::{
    Answer, Data, model,
    named::{ModelName, unknown},
    narrow,
};
use crate::{
    answer,
    asked::Asked,
    svg::icicle::{self, Icicle, LEVELS, WIDTH},
    view::{Count, Family, plural},
};

#[derive(Template)]
#[template(path = "pages/icicle.html")]
struct Page {
    family: Family,
    icicle: Icicle,
    width: f64,
    summary: String,
    chips: narrow::Chips,
    filter: String,
}

/// `GET /{org}/{name}/icicle?relation=&license=&size=`
pub async fn show(source: Data, request: HttpRequest, name: ModelName) -> Answer {
    page(&source, &request, &name).await
}

/// The page of a name, whatever its shape.
pub async fn page(source: &Data, request: &HttpRequest, name: &str) -> Answer {
    let query = request.query_string();
    let narrowing = narrow::read(&Asked::read(query));
    let detail = (LEVELS, icicle::BOXES);
    let Some(family) = source.family(name, detail, &narrowing).await? else {
        return Ok(unknown(source, name).await);
    };
    if family.name.0 != name {
        return Ok(model::moved(&narrow::with(family.name.below("icicle"), query)));
    }
    let filter = narrowing.query();
    let mut icicle = icicle::layout(&family);
    icicle.carry(|href| narrow::with(href, &filter));
    let drawn = family.slices.len() as u64;
    let summary = match family.size - drawn.min(family.size) {
        0 => format!("{}, all drawn.", plural(family.size, "model", "models")),
        _ => {
            let least = icicle::least(family.size);
            let boxes = plural(drawn, "branch has", "branches have");
            let all = plural(family.size, "model", "models");
            format!(
                "{all}; {boxes} a box, those of fewer than {} models share a grey hatched strip.",
                Count(least.max(2))
            )
        }
    };
    let own = family.name.below("icicle");
    let told = narrow::held_back(family.held_back);
    let chips = narrow::Chips::of(&narrowing, told, |query| narrow::with(&own, query));
    Ok(answer::ok(&Page { icicle, width: WIDTH, summary, chips, filter, family }))
}
