//! Search results with facets; the address holds the whole state.

use actix_web::HttpRequest;
use askama::Template;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    view::{FACETS, Name, SearchPage, SearchQuery, Sort, encoded, facet_label, plural},
};

const PAGE: u32 = 30;

#[derive(Template)]
#[template(path = "pages/models.html")]
struct Page {
    search: String,
    /// Fields that the search box sends along.
    kept: Vec<(&'static str, String)>,
    chips: Vec<Chip>,
    bare: String,
    counted: String,
    sorts: Vec<(String, &'static str, bool)>,
    page: SearchPage,
    first: Option<String>,
    next: Option<String>,
    facets: Vec<Facet>,
}

/// What results are narrowed to, with the way back.
struct Chip {
    title: &'static str,
    label: String,
    href: String,
}

struct Facet {
    title: &'static str,
    values: Vec<Value>,
}

struct Value {
    label: String,
    count: u64,
    on: bool,
    href: String,
}

#[derive(Template)]
#[template(path = "parts/suggestions.html")]
struct Suggestions {
    names: Vec<Name>,
}

/// The state of the page, field by field in the order of its address.
#[derive(Clone)]
struct State(Vec<(&'static str, String)>);

impl State {
    fn read(asked: &Asked) -> Self {
        let own = |key: &'static str, older: &str| {
            let value = asked.get(key).or_else(|| asked.get(older))?;
            Some((key, value.to_owned()))
        };
        let mut fields: Vec<_> = [own("search", "q"), own("author", "org")].into_iter().flatten().collect();
        for (facet, _) in FACETS {
            fields.extend(own(facet, if facet == "task" { "pipeline_tag" } else { facet }));
        }
        fields.extend(asked.all("tag").into_iter().map(|tag| ("tag", tag)));
        fields.extend(own("sort", "sort").filter(|(_, word)| Sort::read(word) != Sort::default()));
        Self(fields)
    }

    fn get(&self, key: &str) -> Option<&String> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// The address of the same state with this field, or without it.
    fn with(&self, key: &'static str, value: Option<&str>) -> String {
        let mut fields = self.clone();
        fields.0.retain(|(known, _)| *known != key);
        fields.0.extend(value.map(|value| (key, value.to_owned())));
        fields.address()
    }

    fn address(&self) -> String {
        let pairs: Vec<String> =
            self.0.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        if pairs.is_empty() { "/search".to_owned() } else { format!("/search?{}", pairs.join("&")) }
    }

    /// The address without one of several equal fields.
    fn but(&self, gone: &(&'static str, String)) -> String {
        Self(self.0.iter().filter(|field| *field != gone).cloned().collect()).address()
    }

    fn chips(&self) -> Vec<Chip> {
        let title = |key: &str| match key {
            "author" => Some("By"),
            "tag" => Some("Tag"),
            _ => FACETS.iter().find(|(facet, _)| *facet == key).map(|(_, title)| *title),
        };
        let chip = |field: &(&'static str, String)| {
            let (key, value) = field;
            Some(Chip { title: title(key)?, label: facet_label(key, value), href: self.but(field) })
        };
        self.0.iter().filter_map(chip).collect()
    }
}

/// `GET /search?search=&author=&relation=&architecture=&size=&dtype=&license=&task=&library=&weights=&tag=&sort=&cursor=`
pub async fn list(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let state = State::read(&asked);
    let picks = FACETS.into_iter().filter_map(|(facet, _)| Some((facet, state.get(facet)?.clone())));
    let query = SearchQuery {
        text: state.get("search").cloned(),
        org: state.get("author").cloned(),
        tags: asked.all("tag"),
        picks: picks.collect(),
        sort: Sort::read(state.get("sort").map(String::as_str).unwrap_or_default()),
        cursor: asked.get("cursor").map(str::to_owned),
        limit: PAGE,
    };
    let page = source.search(&query).await?;
    let facet = |group: &crate::view::FacetGroup| {
        let picked = state.get(group.facet);
        let value = |(word, count): &(String, u64)| {
            let on = picked.is_some_and(|picked| picked.eq_ignore_ascii_case(word));
            let href = state.with(group.facet, if on { None } else { Some(word) });
            Value { label: facet_label(group.facet, word), count: *count, on, href }
        };
        let title = FACETS.iter().find(|(facet, _)| *facet == group.facet).map_or("", |(_, title)| *title);
        Facet { title, values: group.values.iter().map(value).collect() }
    };
    let sort = |(sort, word, label): (Sort, &'static str, &'static str)| {
        let word = (sort != Sort::default()).then_some(word);
        (state.with("sort", word), label, sort == query.sort)
    };
    let bare = State(state.0.iter().filter(|(key, _)| matches!(*key, "search" | "sort")).cloned().collect());
    Ok(answer::ok(&Page {
        search: state.get("search").cloned().unwrap_or_default(),
        kept: state.0.iter().filter(|(key, _)| *key != "search").cloned().collect(),
        chips: state.chips(),
        bare: bare.address(),
        counted: page.total.map(|total| plural(total, "model", "models")).unwrap_or_default(),
        sorts: Sort::ALL.map(sort).to_vec(),
        first: query.cursor.is_some().then(|| state.address()),
        next: page.next.as_deref().map(|cursor| state.with("cursor", Some(cursor))),
        facets: page.facets.iter().filter(|group| !group.values.is_empty()).map(facet).collect(),
        page,
    }))
}

/// `GET /search/suggest?search=`: what stands below the search box while one types.
pub async fn suggest(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let text = asked.get("search").or_else(|| asked.get("q")).unwrap_or_default();
    let names = if text.is_empty() { Vec::new() } else { source.suggest(text).await? };
    Ok(answer::ok(&Suggestions { names }))
}
