//! All families on one screen: tiles by the logarithm of their size, the many small ones together until one comes
//! nearer; models without relatives as a number.

use actix_web::HttpRequest;
use askama::Template;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    svg::{
        label::{shorten, wrapped},
        plot::{self, Plot, Scale},
        treemap::{self, Tile},
    },
    view::{AtlasQuery, AtlasTile, Count, LicenceClass, plural},
};

const WIDTH: f64 = 1080.0;
const HEIGHT: f64 = 560.0;
/// The width of a letter, erring to the wide side, and lines that a name takes.
const LETTER: f64 = 8.2;
const NAME: usize = 2;
/// From a line to the next.
const LINE: usize = 14;

#[derive(Template)]
#[template(path = "pages/atlas.html")]
struct Page {
    width: f64,
    height: f64,
    boxes: Vec<Placed>,
    sizes: Plot,
    bars: Vec<(String, u64)>,
    summary: String,
    nearer: bool,
    alone: String,
    licences: [LicenceClass; 5],
}

/// A tile with its text.
struct Placed {
    tile: Tile,
    class: String,
    /// With how far each stands below the upper edge.
    lines: Vec<(usize, String)>,
    letter: &'static str,
    title: String,
    href: String,
    models: u64,
    families: u64,
}

/// `GET /atlas?from=&to=`
pub async fn show(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let number = |key: &str| asked.get(key).and_then(|word| word.parse().ok());
    let query = AtlasQuery { from: number("from").unwrap_or(0), to: number("to") };
    let page = source.atlas(query).await?;
    let weight = |tile: &AtlasTile| match tile {
        AtlasTile::Family(family) => (family.size as f64).ln_1p(),
        AtlasTile::Range { models, .. } => (*models as f64).ln_1p(),
    };
    let weights: Vec<f64> = page.tiles.iter().map(weight).collect();
    let tiles = treemap::squarify(&weights, (WIDTH, HEIGHT));
    let boxes = page.tiles.iter().zip(tiles).map(|(what, tile)| of(what, tile)).collect();
    let label =
        |(low, high): (u64, u64)| if low == high { low.to_string() } else { format!("{low} to {high}") };
    let mut bars = vec![("1".to_owned(), page.singletons)];
    bars.extend(page.sizes.iter().map(|(low, high, count)| (label((*low, *high)), *count)));
    let value = |(label, count): &(String, u64)| plot::Value {
        label: label.clone(),
        value: *count as f64,
        text: Count(*count).to_string(),
        interval: None,
    };
    let values: Vec<plot::Value> = bars.iter().map(value).collect();
    let nearer = page.from > 0 || (page.to as u64) < page.families;
    let summary = match nearer {
        false => format!(
            "{} of two models and more hold {}.",
            plural(page.families, "family", "families"),
            plural(page.models, "model", "models")
        ),
        true => format!(
            "Families {} to {} of {}, the largest first.",
            Count(page.from as u64 + 1),
            Count(page.to as u64),
            Count(page.families)
        ),
    };
    Ok(answer::ok(&Page {
        width: WIDTH,
        height: HEIGHT,
        boxes,
        sizes: plot::bars(&values, Scale::Log),
        bars,
        summary,
        nearer,
        alone: plural(page.singletons, "model has", "models have"),
        licences: LicenceClass::ALL,
    }))
}

fn of(what: &AtlasTile, tile: Tile) -> Placed {
    let room = ((tile.width - 8.0) / LETTER).max(0.0) as usize;
    let rows = ((tile.height - 4.0) / LINE as f64).max(0.0) as usize;
    let lines = |name: Vec<String>, all: &[String]| -> Vec<(usize, String)> {
        let fitted = name.into_iter().chain(all.iter().map(|line| shorten(line, room)));
        let shown = fitted.take(if room < 4 { 0 } else { rows });
        (1..).map(|at| at * LINE).zip(shown).collect()
    };
    match what {
        AtlasTile::Family(family) => {
            let class = family.licence_class();
            let models = plural(family.size, "model", "models");
            Placed {
                tile,
                class: format!("tile {}{}", class.class, if family.ghost { " ghost" } else { "" }),
                lines: lines(
                    wrapped(family.root.short(), (room, NAME.min(rows.saturating_sub(1)))),
                    &[
                        if tile.width > 110.0 { models.clone() } else { Count(family.size).to_string() },
                        format!("{} {}", class.letter, family.root.org().trim_end_matches('/')),
                    ],
                ),
                letter: class.letter,
                title: format!("{}: {models}, {}", family.root, class.meaning),
                href: family.root.below("icicle"),
                models: family.size,
                families: 1,
            }
        }
        AtlasTile::Range { from, to, models, sizes } => {
            let count = (to - from) as u64;
            let sizes = match sizes.0 == sizes.1 {
                true => format!("of {}", Count(sizes.0)),
                false => format!("of {} to {}", Count(sizes.1), Count(sizes.0)),
            };
            let families = plural(count, "family", "families");
            Placed {
                tile,
                class: "tile range".to_owned(),
                lines: lines(
                    [families.clone(), format!("{sizes} models")]
                        .iter()
                        .flat_map(|text| wrapped(text, (room, NAME)))
                        .collect(),
                    &["open".to_owned()],
                ),
                letter: "",
                title: format!(
                    "{families} {sizes} models each, {} in all",
                    plural(*models, "model", "models")
                ),
                href: format!("/atlas?from={from}&to={to}"),
                models: *models,
                families: count,
            }
        }
    }
}
