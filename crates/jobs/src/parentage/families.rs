//! Models looked at together with their families: the weights of a family say more than those of two models.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use analysis::kinship::SIGNATURE_SCHEME;
use domain::{Digest, Item};
use serde_json::json;
use store::{Due, Mark, ModelRow, NewJob};

use super::{
    Examined, candidates,
    compare::{Compared, Opened, compare, is_made, opened, readable, record},
    examine,
};
use crate::{
    Error, Registry,
    kinds::{RECOVER_LINEAGE, RecoverPayload},
    worker::Pulse,
};

/// Seconds without a further model after which those that came are looked at, so that many that come one after another are
/// looked at together.
const QUIET: i64 = 2;
/// Seconds that none of them waits longer for.
const PATIENCE: i64 = 60;

/// Looks at the named models, or at all that have weights; `done` hears of each. Weights are read, of all models where these
/// are few and small enough for one comparison, else of the named ones and their families.
///
/// # Errors
/// Unknown models; when the database cannot be read or written.
pub async fn examine_all(
    registry: &Registry,
    wanted: &[String],
    done: &(dyn Fn(&Examined) + Sync),
) -> Result<(), Error> {
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    for (at, name) in wanted.iter().enumerate() {
        match registry.store.model_by_id(name).await? {
            Some(row) => rows.push(row),
            None => missing.push((format!("/models/{at}"), Error::UnknownModel(name.clone()))),
        }
    }
    if missing.len() > 1 {
        let item = |(pointer, error): (String, Error)| Item { pointer, message: error.to_string() };
        return Err(Error::Missing(missing.into_iter().map(item).collect()));
    }
    if let Some((_, unknown)) = missing.pop() {
        return Err(unknown);
    }
    if wanted.is_empty() {
        let signed = registry.store.signed_revisions(SIGNATURE_SCHEME).await?;
        let ids: Vec<i64> = signed.iter().map(|of| of.model).collect();
        return go_over(registry, &ids, &mut |_, examined| done(&examined)).await;
    }
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mut found = BTreeMap::new();
    go_over(registry, &ids, &mut |id, examined| {
        found.insert(id, examined);
    })
    .await?;
    for row in rows {
        match found.remove(&row.id) {
            Some(examined) => done(&examined),
            None => done(&skipped(registry, row).await?),
        }
    }
    Ok(())
}

/// Why a model that was asked for is not compared.
async fn skipped(registry: &Registry, row: ModelRow) -> Result<Examined, Error> {
    let made = is_made(&registry.store.edges_of(row.id).await?);
    let why = match row.revision {
        None => "only its metadata is here, no weights",
        Some(_) if made => "it was made here, and its recipe says from what",
        Some(_) => {
            "its weights have no sketches of their own: of an adapter the configuration says what it was trained on"
        }
    };
    Ok(Examined {
        model: row.name,
        compared: 0,
        parents: Vec::new(),
        verified: 0,
        contradicted: 0,
        skipped: Some(why.to_owned()),
    })
}

/// Queues a job for what is due, once nothing has come for a while; whether it was queued now.
///
/// # Errors
/// When the database cannot be read or written.
pub(crate) async fn ask_for_due(registry: &Registry) -> Result<bool, Error> {
    let due = registry.store.due().await?;
    if due.looks.is_empty() || due.newest < QUIET && due.oldest < PATIENCE {
        return Ok(false);
    }
    // Of several processes one asks. What failed is not asked for again before something comes.
    let job = NewJob {
        kind: RECOVER_LINEAGE.id.to_owned(),
        payload: json!(RecoverPayload { models: due.looks.len() }),
        idempotency_key: Some(key_of(&due)),
        output: None,
    };
    // Whoever idles asks each second: what is known is not written for.
    if registry.store.known(&job).await?.is_some() {
        return Ok(false);
    }
    // Owed to what is published already: it goes over the limit.
    let (_, queued) = registry.store.enqueue(job, u64::MAX >> 1).await?;
    Ok(queued)
}

/// What stands for one look at these models: the same models marked anew are another one.
fn key_of(due: &Due) -> String {
    let said = |look: &Mark| format!("{} {} {}", look.of.model, look.of.revision, look.marked_at);
    let listed: Vec<String> = due.looks.iter().map(said).collect();
    format!("lineage of {}", Digest::of(listed.join(", ").as_bytes()))
}

/// Looks at what is due; how many models were looked at.
///
/// # Errors
/// [`Error::Cancelled`]; when the database cannot be read or written.
pub(crate) async fn examine_due(registry: &Registry, pulse: &Pulse) -> Result<usize, Error> {
    let due = registry.store.due().await?;
    let ids: Vec<i64> = due.looks.iter().map(|look| look.of.model).collect();
    pulse.begin("comparing weights", 0);
    let mut looked = 0;
    go_over(registry, &ids, &mut |_, _| looked += 1).await?;
    Ok(looked)
}

