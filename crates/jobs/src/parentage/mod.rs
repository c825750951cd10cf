//! Parents of models from stored sketches and from weights, and whether these bear their claims out.

mod compare;
mod families;

use std::collections::HashSet;

use analysis::lineage::Forest;
use serde::Serialize;
use store::{CurrentRevision, EdgeRow, ModelRow, VerdictWord};

use self::compare::{Opened, compare, is_claimed, is_weighed, opened, record};
use crate::{Error, Registry};

pub(crate) use compare::stored_tensors;
pub use families::examine_all;
pub(crate) use families::{ask_for_due, examine_due};

/// Nearest models that are compared.
const NEAREST: usize = 12;
/// Of so many of them the declared parents and children are compared too.
const WITH_FAMILY: usize = 4;
/// Parents, and children, of one of them.
const FAMILY: usize = 4;
/// Models that are looked at at once because of a new one; more are left for later.
const AFFECTED: usize = 8;

/// What was found of one model.
#[derive(Debug, Clone, Serialize)]
pub struct Examined {
    pub model: String,
    /// Models it was compared with.
    pub compared: usize,
    /// Parents that the weights speak for, as they are stored.
    pub parents: Vec<String>,
    pub verified: usize,
    pub contradicted: usize,
    /// Why nothing was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// A look at one model, and whom it concerns besides.
struct Look {
    row: ModelRow,
    /// Of its tensors.
    bytes: u64,
    /// Whether a recipe of this registry made it.
    made: bool,
    examined: Examined,
    /// Models it was compared with.
    among: Vec<i64>,
    /// Those of them that descend from it as far as this look can tell.
    heirs: Vec<i64>,
}

/// Looks at the lineage of what was just published, and of the models that it may be news for; what their weights say
/// beside their sketches is left to be read when there is nothing else to do. The model is there whatever comes of this:
/// a failure is logged, and leaves it marked, as its publication did.
pub async fn examine_import(registry: &Registry, model: i64) {
    let looked = async {
        let owed = registry.store.mark_of(model).await?;
        tell(registry, model).await?;
        registry.store.settle_due(&Vec::from_iter(owed)).await?;
        Ok::<_, Error>(())
    };
    if let Err(error) = looked.await {
        tracing::warn!(%error, "the lineage of model {model} is not recovered: {error}");
    }
}

async fn tell(registry: &Registry, model: i64) -> Result<(), Error> {
    let Some(look) = look(registry, model).await? else { return Ok(()) };
    let affected = affected(registry, &look).await?;
    let later = affected.len() > AFFECTED;
    let told = look.made || look.bytes > registry.limits.lineage_bytes;
    if later || !told {
        let of = |row: &ModelRow| row.revision.map(|revision| CurrentRevision { model: row.id, revision });
        let due: Vec<CurrentRevision> = affected.iter().chain([&look.row]).filter_map(of).collect();
        registry.store.mark_due(&due).await?;
    }
    if later {
        return Ok(());
    }
    if affected.len() > 1 {
        // One look at all signatures serves them all.
        registry.relatives.current().await?;
    }
    for other in affected {
        examine(registry, other.id).await?;
    }
    Ok(())
}

/// Models with weights for which the weights of `model` are news: those that it is compared with and seems to be the
/// parent of, those that name it as their base, those that the weights of an earlier revision had for its children, and
/// those whose claims were contradicted without it.
async fn affected(registry: &Registry, look: &Look) -> Result<Vec<ModelRow>, Error> {
    let model = look.row.id;
    let below = registry.store.edges_to(model).await?;
    let mut ids: Vec<i64> =
        below.iter().filter(|edge| is_claimed(edge) || is_weighed(edge)).map(|edge| edge.child).collect();
    ids.extend(&look.heirs);
    let verdicts = registry.store.verdicts_of(&look.among).await?;
    ids.extend(verdicts.iter().filter(|row| row.verdict == VerdictWord::Contradicted).map(|row| row.child));
    ids.sort_unstable();
    ids.dedup();
    let rows = registry.store.light_models(&ids).await?;
    Ok(rows.into_iter().filter(|row| row.has_weights && row.id != model).collect())
}

/// Compares a model with its nearest relatives, the bases it claims and their families, and writes down what that
/// says. None for a model without sketches of its own.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn examine(registry: &Registry, model: i64) -> Result<Option<Examined>, Error> {
    Ok(look(registry, model).await?.map(|look| look.examined))
}

async fn look(registry: &Registry, model: i64) -> Result<Option<Look>, Error> {
    let Some(row) = registry.store.model(model).await? else { return Ok(None) };
    let Some(own) = opened(registry, row.clone()).await? else { return Ok(None) };
    let forest = registry.forests.current().await?;
    let edges = registry.store.edges_of(row.id).await?;
    let rows = candidates(registry, &own, (&edges, &forest)).await?;
    let (bytes, made, mut models) = (own.bytes, own.made, vec![own]);
    for candidate in rows {
        models.extend(opened(registry, candidate).await?);
    }
    // What a recipe made later is nobody's parent here, and would stand before the real one.
    models.retain(|other| !(other.made && other.row.revision > row.revision));
    let compared = compare(models, None).await?;
    let Some(examined) = record(registry, &compared, (0, &forest)).await? else { return Ok(None) };
    let among = compared.models[1..].iter().map(|row| row.id).collect();
    Ok(Some(Look { row, bytes, made, examined, among, heirs: compared.heirs() }))
}

/// The models that a model is compared with: claimed bases, the nearest of its layout, and the declared family of those.
/// What weights proposed before has no say, so that a look finds the same however often and in which order all are made.
async fn candidates(
    registry: &Registry,
    Opened { row, signature, .. }: &Opened,
    (edges, forest): (&[EdgeRow], &Forest),
) -> Result<Vec<ModelRow>, Error> {
    let most = registry.limits.lineage_models;
    let near = registry.relatives.nearest(signature.clone(), NEAREST.min(most), row.id).await?;
    let near: Vec<i64> = near.iter().map(|near| near.of.model).collect();
    let mut ids: Vec<i64> =
        edges.iter().filter(|edge| is_claimed(edge)).map(|edge| edge.parent).take(FAMILY).collect();
    ids.extend(&near);
    for &id in near.iter().take(WITH_FAMILY) {
        let mut parents = forest.parents(id);
        // Which of them is the first depends on verdicts.
        parents.sort_unstable_by_key(|link| link.id);
        for links in [parents, forest.children(id)] {
            ids.extend(links.iter().filter(|link| !link.proposed).take(FAMILY).map(|link| link.id));
        }
    }
    let mut seen = HashSet::from([row.id]);
    ids.retain(|id| seen.insert(*id));
    let rows = registry.store.models_by_ids(&ids).await?;
    let mut rows: Vec<ModelRow> = rows.into_iter().filter(|row| row.revision.is_some()).collect();
    rows.truncate(most);
    Ok(rows)
}
