//! The path between two models: how they are related, as a picture and as a list.

use actix_web::HttpRequest;
use askama::Template;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    svg::tree::{self, Tree},
    view::PathPage,
};

#[derive(Template)]
#[template(path = "pages/path.html")]
struct Page {
    from: String,
    to: String,
    path: Option<PathPage>,
    tree: Option<Tree>,
    /// The layers of the two, their common ancestor taken away.
    kinship: String,
}

/// `GET /lineage?from=&to=`
pub async fn show(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let (from, to) = (asked.text("from"), asked.text("to"));
    if from.is_empty() || to.is_empty() {
        return Ok(answer::ok(&Page { from, to, path: None, tree: None, kinship: String::new() }));
    }
    let path = source.path((&from, &to)).await?;
    let tree = (path.nodes.len() > 1).then(|| drawn(&path));
    let kinship = super::kinship::of_two([&path.from, &path.to], path.ancestor.as_ref());
    Ok(answer::ok(&Page {
        from: path.from.to_string(),
        to: path.to.to_string(),
        path: Some(path),
        tree,
        kinship,
    }))
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
