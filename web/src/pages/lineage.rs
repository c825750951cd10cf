//! The family tree around one model, as a picture and as a list.

use actix_web::HttpRequest;
use askama::Template;
use domain::{Class, Relation};

use super::{
    Answer, Data, model,
    named::{ModelName, unknown},
    narrow,
};
use crate::{
    answer,
    asked::Asked,
    source::Failure,
    svg::{
        months::{self, Columns},
        tree::{self, Tree},
    },
    view::{Count, LicenceClass, LineagePage, LineageQuery, Name, Narrowing, encoded, plural},
};

/// Generations below that can be asked for.
const DEEPEST: u32 = 20;

/// Groups that can be open at once.
const OPEN: usize = 20;

#[derive(Template)]
#[template(path = "pages/lineage.html")]
struct Page {
    lineage: LineagePage,
    tree: Tree,
    /// Children by month; none where no child has a date.
    months: Option<Columns>,
    legend: Vec<(&'static str, &'static str)>,
    licences: [LicenceClass; 5],
    ups: Vec<(String, String, bool)>,
    downs: Vec<(u32, bool)>,
    /// Groups that are open.
    open: Vec<(Relation, Name)>,
    summary: String,
    chips: narrow::Chips,
    /// The filter, for pages that know it too.
    filter: String,
    /// The picture as a file.
    svg: String,
    /// Generations of the page, for the data: its own defaults are others.
    reach: String,
    /// The same with all that it takes for granted; a later registry may show another tree there.
    permanent: String,
}

/// The picture alone, with its own colours and fonts, for other programs.
#[derive(Template)]
#[template(path = "pages/lineage.svg")]
struct Picture<'a> {
    name: &'a Name,
    summary: &'a str,
    tree: &'a Tree,
}

/// `GET /{org}/{name}/lineage?up=&down=&relation=&license=&size=&format=`
pub async fn show(source: Data, request: HttpRequest, name: ModelName) -> Answer {
    page(&source, &request, &name).await
}

/// The page of a name, whatever its shape.
pub async fn page(source: &Data, request: &HttpRequest, name: &str) -> Answer {
    let query = request.query_string();
    let asked = Asked::read(query);
    let wanted = wanted(&asked)?;
    let Some(lineage) = source.lineage(name, wanted.clone()).await? else {
        return Ok(unknown(source, name).await);
    };
    if lineage.name.0 != name {
        let tail = if query.is_empty() { "lineage".to_owned() } else { format!("lineage?{query}") };
        return Ok(model::moved(&lineage.name.below(&tail)));
    }
    let LineageQuery { up, down, narrowing, open } = wanted;
    let filter = narrowing.query();
    let word = up.map_or_else(|| "all".to_owned(), |up: u32| up.to_string());
    let depth = [
        up.map(|up| format!("up={up}")),
        (down != LineageQuery::default().down).then(|| format!("down={down}")),
    ];
    let depth = depth.into_iter().flatten().collect::<Vec<_>>().join("&");
    let own = narrow::with(lineage.name.below("lineage"), &depth);
    let kept = open_query(&open);
    let mut tree = tree::layout(&lineage.nodes, lineage.focus);
    lead_on(&mut tree, (&narrowing, &open), &own);
    let summary = summary(&lineage, &tree);
    if asked.get("format").is_some() {
        return Ok(answer::picture(
            &lineage.name,
            &Picture { name: &lineage.name, summary: &summary, tree: &tree },
        ));
    }
    let told = narrow::held_back(lineage.held_back);
    let reach = format!("up={word}&down={down}");
    let told_up = |up: u32| if up == 0 { "none".to_owned() } else { up.to_string() };
    let ups =
        offered(&[0, 1, 2, 5], up).into_iter().map(|(depth, on)| (depth.to_string(), told_up(depth), on));
    Ok(answer::ok(&Page {
        legend: tree::legend(),
        licences: LicenceClass::ALL,
        ups: [("all".to_owned(), "to the root".to_owned(), up.is_none())].into_iter().chain(ups).collect(),
        downs: offered(&[0, 1, 2, 3, 5, 10], Some(down)),
        open,
        summary,
        chips: narrow::Chips::of(&narrowing, told, |query| narrow::with(narrow::with(&own, query), &kept)),
        svg: narrow::with(narrow::with(narrow::with(&own, &filter), &kept), "format=svg"),
        permanent: narrow::with(
            narrow::with(narrow::with(lineage.name.below("lineage"), &reach), &filter),
            &kept,
        ),
        reach,
        filter,
        months: months::columns(&lineage.growth.months),
        lineage,
        tree,
    }))
}

