//! Search results with facets; the address holds the whole state.

use actix_web::HttpRequest;
use askama::Template;
use domain::Class;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    source::{self, Failure},
    view::{
        Count, FACETS, FacetGroup, Name, SearchPage, SearchQuery, Sort, encoded, facet_label, plural,
        tensor_of,
    },
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
    /// The tensor that results hold.
    tensor: Option<String>,
    /// The names that are offered instead, with their addresses.
    near: Vec<(String, String)>,
    /// Models that may have been meant, where nothing is found.
    meant: Vec<Name>,
    pin: Option<Pin>,
    /// Where those that are found follow as a feed when they are new.
    feed: String,
    page: SearchPage,
    first: Option<String>,
    next: Option<String>,
    facets: Vec<Facet>,
}

/// The model whose kin are looked for.
struct Pin {
    name: Name,
    /// Whether results are sorted by kinship to it.
    sorted: bool,
    sort: String,
    unpin: String,
}

/// What results are narrowed to, with the way back.
struct Chip {
    title: &'static str,
    label: String,
    href: String,
}

struct Facet {
    /// As it is written in the search box.
    word: &'static str,
    title: &'static str,
    values: Vec<Value>,
    /// Values that are not listed.
    more: u64,
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
        if asked.get("search").or_else(|| asked.get("q")).is_some_and(|text| tensor_of(text).is_some()) {
            // A tensor is looked for by itself.
            fields.truncate(1);
            return Self(fields);
        }
        let (words, told) =
            typed(fields.iter().find(|(key, _)| *key == "search").map_or("", |(_, text)| text));
        fields.retain(|(key, _)| *key != "search" && !told.iter().any(|(known, _)| known == key));
        if !words.is_empty() {
            fields.insert(0, ("search", words));
        }
        for (facet, _) in
            FACETS.into_iter().filter(|(facet, _)| !told.iter().any(|(known, _)| known == facet))
        {
            fields.extend(own(facet, if facet == "task" { "pipeline_tag" } else { facet }));
        }
        fields.extend(asked.all("tag").into_iter().map(|tag| ("tag", tag)));
        for field in told {
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        let pin = own("pin", "pin");
        let sortable = |word: &str| match Sort::read(word).unwrap_or_default() {
            Sort::Kinship => pin.is_some(),
            sort => sort != Sort::default(),
        };
        fields.extend(own("sort", "sort").filter(|(_, word)| sortable(word)));
        fields.extend(pin);
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

    /// The feed of new models that pass the same filters.
    fn feed(&self) -> String {
        let tags: Vec<&str> =
            self.0.iter().filter(|(key, _)| *key == "tag").map(|(_, tag)| tag.as_str()).collect();
        let tags = (!tags.is_empty()).then(|| ("tag", tags.join(",")));
        let own = self.0.iter().filter(|(key, _)| !matches!(*key, "tag" | "sort" | "pin")).cloned();
        let tensor = |field: &(&str, String)| field.0 == "search" && tensor_of(&field.1).is_some();
        let fields = own.filter(|field| !tensor(field)).chain(tags);
        let pairs: Vec<String> = fields.map(|(key, value)| format!("{key}={}", encoded(&value))).collect();
        match pairs.is_empty() {
            true => "/api/v1/models.atom".to_owned(),
            false => format!("/api/v1/models.atom?{}", pairs.join("&")),
        }
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

/// What stands in the box: words of a name, and fields written as `author:org`, `tag:gguf` or `license:mit`.
fn typed(text: &str) -> (String, Vec<(&'static str, String)>) {
    let (mut words, mut fields) = (Vec::new(), Vec::new());
    for word in text.split_whitespace() {
        let pair = word.split_once(':').filter(|(_, value)| !value.is_empty());
        let mut keys = FACETS.iter().map(|(facet, _)| *facet).chain(["author", "tag"]);
        match pair.and_then(|(key, value)| Some((keys.find(|known| *known == key)?, value))) {
            Some((key, value)) => fields.push((key, value.to_owned())),
            None => words.push(word),
        }
    }
    (words.join(" "), fields)
}

/// `GET /search?search=&author=&relation=&architecture=&size=&dtype=&license=&task=&library=&weights=&kinship=&tag=&sort=&pin=&cursor=`
pub async fn list(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let state = State::read(&asked);
    let query = question(&asked, &state)?;
    let page = source.search(&query).await?;
    let counted = counted(&source, &state, page.total).await?;
    let facet = |group: &FacetGroup| {
        let picked = state.get(group.facet);
        let value = |(word, count): &(String, u64)| {
            let on = picked.is_some_and(|picked| picked.eq_ignore_ascii_case(word));
            let href = state.with(group.facet, if on { None } else { Some(word) });
            Value { label: facet_label(group.facet, word), count: *count, on, href }
        };
        let title = FACETS.iter().find(|(facet, _)| *facet == group.facet).map_or("", |(_, title)| *title);
        let values = group.values.iter().map(value).collect();
        Facet { word: group.facet, title, values, more: group.more }
    };
    let sort = |(sort, word, label): (Sort, &'static str, &'static str)| {
        let word = (sort != Sort::default()).then_some(word);
        (state.with("sort", word), label, sort == query.sort)
    };
    let lost = page.items.is_empty() && query.cursor.is_none() && query.tensor().is_none();
    let meant = match query.text.as_deref().filter(|_| lost) {
        // A help; the page stands without it.
        Some(text) => source.suggest(text).await.unwrap_or_default(),
        None => Vec::new(),
    };
    // A value that all results have narrows nothing.
    let narrows = |group: &&FacetGroup| match &group.values[..] {
        [] => false,
        [(_, count)] => group.more > 0 || Some(*count) != page.total || state.get(group.facet).is_some(),
        _ => true,
    };
    let bare =
        State(state.0.iter().filter(|(key, _)| matches!(*key, "search" | "sort" | "pin")).cloned().collect());
    Ok(answer::ok(&Page {
        search: state.get("search").cloned().unwrap_or_default(),
        kept: state.0.iter().filter(|(key, _)| *key != "search").cloned().collect(),
        chips: state.chips(),
        bare: bare.address(),
        counted,
        sorts: match (query.tensor(), &query.pin) {
            (Some(_), _) => Vec::new(),
            (None, pin) => {
                let all = Sort::ALL.iter().filter(|(sort, ..)| *sort != Sort::Kinship || pin.is_some());
                all.copied().map(sort).collect()
            }
        },
        tensor: query.tensor().map(str::to_owned),
        near: page
            .near
            .iter()
            .map(|name| (name.clone(), format!("/search?search=tensor:{}", encoded(name))))
            .collect(),
        meant,
        pin: query.pin.clone().map(|pin| Pin {
            name: Name(pin),
            sorted: query.sort == Sort::Kinship,
            sort: state.with("sort", Some(Sort::Kinship.as_str())),
            unpin: State(
                state
                    .0
                    .iter()
                    .filter(|(key, word)| *key != "pin" && (*key != "sort" || word != "kinship"))
                    .cloned()
                    .collect(),
            )
            .address(),
        }),
        feed: state.feed(),
        first: query.cursor.is_some().then(|| state.address()),
        next: page.next.as_deref().map(|cursor| state.with("cursor", Some(cursor))),
        facets: page.facets.iter().filter(narrows).map(facet).collect(),
        page,
    }))
}

/// What is searched for.
fn question(asked: &Asked, state: &State) -> source::Result<SearchQuery> {
    if let Some(word) = asked.get("sort").filter(|word| Sort::read(word).is_none()) {
        let known = Sort::ALL.map(|(_, word, _)| word).join(", ");
        let told = format!("`{word}` is no order; there are {known}.");
        return Err(Failure::new(Class::Invalid, "invalid_request", told));
    }
    let picks = FACETS.into_iter().filter_map(|(facet, _)| Some((facet, state.get(facet)?.clone())));
    Ok(SearchQuery {
        text: state.get("search").cloned(),
        org: state.get("author").cloned(),
        tags: state.0.iter().filter(|(key, _)| *key == "tag").map(|(_, tag)| tag.clone()).collect(),
        picks: picks.collect(),
        sort: state.get("sort").and_then(|word| Sort::read(word)).unwrap_or_default(),
        pin: state.get("pin").cloned(),
        cursor: asked.get("cursor").map(str::to_owned),
        limit: PAGE,
    })
}

/// How many models were found. What is only a name is listed with the rest; of everything the front page tells how many
/// there are of each.
async fn counted(source: &Data, state: &State, total: Option<u64>) -> source::Result<String> {
    let narrowed = state.0.iter().any(|(key, _)| *key != "sort");
    Ok(match total {
        Some(_) if !narrowed => {
            let counts = source.counts().await?;
            let names = match counts.ghosts {
                0 => String::new(),
                ghosts => format!(", {} named but not seen", Count(ghosts)),
            };
            format!("{}{names}", plural(counts.models, "model", "models"))
        }
        total => total.map(|total| plural(total, "model", "models")).unwrap_or_default(),
    })
}

/// `GET /search/suggest?search=`: what stands below the search box while one types.
pub async fn suggest(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let text = asked.get("search").or_else(|| asked.get("q")).unwrap_or_default();
    let names = if text.is_empty() { Vec::new() } else { source.suggest(text).await? };
    Ok(answer::ok(&Suggestions { names }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_stand_in_the_box_become_chips_and_words_stay() {
        let state =
            State::read(&Asked::read("search=qwen+tag:gguf+license:mit+a:b&license=llama3&sort=name"));

        assert_eq!(state.address(), "/search?search=qwen%20a%3Ab&tag=gguf&license=mit&sort=name");
        assert_eq!(state.chips().len(), 2);
    }

    #[test]
    fn a_tensor_is_asked_for_alone_and_kinship_needs_a_pin() {
        let state = |query: &str| State::read(&Asked::read(query)).address();

        assert_eq!(
            state("search=tensor:lm_head.weight&license=mit&sort=name"),
            "/search?search=tensor%3Alm_head.weight"
        );
        assert_eq!(state("sort=kinship"), "/search");
        assert_eq!(state("sort=kinship&pin=a/b"), "/search?sort=kinship&pin=a%2Fb");
    }
}
