//! The kinship of several models as a table of shaded numbers.

use actix_web::HttpRequest;
use askama::Template;
use domain::{Class, Item};

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    source::{self, Failure},
    svg::{
        dendrogram::{self, Dendrogram},
        heat::{self, Distance},
        strip::{self, Drawn},
    },
    view::{
        self, Faults, Field, Join, KinshipPage, KinshipQuery, MeasureCard, Name, SearchQuery, Sort,
        StripCell, encoded, plural, told,
    },
};

/// The measure that compares weights as they are.
const NEEDS_NO_BASE: &str = "euclidean";

/// Nearest models that one click adds.
const ADDED: usize = 5;

/// Models up to which the layers of a pair are shown below the matrix of all; those of more have a page for the two.
const BESIDE: usize = 12;

/// Models up to which every number is a link; more would make the page heavy.
const LINKED: usize = 40;

#[derive(Template)]
#[template(path = "pages/kinship.html")]
struct Page {
    names: String,
    /// Names beyond the most that are compared at once.
    dropped: Vec<String>,
    base: String,
    measures: Vec<(MeasureCard, bool)>,
    report: Option<KinshipPage>,
    rows: Vec<(Name, Vec<Shade>)>,
    /// Whether the weights are to be read, and whether models are compared that have little in common.
    asked: [bool; 2],
    /// Fields that the form sends along.
    kept: Vec<(&'static str, String)>,
    /// Lines of the field of names.
    lines: usize,
    as_given: bool,
    /// Whether numbers lead to the layers of their pairs.
    linked: bool,
    /// The same in the other order.
    turned: String,
    dendrogram: Option<Dendrogram>,
    threshold: Option<Threshold>,
    /// Bounds of the slider above the matrix; a threshold beyond them may be meant for another measure.
    bounds: [f64; 2],
    /// Where the nearest of the first model are added.
    nearest: Option<(Name, String)>,
    /// The same with the base that was found, where one is needed.
    based: Option<(Name, String)>,
    /// The same by a measure that needs no base, where one is needed.
    plain: Option<String>,
    /// The same of what there is, where that is too little.
    partial: Option<String>,
    /// How the first two are related by descent, where a base is needed.
    descent: Option<String>,
    layers: Option<Layers>,
    /// The same about the very weights that are compared now.
    permanent: Option<String>,
    csv: String,
    /// Where the same is read from the weights.
    exact: String,
    ramp: Vec<String>,
    /// Colours below zero, where there are such values.
    opposed: Vec<String>,
    faults: Faults,
}

/// The fields in the order of the form.
const FIELDS: [Field; 4] = [
    Field { pointer: "of", name: "of", label: "Models, one a line" },
    Field { pointer: "base", name: "base", label: "Common base, if any" },
    Field { pointer: "measure", name: "measure", label: "Measure" },
    Field { pointer: "threshold", name: "threshold", label: "Threshold, if any" },
];

/// One cell as drawn.
struct Shade {
    class: String,
    text: String,
    /// `± …` of an estimate.
    error: String,
    reason: String,
    /// Whether the reason is told below the matrix.
    apart: bool,
    /// The layers of the pair; empty for a model and itself, and where there is only one pair.
    href: String,
    /// Whether they are shown.
    on: bool,
}

/// What is near enough.
struct Threshold {
    value: f64,
    /// How many pairs are.
    told: String,
    /// Models that come together before it; alone ones are not listed.
    groups: Vec<Vec<Name>>,
}

/// The layers of a pair.
struct Layers {
    pair: [Name; 2],
    base: Option<Name>,
    exact: bool,
    drawn: Drawn,
    cells: Vec<StripCell>,
    csv: String,
    json: String,
    /// Where they are read from the weights.
    read: String,
    /// Whether nothing but the pair is on the page.
    alone: bool,
}

/// `GET /kinship?of=a&of=b&base=c&measure=cosine`, or `models=a,b` as over REST; one `of` may hold several names, one a
/// line. `exact=true` reads the weights even where sketches answer; `partial=true` compares what there is; `order=given` keeps the order of the names;
/// `pair=a&pair=b` shows the layers of two; `threshold=0.5` fades pairs that are further apart; `add=5` adds the nearest
/// five of the first model.
pub async fn show(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let measures = source.measures();
    let usual = measures.first().map_or("cosine", |measure| measure.id.as_str());
    let most = source.most_compared();
    let (query, dropped) = asked_for(&asked, (usual, most));
    let threshold =
        asked.get("threshold").and_then(|text| text.parse().ok()).filter(|value: &f64| value.is_finite());
    if let (Some(count), [first, ..]) =
        (asked.get("add").and_then(|text| text.parse::<usize>().ok()), query.names.as_slice())
    {
        let count = count.min(most.saturating_sub(query.names.len()));
        let more = nearest(&source, (first, &query), count).await?;
        let names = query.names.iter().cloned().chain(more).collect();
        return Ok(answer::see_other(&address(&KinshipQuery { names, ..query.clone() }, threshold)));
    }
    let mut page = begun((&query, threshold), measures, most);
    page.dropped = dropped;
    if page.measures.iter().all(|(_, on)| !on) {
        let known: Vec<&str> = page.measures.iter().map(|(card, _)| card.id.as_str()).collect();
        let message = format!("`{}` is no measure; use one of {}.", query.measure, known.join(", "));
        let items = vec![Item { pointer: "measure".to_owned(), message: message.clone() }];
        let failure = Failure { items, ..Failure::new(Class::Invalid, "invalid_request", message) };
        page.faults = Faults::of(failure, &FIELDS);
        return Ok(answer::page(http::status_of(Class::Invalid), &page));
    }
    match query.names.len() {
        // One model is a question begun: the page offers how to go on.
        0 | 1 => Ok(answer::ok(&page)),
        _ => match source.kinship(&query).await {
            Ok(view::Answer::Job(id)) => Ok(answer::see_other(&format!("/jobs/{}", encoded(&id)))),
            Ok(view::Answer::Ready(report)) => {
                fill(&mut page, *report, (&query, threshold));
                Ok(answer::ok(&page))
            }
            Err(failure) => {
                let status = http::status_of(failure.class);
                if failure.code == "too_little_in_common" {
                    let partial = KinshipQuery { partial: true, ..query.clone() };
                    page.partial = Some(address(&partial, threshold));
                }
                page.faults = Faults::of(failure, &FIELDS);
                Ok(answer::page(status, &page))
            }
        },
    }
}

/// What is asked, by the measure that is usual where none is named, and the names beyond the most that are compared.
fn asked_for(asked: &Asked, (usual, most): (&str, usize)) -> (KinshipQuery, Vec<String>) {
    let texts: Vec<String> = ["of", "models"].into_iter().flat_map(|key| asked.all(key)).collect();
    let mut names: Vec<String> = texts
        .iter()
        .flat_map(|text| text.split([',', '\n', '\r', ' ']))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    let dropped = names.split_off(most.min(names.len()));
    // The form sends a pair along, of which one may have been taken out of the list.
    let named = |one: &String| names.iter().any(|name| name.eq_ignore_ascii_case(one));
    let pair = <[String; 2]>::try_from(asked.all("pair")).ok().filter(|pair| pair.iter().all(named));
    let query = KinshipQuery {
        pair,
        names,
        base: asked.get("base").map(str::to_owned),
        measure: asked.get("measure").unwrap_or(usual).to_owned(),
        exact: asked.get("exact") == Some("true"),
        partial: asked.get("partial") == Some("true"),
        as_given: asked.get("order") == Some("given"),
    };
    (query, dropped)
}

/// The page with the form filled in, before anything is compared.
fn begun((query, threshold): (&KinshipQuery, Option<f64>), measures: Vec<MeasureCard>, most: usize) -> Page {
    let here = address(query, threshold);
    Page {
        names: query.names.join("\n"),
        dropped: Vec::new(),
        base: query.base.clone().unwrap_or_default(),
        measures: measures
            .into_iter()
            .map(|card| (card.id == query.measure, card))
            .map(|(on, card)| (card, on))
            .collect(),
        report: None,
        rows: Vec::new(),
        asked: [query.exact, query.partial],
        kept: kept(query),
        lines: query.names.len().clamp(4, 12),
        as_given: query.as_given,
        linked: query.names.len() <= LINKED,
        turned: address(&KinshipQuery { as_given: !query.as_given, ..query.clone() }, threshold),
        dendrogram: None,
        threshold: None,
        bounds: [-1.0, 1.0],
        nearest: query
            .names
            .first()
            .filter(|_| query.names.len() < most)
            .map(|first| (Name::from(first.as_str()), format!("{here}&add={ADDED}"))),
        based: None,
        plain: None,
        partial: None,
        descent: None,
        layers: None,
        permanent: None,
        csv: csv(query),
        exact: exactly(query, threshold),
        ramp: (0..=10).map(|step| format!("heat-{step}")).collect(),
        opposed: Vec::new(),
        faults: Faults::default(),
    }
}

/// What of a question has no field of its own in the form.
fn kept(query: &KinshipQuery) -> Vec<(&'static str, String)> {
    let order = query.as_given.then(|| ("order", "given".to_owned()));
    let pair = query.pair.iter().flatten().map(|name| ("pair", name.clone()));
    order.into_iter().chain(pair).collect()
}

/// Puts what was measured on the page.
fn fill(page: &mut Page, mut report: KinshipPage, (query, threshold): (&KinshipQuery, Option<f64>)) {
    let again = |query: &KinshipQuery| address(query, threshold);
    page.layers = report.strip.take().map(|strip| layers(strip, query));
    page.based = report.common.clone().map(|base| {
        let asked = KinshipQuery { base: Some(base.to_string()), ..query.clone() };
        (base, again(&asked))
    });
    if report.baseless {
        let measure = NEEDS_NO_BASE.to_owned();
        page.plain = Some(again(&KinshipQuery { measure, pair: None, ..query.clone() }));
        if let [first, second, ..] = report.compared() {
            page.descent = Some(format!("/lineage?from={}&to={}", first.query(), second.query()));
        }
        page.report = Some(report);
        return;
    }
    page.permanent = report
        .pinned
        .take()
        .map(|(names, base)| again(&KinshipQuery { names, base, pair: None, ..query.clone() }));
    if !report.left_out.is_empty() {
        let names = query.names.iter().filter(|name| !report.left_out.iter().any(|(out, _)| out.0 == **name));
        let fit = KinshipQuery { names: names.cloned().collect(), ..query.clone() };
        (page.csv, page.exact) = (csv(&fit), exactly(&fit, threshold));
    }
    let negative = report.matrix.iter().flatten().filter_map(|cell| cell.value).any(heat::opposed);
    if negative || page.layers.as_ref().is_some_and(|layers| layers.drawn.opposed) {
        page.opposed = (1..=5).rev().map(|step| format!("heat-n{}", 2 * step)).collect();
    }
    page.rows = shades(&report, query, threshold);
    page.dendrogram = dendrogram::draw(report.compared(), &report.joins);
    if distance(&report.measure) == Distance::Yes {
        page.bounds = [0.0, largest(&report)];
    }
    if let Some(value) = threshold {
        let near = |join: &Join| near_enough(join.value, (value, distance(&report.measure)));
        page.dendrogram = page.dendrogram.take().map(|tree| tree.with_cut(&report.joins, near));
        page.threshold = Some(parted(&report, value));
    }
    page.report = Some(report);
}

/// Where the kinship of two models is shown, their common ancestor taken away unless it is one of them.
pub fn of_two(pair: [&Name; 2], ancestor: Option<&Name>) -> String {
    let base = ancestor.filter(|base| !pair.contains(base)).map(Name::to_string);
    let names = pair.iter().map(ToString::to_string).collect();
    let measure = if base.is_some() { "cosine" } else { NEEDS_NO_BASE };
    let asked = KinshipQuery { names, base, measure: measure.to_owned(), ..KinshipQuery::default() };
    address(&asked, None)
}

/// The nearest relatives of a model that are not asked about yet.
async fn nearest(
    source: &Data,
    (name, query): (&str, &KinshipQuery),
    count: usize,
) -> source::Result<Vec<String>> {
    let known =
        |name: &Name| query.names.iter().chain(&query.base).any(|known| known.eq_ignore_ascii_case(&name.0));
    let limit = u32::try_from(count + query.names.len() + 1).unwrap_or(u32::MAX);
    let search =
        SearchQuery { sort: Sort::Kinship, pin: Some(name.to_owned()), limit, ..SearchQuery::default() };
    let found = source.search(&search).await?.items;
    Ok(found
        .into_iter()
        .map(|found| found.name)
        .filter(|name| !known(name))
        .map(|name| name.0)
        .take(count)
        .collect())
}

/// Where `query` is asked again.
fn address(query: &KinshipQuery, threshold: Option<f64>) -> String {
    let threshold = threshold.map_or_else(String::new, |value| format!("&threshold={value}"));
    format!("/kinship?{}{threshold}", question(query))
}

fn csv(query: &KinshipQuery) -> String {
    let asked = KinshipQuery { as_given: false, pair: None, ..query.clone() };
    format!("/api/v1/kinship?{}&format=csv", question(&asked))
}

/// Where the same is read from the weights.
fn exactly(query: &KinshipQuery, threshold: Option<f64>) -> String {
    address(&KinshipQuery { exact: true, pair: None, ..query.clone() }, threshold)
}

fn near_enough(value: f64, (threshold, distance): (f64, Distance)) -> bool {
    match distance {
        Distance::No => value >= threshold,
        Distance::Yes => value <= threshold,
    }
}

fn largest(report: &KinshipPage) -> f64 {
    report.matrix.iter().flatten().filter_map(|cell| cell.value).fold(0.0, f64::max)
}

/// Pairs and groups before a threshold.
fn parted(report: &KinshipPage, value: f64) -> Threshold {
    let threshold = (value, distance(&report.measure));
    let pairs = report.matrix.iter().enumerate().flat_map(|(at, row)| row.iter().skip(at + 1));
    let (mut near, mut all) = (0, 0);
    for pair in pairs {
        all += 1;
        near += u64::from(pair.value.is_some_and(|value| near_enough(value, threshold)));
    }
    let mut members: Vec<Vec<Name>> = report.compared().iter().map(|name| vec![name.clone()]).collect();
    let mut open: Vec<bool> = vec![true; members.len()];
    for join in &report.joins {
        let [one, other] = join.parts;
        let both = members.get(one).into_iter().chain(members.get(other)).flatten().cloned().collect();
        let joined = near_enough(join.value, threshold);
        if joined {
            for part in join.parts {
                open.get_mut(part).into_iter().for_each(|open| *open = false);
            }
        }
        members.push(both);
        open.push(joined);
    }
    let groups = members.into_iter().zip(open).filter(|(group, open)| *open && group.len() > 1);
    let told = format!("{near} of {}", plural(all, "pair", "pairs"));
    Threshold { value, told, groups: groups.map(|(group, _)| group).collect() }
}

/// The query string that asks `query` again.
fn question(query: &KinshipQuery) -> String {
    let mut pairs: Vec<String> = query.names.iter().map(|name| format!("of={}", encoded(name))).collect();
    pairs.extend(query.base.iter().map(|base| format!("base={}", encoded(base))));
    pairs.push(format!("measure={}", encoded(&query.measure)));
    if query.exact {
        pairs.push("exact=true".to_owned());
    }
    if query.partial {
        pairs.push("partial=true".to_owned());
    }
    if query.as_given {
        pairs.push("order=given".to_owned());
    }
    pairs.extend(query.pair.iter().flatten().map(|name| format!("pair={}", encoded(name))));
    pairs.join("&")
}

fn distance(measure: &str) -> Distance {
    if measure == NEEDS_NO_BASE { Distance::Yes } else { Distance::No }
}

/// Where the layers of a pair are shown: beside the matrix, unless that is large or would be read from weights again.
fn address_of_pair(pair: [&Name; 2], query: &KinshipQuery, threshold: Option<f64>) -> String {
    let pair = pair.map(Name::to_string);
    let asked = match query.names.len() > BESIDE || query.exact {
        true => KinshipQuery { names: pair.to_vec(), pair: None, as_given: false, ..query.clone() },
        false => KinshipQuery { pair: Some(pair), ..query.clone() },
    };
    format!("{}#layers", address(&asked, threshold))
}

fn layers(strip: view::Strip, query: &KinshipQuery) -> Layers {
    let names = strip.pair.iter().map(Name::to_string).collect();
    let pair = KinshipQuery { names, pair: None, as_given: false, ..query.clone() };
    let data = format!("/api/v1/kinship?{}&per_part=true", question(&pair));
    Layers {
        drawn: strip::draw(&strip, distance(&query.measure)),
        csv: format!("{data}&format=csv"),
        json: data,
        read: format!("/kinship?{}#layers", question(&KinshipQuery { exact: true, ..pair })),
        alone: query.names.len() == 2,
        pair: strip.pair,
        base: strip.base,
        exact: strip.exact,
        cells: strip.cells,
    }
}

fn shades(report: &KinshipPage, query: &KinshipQuery, threshold: Option<f64>) -> Vec<(Name, Vec<Shade>)> {
    let (distance, largest) = (distance(&report.measure), largest(report));
    let far = |value: f64| threshold.is_some_and(|threshold| !near_enough(value, (threshold, distance)));
    let chosen = |a: &Name, b: &Name| {
        query
            .pair
            .as_ref()
            .is_some_and(|[one, other]| (&a.0, &b.0) == (one, other) || (&b.0, &a.0) == (one, other))
    };
    let shade = |row: &Name, (column, cell): (&Name, &view::Cell)| {
        let linked = (3..=LINKED).contains(&report.models.len());
        let href = match row != column && linked && cell.value.is_some() {
            true => address_of_pair([row, column], query, threshold),
            false => String::new(),
        };
        let on = chosen(row, column);
        match cell.value {
            Some(value) => Shade {
                class: match far(value) {
                    true => format!("{} beyond", heat::class(value, largest, distance)),
                    false => heat::class(value, largest, distance),
                },
                text: told(value),
                error: cell.error.map(|error| format!("± {}", told(error))).unwrap_or_default(),
                reason: String::new(),
                apart: false,
                href,
                on,
            },
            None => Shade {
                class: "hatched".to_owned(),
                text: "n/a".to_owned(),
                error: String::new(),
                reason: cell.reason.clone().unwrap_or_else(|| "not comparable".to_owned()),
                apart: report.left_out.iter().any(|(out, _)| [row, column].contains(&out)),
                href,
                on,
            },
        }
    };
    let row = |(name, cells): (&Name, &Vec<view::Cell>)| {
        (name.clone(), report.models.iter().zip(cells).map(|cell| shade(name, cell)).collect())
    };
    report.models.iter().zip(&report.matrix).map(row).collect()
}
