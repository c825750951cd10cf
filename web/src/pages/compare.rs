//! Two models side by side, tensor by tensor.

use std::cmp::Ordering;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use domain::Class;

use super::{Answer, Data, Offer, narrow::with, offers};
use crate::{
    answer,
    asked::Asked,
    caller::sign_in,
    form::Form,
    source::{self, Failure},
    svg::{
        changes::{self, Map},
        grid,
    },
    view::{
        self, ComparePage, Cut, DifferenceForm, Faults, Field, MOST_ROWS, Name, Numbers, Sides, SignIn,
        TensorDiff, encoded,
    },
};

const COLUMNS: [(&str, &str); 6] = [
    ("name", "Tensor"),
    ("elements", "Weights"),
    ("distance", "Relative L2"),
    ("cosine", "Cosine"),
    ("max", "Largest change"),
    ("unchanged", "Unchanged share"),
];

#[derive(Template)]
#[template(path = "pages/compare.html")]
struct Page {
    page: ComparePage,
    columns: Vec<(&'static str, &'static str, bool)>,
    /// The address with what stands before `sort=`.
    sorting: String,
    /// What the table is narrowed to, and the page with all of it.
    narrowed: Option<(String, String)>,
    /// The page with their common ancestor beside the two.
    based: String,
    /// The page with the second before the first.
    swapped: String,
    /// The page with the two as they are now.
    present: String,
    permanent: Option<String>,
    /// The page with numbers from the weights, where these are estimates.
    exact: Option<String>,
    map: Map,
    data: String,
    /// How their difference is to be stored, and what is wrong with that.
    form: DifferenceForm,
    forms: [(&'static str, &'static str); 5],
    dtypes: [&'static str; 4],
    faults: Faults,
    sign_in: Option<SignIn>,
    /// The layers of the two, their common ancestor taken away.
    kinship: String,
    left: u64,
}

impl Page {
    /// Tensors that could not be compared, by reason, and those of two names.
    fn lists(&self) -> Vec<(&'static str, Cut<'_, String>)> {
        let all: [(_, &[String]); 4] = [
            ("Only in the first", &self.page.only_a),
            ("Only in the second", &self.page.only_b),
            ("Different shapes", &self.page.shape_mismatches),
            ("Renamed", &self.page.renamed),
        ];
        let some = all.into_iter().filter(|(_, names)| !names.is_empty());
        some.map(|(label, names)| (label, Cut::of(names))).collect()
    }
}

#[derive(Template)]
#[template(path = "pages/compare_choose.html")]
struct Choose {
    a: String,
    b: String,
    faults: Faults,
    /// What may have been meant.
    offers: Vec<Offer>,
}

/// How a difference can be stored; what several fine-tunes share is asked for over REST.
const FORMS: [(&str, &str); 5] = [
    ("dense", "all of it"),
    ("sparse", "the largest elements"),
    ("low-rank", "factors of each matrix"),
    ("bitdelta", "a bit an element and a scale a matrix"),
    ("skillpack-rtn", "factors in four bits"),
];

const DTYPES: [&str; 4] = ["float32", "float16", "bfloat16", "float64"];

/// The fields of the difference in the order of the form.
const DIFFERENCE: [Field; 5] = [
    Field { pointer: "/form", name: "form", label: "Form" },
    Field { pointer: "/density", name: "density", label: "Density" },
    Field { pointer: "/rank", name: "rank", label: "Rank" },
    Field { pointer: "/energy", name: "energy", label: "Energy" },
    Field { pointer: "/dtype", name: "dtype", label: "Number format" },
];

/// The fields in the order of the form.
const FIELDS: [Field; 2] = [
    Field { pointer: "a", name: "a", label: "First model" },
    Field { pointer: "b", name: "b", label: "Second model" },
];

/// The form again, for names that nobody has.
async fn unknown(source: &Data, (a, b): (&str, &str), failure: Failure) -> HttpResponse {
    let faults = Faults::of(failure, &FIELDS);
    let typed = [("a", a), ("b", b)];
    let offers = offers(source, (&faults, &typed), |field, near| match field {
        "a" => near.compare(&Name::from(b)),
        _ => Name::from(a).compare(near),
    });
    let offers = offers.await;
    answer::page(StatusCode::NOT_FOUND, &Choose { a: a.to_owned(), b: b.to_owned(), faults, offers })
}

/// `GET /compare?a=&b=`: the form, or on to the comparison.
pub async fn choose(request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    Ok(match (asked.get("a"), asked.get("b")) {
        (Some(a), Some(b)) => answer::see_other(&Name::from(a).compare(&Name::from(b))),
        _ => {
            let (faults, offers) = (Faults::default(), Vec::new());
            answer::ok(&Choose { a: asked.text("a"), b: asked.text("b"), faults, offers })
        }
    })
}

/// `GET /compare/{a}...{b}?sort=`
pub async fn show(source: Data, request: HttpRequest, spec: web::Path<String>) -> Answer {
    let Some(pair) = pair(&spec) else { return Ok(no_pair()) };
    match page(&source, &request, pair).await? {
        Shown::Page(page) => Ok(answer::ok(&*page)),
        Shown::Instead(answer) => Ok(answer),
    }
}

/// `POST /compare/{a}...{b}`: on to the job that stores their difference, or the page with what is wrong with the form.
pub async fn submit(
    source: Data,
    request: HttpRequest,
    spec: web::Path<String>,
    Form(asked): Form,
) -> Answer {
    let Some(pair) = pair(&spec) else { return Ok(no_pair()) };
    let [form, density, rank, energy, dtype] =
        DIFFERENCE.map(|field| asked.get(field.name).unwrap_or_default().trim().to_owned());
    let form = DifferenceForm { form, density, rank, energy, dtype };
    let failure = match source.submit_difference(pair, &form).await {
        Ok(job) => return Ok(answer::see_other(&format!("/jobs/{}", encoded(&job)))),
        Err(failure) => failure,
    };
    let status = http::status_of(failure.class);
    match page(&source, &request, pair).await? {
        Shown::Page(page) => {
            let page = Page { form, faults: Faults::of(failure, &DIFFERENCE), ..*page };
            Ok(answer::page(status, &page))
        }
        Shown::Instead(answer) => Ok(answer),
    }
}

/// The two operands of an address.
fn pair(spec: &str) -> Option<(&str, &str)> {
    spec.split_once("...").filter(|(a, b)| !a.is_empty() && !b.is_empty())
}

fn no_pair() -> HttpResponse {
    answer::not_found("A comparison has the address `/compare/org/a...org/b`.")
}

/// A comparison, or what is answered in its place.
enum Shown {
    Page(Box<Page>),
    Instead(HttpResponse),
}

async fn page(source: &Data, request: &HttpRequest, (a, b): (&str, &str)) -> source::Result<Shown> {
    let asked = Asked::read(request.query_string());
    let three = asked.get("view") == Some("base");
    let sides = if three { Sides::Three } else { Sides::Two };
    let (numbers, exactly) = match asked.get("exact") {
        Some("true") => (Numbers::Exact, "exact=true"),
        _ => (Numbers::AtHand, ""),
    };
    let mut page = match source.compare((a, b), (sides, numbers)).await {
        Ok(view::Answer::Job(id)) => {
            return Ok(Shown::Instead(answer::see_other(&format!("/jobs/{}", encoded(&id)))));
        }
        Ok(view::Answer::Ready(page)) => *page,
        Err(failure) if failure.class == Class::NotFound => {
            return Ok(Shown::Instead(unknown(source, (a, b), failure).await));
        }
        Err(failure) => return Err(failure),
    };
    let sort = asked
        .get("sort")
        .and_then(|word| COLUMNS.iter().find(|(id, _)| *id == word))
        .map_or("", |(id, _)| id);
    let [first, second] = page.operands();
    let (module, layer) = (asked.text("module"), asked.text("layer"));
    let narrowed = !module.is_empty() || !layer.is_empty();
    let view = if three { "view=base" } else { "" };
    let narrowing = match narrowed {
        true => format!("module={}&layer={}", encoded(&module), encoded(&layer)),
        false => String::new(),
    };
    let sorted = if sort.is_empty() { String::new() } else { format!("sort={sort}") };
    let own = page.address();
    let address = with(&own, exactly);
    let all = with(with(&address, view), &sorted);
    let map = changes::layout(&page.tensors, (&module, &layer), &open_ended(&all));
    let as_here =
        |address: &str, exactly| with(with(with(with(address, exactly), view), &narrowing), &sorted);
    let fits = |own: &str, wanted: &str| wanted.is_empty() || own == wanted;
    page.tensors.retain(|tensor| fits(&tensor.module, &module) && fits(&tensor.layer, &layer));
    order(&mut page.tensors, sort);
    let left = page.tensors.len().saturating_sub(MOST_ROWS) as u64;
    page.tensors.truncate(MOST_ROWS);
    Ok(Shown::Page(Box::new(Page {
        columns: COLUMNS.map(|(id, label)| (id, label, id == sort)).to_vec(),
        sorting: open_ended(&with(with(&address, view), &narrowing)),
        narrowed: narrowed.then(|| (grid::told((&module, &layer)), all)),
        based: with(with(with(address, "view=base"), &narrowing), &sorted),
        swapped: as_here(&page.swapped(), exactly),
        present: as_here(&page.a.compare(&page.b), exactly),
        permanent: page.permanent().map(|address| as_here(&address, exactly)),
        exact: page.estimated.then(|| as_here(&own, "exact=true")),
        map,
        kinship: super::kinship::of_two([&page.a, &page.b], page.merge_base.as_ref()),
        data: with(format!("/api/v1/diffs?a={first}&b={second}"), exactly),
        form: DifferenceForm::default(),
        forms: FORMS,
        dtypes: DTYPES,
        faults: Faults::default(),
        sign_in: sign_in(request).await?,
        left,
        page,
    })))
}

/// An address to which more of a query is put.
fn open_ended(address: &str) -> String {
    format!("{address}{}", if address.contains('?') { '&' } else { '?' })
}

/// What has changed most comes first; the name decides between equals.
fn order(tensors: &mut [TensorDiff], sort: &str) {
    let most = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    };
    let least = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    };
    tensors.sort_by(|a, b| {
        let by = match sort {
            "name" => Ordering::Equal,
            "elements" => b.elements.cmp(&a.elements),
            "distance" => most(a.relative_l2, b.relative_l2),
            "cosine" => least(a.cosine, b.cosine),
            "max" => most(a.max_abs, b.max_abs),
            "unchanged" => least(a.unchanged_share, b.unchanged_share),
            _ => return Ordering::Equal,
        };
        by.then_with(|| a.name.cmp(&b.name))
    });
}
