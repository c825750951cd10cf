//! What people and weights say of edges, with names instead of this database's numbers.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
};

use analysis::lineage::{Forest, Grounds, Tree};
use domain::{Act, EdgeStatus, Evidence, Relation, RepoId};
use serde::Serialize;
use store::{Decision, EdgeRow, NewDecision, Page, VerdictRow, VerdictWord};

use crate::{Error, Registry, doubts::doubts};

/// What speaks against a claim.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// The weights contradict it.
    #[default]
    Weights,
    /// The parent is dated after the child.
    Dates,
}

impl FromStr for Ground {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "weights" => Ok(Self::Weights),
            "dates" => Ok(Self::Dates),
            _ => Err(format!(
                "ground is weights or dates, not `{}`",
                word.chars().take(80).collect::<String>()
            )),
        }
    }
}

/// A claim that the weights contradict, or that dates speak against.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contradiction {
    pub ground: Ground,
    pub model: String,
    /// The claimed parent as it is written.
    pub claimed: String,
    /// The claimed parent by its present name.
    pub base: String,
    /// The model that the weights descend from instead.
    pub instead: Option<String>,
    /// Of the weights of model and base, −1 to 1; none of dates.
    pub cosine: Option<f64>,
    /// Of `cosine`, for models without a common origin.
    pub standard_error: Option<f64>,
    /// log₁₀ of the chance of such weights, were the claim true.
    pub log10_p: Option<f64>,
    /// Whole days from the model's creation to that of the base; none of weights.
    pub days: Option<i64>,
    /// What speaks against it.
    pub sentence: String,
    /// Unix seconds; none of dates, which are compared when they are asked for.
    pub computed_at: Option<i64>,
}

/// Further children of a model whose evidence is read; of a famous ingredient there may be thousands.
const FURTHER: usize = 100;

/// Marks the edges of a tree with what speaks for them and against them.
///
/// # Errors
/// When the database cannot be read.
pub async fn mark_known(registry: &Registry, forest: &Forest, tree: &mut Tree) -> Result<(), Error> {
    let nodes = tree.nodes.iter().map(|node| node.id);
    let further = tree.other_children.iter().map(|child| child.id);
    let mut told: HashMap<(i64, i64), Grounds> = HashMap::new();
    let shown: Vec<i64> = nodes.clone().chain(further.clone().take(FURTHER)).collect();
    for edge in registry.store.edges_of_many(&shown).await? {
        let grounds = told.entry((edge.child, edge.parent)).or_default();
        for Evidence { source, confidence, .. } in edge.evidence {
            if !grounds.evidence.contains(&source) {
                grounds.evidence.push(source);
            }
            grounds.confidence = Some(grounds.confidence.map_or(confidence, |known| known.max(confidence)));
        }
    }
    let all: Vec<i64> = nodes.chain(further).collect();
    for row in registry.store.verdicts_of(&all).await? {
        let grounds = told.entry((row.child, row.parent)).or_default();
        match row.verdict {
            VerdictWord::Verified => grounds.verified = true,
            VerdictWord::Contradicted => grounds.contradicted = true,
        }
    }
    tree.mark(forest, &told);
    Ok(())
}

/// What of the claims of some models their weights contradict: child and claimed parent.
///
/// # Errors
/// When the database cannot be read.
pub async fn contradicted(registry: &Registry, models: &[i64]) -> Result<HashSet<(i64, i64)>, Error> {
    let verdicts = registry.store.verdicts_of(models).await?;
    let against = verdicts.into_iter().filter(|row| row.verdict == VerdictWord::Contradicted);
    Ok(against.map(|row| (row.child, row.parent)).collect())
}

/// One page of claims that weights or dates speak against and that nobody has settled yet, the latest first.
///
/// # Errors
/// A cursor of another list; when the database cannot be read.
pub async fn contradictions(
    registry: &Registry,
    ground: Ground,
    (cursor, limit): (Option<&str>, u64),
) -> Result<Page<Contradiction>, Error> {
    if ground == Ground::Dates {
        return doubts(registry, cursor, limit).await;
    }
    let page = registry.store.contradictions(cursor, limit).await?;
    let ids: Vec<i64> = page
        .items
        .iter()
        .flat_map(|row| [Some(row.child), Some(row.parent), row.instead])
        .flatten()
        .collect();
    let names = names(registry, &ids).await?;
    let name = |id: i64| names.get(&id).cloned();
    let named = |row: VerdictRow| {
        Some(Contradiction {
            ground,
            model: name(row.child)?,
            base: name(row.parent)?,
            claimed: row.claimed,
            instead: row.instead.and_then(name),
            cosine: Some(row.cosine),
            standard_error: Some(row.standard_error),
            log10_p: Some(row.log10_p),
            days: None,
            sentence: row.sentence,
            computed_at: Some(row.computed_at),
        })
    };
    Ok(Page { items: page.items.into_iter().filter_map(named).collect(), next: page.next })
}