/// Looks at models family by family; `hear` is told of every member with its number.
async fn go_over(
    registry: &Registry,
    ids: &[i64],
    hear: &mut (dyn FnMut(i64, Examined) + Send),
) -> Result<(), Error> {
    // Before anything is read: what is marked from here on may have come too late for it, and stays marked.
    let marks = registry.store.due().await?.looks;
    let marks: HashMap<i64, Mark> = marks.into_iter().map(|mark| (mark.of.model, mark)).collect();
    let mut left: BTreeSet<i64> = ids.iter().copied().collect();
    if let Some(members) = whole(registry).await?.map(parents_of_others)
        && members.iter().any(|member| left.contains(&member.row.id))
    {
        look_at(registry, (members, &marks), (&mut left, hear)).await?;
    }
    if left.len() > 1 {
        // One look at all signatures serves every family.
        registry.relatives.current().await?;
    }
    while let Some(id) = left.pop_first() {
        if registry.pulse.as_ref().is_some_and(Pulse::cancelled) {
            return Err(Error::Cancelled);
        }
        let Some(row) = registry.store.model(id).await? else { continue };
        if let Some(first) = opened(registry, row).await? {
            let members = parents_of_others(family(registry, first).await?);
            if members.iter().any(|member| member.row.id == id)
                && !look_at(registry, (members, &marks), (&mut left, hear)).await?
                && let Some(examined) = examine(registry, id).await?
            {
                hear(id, examined);
            }
        }
        registry.store.settle_due(&Vec::from_iter(marks.get(&id).copied())).await?;
    }
    Ok(())
}

/// Compares the members of a family by their weights and writes down what that says of each; those are `left` no more.
/// `false` where the weights cannot be read.
async fn look_at(
    registry: &Registry,
    (members, marks): (Vec<Opened>, &HashMap<i64, Mark>),
    (left, hear): (&mut BTreeSet<i64>, &mut (dyn FnMut(i64, Examined) + Send)),
) -> Result<bool, Error> {
    let Some(compared) = by_weights(registry, members).await? else { return Ok(false) };
    let forest = registry.forests.current().await?;
    for (at, row) in compared.models.iter().enumerate() {
        left.remove(&row.id);
        if let Some(examined) = record(registry, &compared, (at, &forest)).await? {
            hear(row.id, examined);
        }
    }
    let held = compared.models.iter().filter_map(|row| marks.get(&row.id));
    registry.store.settle_due(&held.copied().collect::<Vec<_>>()).await?;
    Ok(true)
}

/// All models with sketches, where they are few and small enough for one comparison.
async fn whole(registry: &Registry) -> Result<Option<Vec<Opened>>, Error> {
    let signed = registry.store.signed_revisions(SIGNATURE_SCHEME).await?;
    if signed.len() > registry.limits.matrix {
        return Ok(None);
    }
    // Their sketches are read only where their weights will be.
    let mut bytes = 0u64;
    for of in &signed {
        for part in registry.store.composition(of.revision).await? {
            bytes = bytes.saturating_add(part.bytes);
        }
        if bytes > registry.limits.lineage_bytes {
            return Ok(None);
        }
    }
    let ids: Vec<i64> = signed.iter().map(|of| of.model).collect();
    all_of(registry, &ids).await.map(Some)
}

async fn all_of(registry: &Registry, ids: &[i64]) -> Result<Vec<Opened>, Error> {
    let mut members = Vec::with_capacity(ids.len());
    for row in registry.store.models_by_ids(ids).await? {
        members.extend(opened(registry, row).await?);
    }
    Ok(members)
}

/// A model with its relatives, theirs and so on, the nearest first, as many as one comparison takes beside it.
async fn family(registry: &Registry, first: Opened) -> Result<Vec<Opened>, Error> {
    let limits = &registry.limits;
    let forest = registry.forests.current().await?;
    let (mut members, mut bytes) = (Vec::new(), 0u64);
    let mut seen = HashSet::from([first.row.id]);
    let mut queue = VecDeque::from([first]);
    while let Some(member) = queue.pop_front() {
        bytes = bytes.saturating_add(member.bytes);
        let full = members.len() == limits.matrix || bytes > limits.lineage_bytes;
        if full && !members.is_empty() {
            break;
        }
        let edges = registry.store.edges_of(member.row.id).await?;
        for row in candidates(registry, &member, (&edges, &forest)).await? {
            if queue.len() + members.len() < limits.matrix && seen.insert(row.id) {
                queue.extend(opened(registry, row).await?);
            }
        }
        members.push(member);
    }
    members.sort_by_key(|member| member.row.id);
    Ok(members)
}

/// Those that may be a parent of another, or have parents that no recipe tells: what a recipe made after all others were
/// here is neither, and would stand before the real parents.
fn parents_of_others(mut members: Vec<Opened>) -> Vec<Opened> {
    let last = members.iter().filter(|member| !member.made).filter_map(|member| member.row.revision).max();
    members.retain(|member| !member.made || member.row.revision < last);
    members
}

/// A comparison of weights; none where they cannot be read, or are those of one model.
async fn by_weights(registry: &Registry, members: Vec<Opened>) -> Result<Option<Compared>, Error> {
    if members.len() < 2 {
        return Ok(None);
    }
    let name = members[0].row.name.clone();
    let Some(sources) = readable(registry, &members).await else { return Ok(None) };
    match compare(members, Some(sources)).await {
        Err(_) if registry.pulse.as_ref().is_some_and(Pulse::cancelled) => Err(Error::Cancelled),
        Err(error) => {
            tracing::warn!("the family of `{name}` is not compared by its weights: {error}");
            Ok(None)
        }
        compared => compared.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_models_marked_anew_are_another_look() {
        let of = store::CurrentRevision { model: 1, revision: 2 };
        let marked_at = |marked_at: i64| Due { looks: vec![Mark { of, marked_at }], ..Due::default() };

        assert_eq!(key_of(&marked_at(7)), key_of(&Due { oldest: 9, newest: 9, ..marked_at(7) }));
        assert_ne!(key_of(&marked_at(7)), key_of(&marked_at(8)));
    }
}
