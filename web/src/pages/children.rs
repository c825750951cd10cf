//! The children of a model: grouped by relation with counts, searched by name, page by page.

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
    view::{ChildrenPage, ChildrenQuery, Count, Narrowing, encoded, plural},
};

const PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "pages/children.html")]
struct Page {
    page: ChildrenPage,
    search: String,
    chips: narrow::Chips,
    filter: String,
    groups: Vec<(String, String, Count, bool)>,
    summary: String,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /{org}/{name}/children?relation=&license=&size=&search=&cursor=`
pub async fn show(source: Data, request: HttpRequest, name: ModelName) -> Answer {
    page(&source, &request, &name).await
}

/// The page of a name, whatever its shape.
pub async fn page(source: &Data, request: &HttpRequest, name: &str) -> Answer {
    let query = request.query_string();
    let asked = Asked::read(query);
    let wanted = ChildrenQuery {
        narrowing: narrow::read(&asked),
        text: asked.text("search"),
        cursor: asked.get("cursor").map(str::to_owned),
        limit: PAGE,
    };
    let Some(page) = source.children(name, &wanted).await? else {
        return Ok(unknown(source, name).await);
    };
    if page.name.0 != name {
        let tail = if query.is_empty() { "children".to_owned() } else { format!("children?{query}") };
        return Ok(model::moved(&page.name.below(&tail)));
    }
    let address = |filter: &str, cursor: Option<&str>| {
        let search = [("search", wanted.text.as_str()), ("cursor", cursor.unwrap_or_default())];
        let mut pairs: Vec<String> = search
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key}={}", encoded(value)))
            .collect();
        pairs.extend((!filter.is_empty()).then(|| filter.to_owned()));
        narrow::with(page.name.below("children"), &pairs.join("&"))
    };
    let narrowing = &wanted.narrowing;
    let by = |relation: Option<&str>| Narrowing {
        relation: relation.into_iter().map(str::to_owned).collect(),
        ..narrowing.clone()
    };
    let all: u64 = page.groups.iter().map(|group| group.count).sum();
    let none = narrowing.relation.is_empty();
    let mut groups = vec![(address(&by(None).query(), None), "all".to_owned(), Count(all), none)];
    groups.extend(page.groups.iter().map(|group| {
        let word = group.relation.as_str();
        let on = narrowing.relation.iter().any(|known| known == word);
        (address(&by(Some(word)).query(), None), word.to_owned(), Count(group.count), on)
    }));
    let filter = narrowing.query();
    let told = match wanted.text.is_empty() {
        true => format!(
            "{} hidden by the filter.",
            plural(all.saturating_sub(page.total), "child is", "children are")
        ),
        false => String::new(),
    };
    let mut chips = narrow::Chips::of(narrowing, told, |query| address(query, None));
    // Relations stand above with their counts.
    chips.groups.retain(|group| group.parameter != "relation");
    Ok(answer::ok(&Page {
        search: wanted.text.clone(),
        chips,
        groups,
        summary: format!("{} found.", plural(page.total, "child", "children")),
        first: wanted.cursor.is_some().then(|| address(&filter, None)),
        next: page.next.as_deref().map(|cursor| address(&filter, Some(cursor))),
        filter,
        page,
    }))
}