/// Names of models by number.
pub(crate) async fn names(registry: &Registry, ids: &[i64]) -> Result<HashMap<i64, String>, Error> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let rows = registry.store.light_models(&ids).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

/// What a person says of an edge, by names.
#[derive(Debug, Clone)]
pub struct Ruling {
    pub child: String,
    pub parent: String,
    pub decision: Decision,
    /// How the child descends from the parent; what the edge says where it is not given.
    pub relation: Option<Relation>,
    /// Who says so.
    pub person: String,
    pub reason: String,
}

/// Writes a ruling down; the forest follows it. What is said of a model in a namespace with an owner, its members say. Gives
/// what has become of the edge.
///
/// # Errors
/// Unknown models, [`store::Error::NotYours`], edges that are not there, a reason over the limit, and
/// [`Error::ClosesCycle`] where the parent descends from the child by nothing but recipes and what people said.
pub async fn rule(registry: &Registry, ruling: Ruling) -> Result<EdgeStatus, Error> {
    fits(registry, "reason", &ruling.reason)?;
    let row = registry.store.model_by_id(&ruling.child).await?;
    let row = row.ok_or_else(|| Error::UnknownModel(ruling.child.clone()))?;
    registry.store.may_with(Act::Write, &row).await?;
    let child = row.id;
    let parent = RepoId::parse(ruling.parent.trim())?;
    let Ruling { decision, relation, person, reason, .. } = ruling;
    if decision != Decision::Reject {
        closes_no_cycle(registry, child, &parent).await?;
    }
    let key = parent.key();
    registry
        .store
        .decide(&NewDecision { child, parent, decision, relation, person, reason: reason.trim().to_owned() })
        .await?;
    registry.forests.settle_committed().await;
    let edges = registry.store.edges_of(child).await?;
    let parents = names(registry, &edges.iter().map(|edge| edge.parent).collect::<Vec<_>>()).await?;
    let named =
        |edge: &&EdgeRow| parents.get(&edge.parent).is_some_and(|name| name.to_ascii_lowercase() == key);
    Ok(edges.iter().find(named).map_or(EdgeStatus::Accepted, |edge| edge.status))
}

/// Refuses an edge that would break a surer one. Claims of metadata and proposals of weights give way to it instead.
async fn closes_no_cycle(registry: &Registry, child: i64, parent: &RepoId) -> Result<(), Error> {
    let Some(goal) = registry.store.model_by_id(parent.as_str()).await?.map(|row| row.id) else {
        return Ok(());
    };
    // A generation at a time: of each model the one above it, by which it was met.
    let (mut above, mut generation) = (HashMap::from([(child, child)]), vec![child]);
    while !generation.is_empty() {
        let below = registry.store.sure_edges_to(&generation).await?;
        generation.clear();
        for edge in below.iter().filter(|edge| edge.status.stands()) {
            if above.contains_key(&edge.child) {
                continue;
            }
            above.insert(edge.child, edge.parent);
            generation.push(edge.child);
            if edge.child == goal {
                return Err(Error::ClosesCycle(circle(registry, (child, goal), &above).await?));
            }
        }
    }
    Ok(())
}

/// The way down from a model to one that descends from it, and back, by names.
async fn circle(
    registry: &Registry,
    (from, to): (i64, i64),
    above: &HashMap<i64, i64>,
) -> Result<String, Error> {
    let mut way = vec![to];
    while let Some(last) = way.last().copied().filter(|last| *last != from) {
        way.extend(above.get(&last));
    }
    way.reverse();
    way.push(from);
    let names = names(registry, &way).await?;
    let name = |id: &i64| names.get(id).map_or("?", String::as_str);
    Ok(way.iter().map(name).collect::<Vec<_>>().join(" → "))
}

/// Refuses a text that is over the limit.
pub(crate) fn fits(registry: &Registry, what: &str, given: &str) -> Result<(), Error> {
    let most = registry.limits.note_bytes;
    match given.len() {
        length if length <= most => Ok(()),
        length => Err(Error::Invalid(format!(
            "the {what} has {length} bytes; at most {most} are taken (limit `note_bytes`)"
        ))),
    }
}
