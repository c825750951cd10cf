//! The children of a model: grouped by relation with counts, searched by name, page by page.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::{Answer, Data, model};
use crate::{
    answer,
    asked::Asked,
    view::{ChildrenPage, ChildrenQuery, Count, encoded, plural},
};

const PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "pages/children.html")]
struct Page {
    page: ChildrenPage,
    search: String,
    relation: String,
    groups: Vec<(String, String, Count, bool)>,
    summary: String,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /{org}/{name}/children?relation=&search=&cursor=`
pub async fn show(source: Data, request: HttpRequest, path: web::Path<(String, String)>) -> Answer {
    let (org, name) = path.into_inner();
    page(&source, &format!("{org}/{name}"), request.query_string()).await
}

/// The page of a name, whatever its shape.
pub async fn page(source: &Data, name: &str, query: &str) -> Answer {
    let asked = Asked::read(query);
    let wanted = ChildrenQuery {
        relation: asked.get("relation").and_then(|word| word.parse().ok()),
        text: asked.text("search"),
        cursor: asked.get("cursor").map(str::to_owned),
        limit: PAGE,
    };
    let Some(page) = source.children(name, &wanted).await? else {
        return Ok(answer::not_found(&format!("No model `{name}` is known here.")));
    };
    if page.name.0 != name {
        let tail = if query.is_empty() { "children".to_owned() } else { format!("children?{query}") };
        return Ok(model::moved(&page.name.below(&tail)));
    }
    let address = |relation: &str, cursor: Option<&str>| {
        let fields =
            [("relation", relation), ("search", &wanted.text), ("cursor", cursor.unwrap_or_default())];
        let pairs: Vec<String> = fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key}={}", encoded(value)))
            .collect();
        page.name.below(&format!("children?{}", pairs.join("&"))).trim_end_matches('?').to_owned()
    };
    let picked = wanted.relation.map(|relation| relation.as_str()).unwrap_or_default();
    let all: u64 = page.groups.iter().map(|group| group.count).sum();
    let mut groups = vec![(address("", None), "all".to_owned(), Count(all), picked.is_empty())];
    groups.extend(page.groups.iter().map(|group| {
        let word = group.relation.as_str();
        (address(word, None), word.to_owned(), Count(group.count), word == picked)
    }));
    Ok(answer::ok(&Page {
        search: wanted.text.clone(),
        relation: picked.to_owned(),
        groups,
        summary: format!("{} found.", plural(page.total, "child", "children")),
        first: wanted.cursor.is_some().then(|| address(picked, None)),
        next: page.next.as_deref().map(|cursor| address(picked, Some(cursor))),
        page,
    }))
}