/// What an address asks for.
fn wanted(asked: &Asked) -> Result<LineageQuery, Failure> {
    let up = asked.generations("up")?;
    let down = match asked.get("down") {
        Some(_) => asked.generations("down")?.unwrap_or(DEEPEST).min(DEEPEST),
        None => LineageQuery::default().down,
    };
    if let Some(word) = asked.get("format").filter(|word| *word != "svg") {
        let told = format!("The page writes `svg`, not `{word}`; other formats are those of the data.");
        return Err(Failure::new(Class::Invalid, "invalid_request", told));
    }
    Ok(LineageQuery { up, down, narrowing: narrow::read(asked), open: opened(asked) })
}

/// Gives each group of children an address: the page `own` with the group opened, or the list of them where no more can be.
fn lead_on(tree: &mut Tree, (narrowing, open): (&Narrowing, &[(Relation, Name)]), own: &str) {
    let filter = narrowing.query();
    for more in &mut tree.more {
        let group = more.relation.map(|relation| (relation, more.of.clone()));
        match group.filter(|group| !open.contains(group) && open.len() < OPEN) {
            Some(group) => {
                let all: Vec<_> = open.iter().cloned().chain([group]).collect();
                more.href = narrow::with(narrow::with(own, &filter), &open_query(&all));
                more.opens = true;
            }
            None => {
                let relation = more.relation.filter(|_| narrowing.relation.is_empty());
                let relation = relation.map(|relation| format!("relation={relation}")).unwrap_or_default();
                more.href = narrow::with(narrow::with(&more.href, &filter), &relation);
            }
        }
    }
}

/// What is drawn and what is not, in words.
fn summary(lineage: &LineagePage, tree: &Tree) -> String {
    let beside = lineage.nodes.iter().filter(|node| node.beside.is_some()).count();
    let in_tree = tree.nodes.len().saturating_sub(beside) as u64;
    let hidden = lineage.below.saturating_sub(in_tree).max(tree.counted());
    let drawn = plural(tree.nodes.len() as u64, "model", "models");
    let summary = match hidden {
        0 => format!("{drawn} drawn.{}", lineage.elsewhere()),
        more => format!("{drawn} drawn, {} more below them.{}", Count(more), lineage.elsewhere()),
    };
    match lineage.off_the_line() {
        0 => summary,
        more => {
            let told = plural(more, "more ancestor stands", "more ancestors stand");
            format!("{summary} {told} above it by further parents; they are listed, not drawn.")
        }
    }
}

/// Numbers of generations that the form offers, the one that is drawn among them.
fn offered(usual: &[u32], drawn: Option<u32>) -> Vec<(u32, bool)> {
    let mut depths: Vec<u32> = usual.iter().copied().chain(drawn).collect();
    depths.sort_unstable();
    depths.dedup();
    depths.into_iter().map(|depth| (depth, Some(depth) == drawn)).collect()
}

/// Reads `open=finetune:org/name`, once for each group; what names no relation opens nothing.
fn opened(asked: &Asked) -> Vec<(Relation, Name)> {
    let mut open = Vec::new();
    for value in asked.all("open") {
        let group =
            value.split_once(':').and_then(|(word, name)| Some((word.parse().ok()?, Name::from(name))));
        open.extend(group.filter(|group| !open.contains(group) && open.len() < OPEN));
    }
    open
}

/// The same as it was read.
fn open_query(open: &[(Relation, Name)]) -> String {
    let part = |(relation, name): &(Relation, Name)| {
        format!("open={relation}:{}", encoded(&name.0).replace("%2F", "/"))
    };
    open.iter().map(part).collect::<Vec<_>>().join("&")
}
