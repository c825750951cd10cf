//! The path between two models: how they are related, as a picture and as a list.

use actix_web::{HttpRequest, http::StatusCode};
use askama::Template;
use domain::Class;

use super::{Answer, Data, Offer, offers};
use crate::{
    answer,
    asked::Asked,
    svg::tree::{self, Tree},
    view::{Faults, Field, Name, PathPage},
};

#[derive(Template)]
#[template(path = "pages/path.html")]
struct Page {
    from: String,
    to: String,
    path: Option<PathPage>,
    tree: Option<Tree>,
    faults: Faults,
    /// What may have been meant.
    offers: Vec<Offer>,
    /// The layers of the two, their common ancestor taken away.
    kinship: String,
}

/// The fields in the order of the form.
const FIELDS: [Field; 2] = [
    Field { pointer: "from", name: "from", label: "From" },
    Field { pointer: "to", name: "to", label: "To" },
];

impl Page {
    fn of(from: String, to: String) -> Self {
        let (faults, offers) = (Faults::default(), Vec::new());
        Self { from, to, path: None, tree: None, faults, offers, kinship: String::new() }
    }
}

/// `GET /lineage?from=&to=`
pub async fn show(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let (from, to) = (asked.text("from"), asked.text("to"));
    if from.is_empty() || to.is_empty() {
        return Ok(answer::ok(&Page::of(from, to)));
    }
    let path = match source.path((&from, &to)).await {
        Ok(path) => path,
        Err(failure) if failure.class == Class::NotFound => {
            let faults = Faults::of(failure, &FIELDS);
            let typed = [("from", from.as_str()), ("to", &to)];
            let offers = offers(&source, (&faults, &typed), |field, near| {
                let other = |own: &str, text: &str| {
                    if field == own { near.query() } else { Name::from(text).query() }
                };
                format!("/lineage?from={}&to={}", other("from", &from), other("to", &to))
            });
            let offers = offers.await;
            return Ok(answer::page(StatusCode::NOT_FOUND, &Page { faults, offers, ..Page::of(from, to) }));
        }
        Err(failure) => return Err(failure),
    };
    let tree = (path.nodes.len() > 1).then(|| drawn(&path));
    let kinship = super::kinship::of_two([&path.from, &path.to], path.ancestor.as_ref());
    let (from, to) = (path.from.to_string(), path.to.to_string());
    Ok(answer::ok(&Page { path: Some(path), tree, kinship, ..Page::of(from, to) }))
}

/// The tree with both ends marked.
fn drawn(path: &PathPage) -> Tree {
    let mut tree = tree::layout(&path.nodes, path.ends[0]);
    for node in
        tree.nodes.iter_mut().filter(|node| node.node == path.ends[1] && !node.class.contains("focus"))
    {
        node.class.push_str(" focus");
    }
    tree
}
