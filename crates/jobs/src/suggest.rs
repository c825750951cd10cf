//! Partners to merge a model with: relatives of one base whose deltas point elsewhere.

use std::collections::{BTreeMap, HashSet};

use analysis::{
    kinship::{Closeness, Matrix, Partial, Signature, Sketched, Tokens, estimate},
    lineage::Forest,
};
use domain::Relation;
use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::{
    Access, Error, Registry,
    measure::Turn,
    operand::all_missing,
    sketches::{OpenSketched, Tensors, open_sketched, stored_sketches},
    tokens::Tokenizers,
};

/// What every answer has to say.
pub const CAVEAT: &str = "kinship is a hint, not a measurement of quality";

/// Kinship from which greedy merging stalls, by arXiv 2410.12613.
const ALIKE: f64 = 0.9;
/// Kinship below which deltas cancel more than chance would have it.
const OPPOSED: f64 = -0.1;
/// Models near the base that are looked at, however few are wanted: another pool would be another order.
const POOL: usize = 100;

/// Whose partners, against which base, and how many of them.
#[derive(Debug, Clone)]
pub struct SuggestQuery {
    pub model: String,
    pub base: String,
    pub limit: usize,
    pub access: Access,
}

/// Partners for a model, the one of lowest kinship first.
#[derive(Debug, Clone, Serialize)]
pub struct Suggestions {
    pub model: String,
    pub base: String,
    pub caveat: &'static str,
    pub suggestions: Vec<Suggestion>,
}

/// A model to merge with.
#[derive(Debug, Clone, Serialize)]
pub struct Suggestion {
    pub model: String,
    /// Cosine of the two deltas against the base, −1 to 1.
    pub kinship: f64,
    /// Of `kinship`.
    pub standard_error: f64,
    /// `‖delta‖ / ‖base‖` of this model.
    pub relative_norm: f64,
    /// Share of the weights that were compared, 0 to 1: embeddings and heads do not compare where tokens have other rows.
    pub share: f64,
    /// Whether its declared lineage leads to the base; otherwise only its weights are near.
    pub declared: bool,
    pub reason: String,
}

/// Partners for a model among the hundred models of the same tensors that are nearest to the base by their weights.
/// Quantised copies of the base are left out: they differ from it by rounding alone.
/// Nothing but stored sketches is read, unless the model or the base has none.
///
/// # Errors
/// Unknown models, models without weights, a model that is the base, and one that has other tensors than the base or was not
/// made from it.
pub async fn suggest(registry: &Registry, query: SuggestQuery) -> Result<Suggestions, Error> {
    let named = [("model".to_owned(), query.model.as_str()), ("base".to_owned(), query.base.as_str())];
    all_missing(registry, &named, &query.access, suggested(registry, &query).await).await
}

async fn suggested(registry: &Registry, query: &SuggestQuery) -> Result<Suggestions, Error> {
    let _turn = Turn::take(registry).await?;
    let own = open_sketched(registry, &query.model, &query.access).await?;
    let OpenSketched { sketched: mut base, tokenizer, .. } =
        open_sketched(registry, &query.base, &query.access).await?;
    let mut tokenizers = Tokenizers::new(registry);
    let tokens = tokenizers.relation(&tokenizer, &own.tokenizer).await?;
    let mut own = Sketched { tokens, ..own.sketched };
    let (model, base_label, wanted) = (own.label.clone(), base.label.clone(), shapes(&base.tensors));
    if model == base_label {
        return Err(Error::Invalid(format!(
            "`{model}` is the base itself; name the base that it was made from, or a model made from it"
        )));
    }
    if shapes(&own.tensors) != wanted {
        return Err(Error::Invalid(format!("`{model}` and `{base_label}` do not have the same tensors")));
    }
    if !kin(&base, &own) {
        return Err(Error::Invalid(format!(
            "by their weights `{model}` was not made from `{base_label}`; name the base that it was made from"
        )));
    }
    let mut suggestions = Vec::new();
    let relatives = near(registry, &base, POOL).await?;
    let copies = copies(registry, &base).await?;
    for (id, declared) in relatives.into_iter().filter(|(id, _)| !copies.contains(id)) {
        let Some(row) = registry.store.model(id).await?.filter(|row| row.name != model) else { continue };
        // One at a time: the sketches of a model are megabytes.
        let stored = stored_sketches(registry, &row.name, &Access::registry()).await?;
        let Some(other) = stored else { continue };
        let tokens = tokenizers.relation(&tokenizer, &other.tokenizer).await?;
        let other = Sketched { tokens, ..other.sketched };
        if shapes(&other.tensors) != wanted || !kin(&base, &other) {
            continue;
        }
        let moved = [&own, &other].iter().any(|model| model.tokens == Tokens::Moved);
        let estimated = spawn_blocking(move || {
            let pair = [own, other];
            let report = estimate(&pair, Some(&base), Partial::Take);
            let [own, _] = pair;
            (report, own, base)
        });
        let report;
        (report, own, base) = estimated.await?;
        let report = match report {
            Ok(report) => report,
            Err(analysis::Error::NothingInCommon { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let cell = |matrices: &BTreeMap<String, Matrix>| matrices.get("cosine").and_then(|m| m[0][1]);
        // A model that is the base, value for value, has no delta to merge.
        let Some(kinship) = cell(&report.matrices) else { continue };
        let whence = if declared { "descends from the base" } else { "is near the base by its weights" };
        let beside = match moved {
            true => "; their tokens have other rows, so that embeddings and heads are not compared",
            false => "",
        };
        suggestions.push(Suggestion {
            model: row.name,
            kinship,
            standard_error: cell(&report.standard_errors).unwrap_or_default(),
            relative_norm: report.relative_norms.get(1).copied().flatten().unwrap_or_default(),
            share: report.coverage.share,
            declared,
            reason: format!("{}; it {whence} and has the same tensors{beside}", reason(kinship)),
        });
    }
    suggestions.sort_by(|a, b| a.kinship.total_cmp(&b.kinship).then_with(|| a.model.cmp(&b.model)));
    suggestions.truncate(query.limit);
    Ok(Suggestions { model, base: base_label, caveat: CAVEAT, suggestions })
}

/// Models of the same tensors as one whose weights have something in common with its, the nearest first.
///
/// # Errors
/// Unknown models, and models without weights.
pub async fn mates(registry: &Registry, model: &str, most: usize) -> Result<Vec<String>, Error> {
    let own = open_sketched(registry, model, &Access::registry()).await?.sketched;
    let ids: Vec<i64> = near(registry, &own, most).await?.into_iter().map(|(id, _)| id).collect();
    Ok(registry.store.light_models(&ids).await?.into_iter().map(|row| row.name).collect())
}

/// Models of the layout of `base` that are nearest to it by their weights, and whether their lineage leads to it.
async fn near(registry: &Registry, base: &Sketched, most: usize) -> Result<Vec<(i64, bool)>, Error> {
    let signature = Signature::of(&base.tensors)
        .ok_or_else(|| Error::Invalid(format!("`{}` has no matrix to compare", base.label)))?;
    let place = registry.store.model_by_id(&base.label).await?.map(|row| row.id);
    let index = registry.relatives.current().await?;
    let nearest = spawn_blocking(move || index.nearest(&signature, most, place)).await?;
    let forest = registry.forests.current().await?;
    let alike = nearest.near.into_iter().filter(|near| near.same_layout).map(|near| near.of.model);
    let declared = |id| place.is_some_and(|base| declared_below(&forest, (id, base)));
    Ok(alike.map(|id| (id, declared(id))).collect())
}

/// Whether declared links lead from a model up to the base.
fn declared_below(forest: &Forest, (id, base): (i64, i64)) -> bool {
    let (mut seen, mut open) = (HashSet::from([id]), vec![id]);
    while let Some(at) = open.pop() {
        for link in forest.parents(at).into_iter().filter(|link| !link.proposed) {
            if link.id == base {
                return true;
            }
            if seen.insert(link.id) {
                open.push(link.id);
            }
        }
    }
    false
}

/// What is the base but for rounding: its quantised copies and what it was quantised from, over any number of steps. Their
/// deltas are noise, which is independent of every change that somebody made.
async fn copies(registry: &Registry, base: &Sketched) -> Result<HashSet<i64>, Error> {
    let place = registry.store.model_by_id(&base.label).await?.map(|row| row.id);
    let forest = registry.forests.current().await?;
    let (mut copies, mut open) = (HashSet::new(), place.into_iter().collect::<Vec<_>>());
    while let Some(at) = open.pop() {
        let links = forest.children(at).into_iter().chain(forest.parents(at));
        for link in links.filter(|link| matches!(link.relation, Relation::Quantized | Relation::Conversion)) {
            if copies.insert(link.id) {
                open.push(link.id);
            }
        }
    }
    Ok(copies)
}

/// Whether most of the weights of the two have one origin.
fn kin(base: &Sketched, other: &Sketched) -> bool {
    let closeness = Closeness::speaking((&base.tensors, &other.tensors), other.tokens);
    closeness.is_some_and(|closeness| closeness.one_origin())
}

/// Names and shapes of all tensors.
fn shapes(tensors: &Tensors) -> Vec<(String, Vec<u64>)> {
    tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect()
}

fn reason(kinship: f64) -> &'static str {
    if kinship >= ALIKE {
        "the deltas are nearly the same, so that a merge adds little"
    } else if kinship <= OPPOSED {
        "the deltas oppose each other, so that a merge takes back part of both"
    } else if kinship < 0.5 {
        "the deltas are largely independent, so that a merge may join both"
    } else {
        "the deltas share much and differ in part"
    }
}
