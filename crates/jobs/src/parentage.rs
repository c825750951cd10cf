//! Parents of one model from the stored sketches of its nearest relatives, and whether the weights bear its claims out.

use std::collections::{BTreeMap, HashSet};

use analysis::{
    kinship::Signature,
    lineage::Forest,
    recover::{Direction, Kind, Parent, Recovered, Stored, StoredTensor, Verdict, recover_sketched},
};
use domain::{EdgeStatus, Source};
use serde::Serialize;
use serde_json::json;
use store::{EdgeRow, Findings, ModelRow, NewJob, VerdictRow, VerdictWord, WeightEdge};
use tokio::task::spawn_blocking;
use weights::Dtype;

use crate::{
    Error, Registry,
    kinds::{RECOVER_LINEAGE, RecoverPayload},
    sketches::current,
};

/// Nearest models that are compared.
const NEAREST: usize = 12;
/// Of so many of them the declared parents and children are compared too.
const WITH_FAMILY: usize = 4;
/// Parents, and children, of one of them.
const FAMILY: usize = 4;
/// Declared children that are looked at at once; more are a job.
const CHILDREN: usize = 8;
/// Confidence from which a parent is proposed.
const PROPOSED: f64 = 0.5;

/// What was found of one model.
#[derive(Debug, Clone, Serialize)]
pub struct Examined {
    pub model: String,
    /// Models it was compared with.
    pub compared: usize,
    /// Parents that the weights speak for.
    pub parents: Vec<String>,
    /// Models here that descend from it.
    pub children: Vec<String>,
    pub verified: usize,
    pub contradicted: usize,
}

/// Looks at the lineage of what was just published, and of the models that name it as their base. The model is there
/// whatever comes of this: a failure is logged.
pub async fn examine_import(registry: &Registry, model: i64) {
    let looked = async {
        if examine(registry, model).await?.is_none() {
            return Ok(());
        }
        let children = declared_children(registry, model).await?;
        if children.len() > CHILDREN {
            return ask(registry, model).await;
        }
        if children.len() > 1 {
            // One look at all signatures serves every child.
            registry.relatives.current().await?;
        }
        for child in children {
            examine(registry, child).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = looked.await {
        tracing::warn!(%error, "the lineage of model {model} is not recovered: {error}");
    }
}

/// Queues a look at a model's declared children.
async fn ask(registry: &Registry, model: i64) -> Result<(), Error> {
    let Some(row) = registry.store.model(model).await? else { return Ok(()) };
    let job = NewJob {
        kind: RECOVER_LINEAGE.id.to_owned(),
        payload: json!(RecoverPayload { model: row.name }),
        idempotency_key: None,
        output: None,
    };
    // Owed to what is published already: it goes over the limit.
    registry.store.enqueue(job, u64::MAX >> 1).await?;
    registry.queued.notify_one();
    Ok(())
}

/// Models with weights that declare to descend from `model`.
pub(crate) async fn declared_children(registry: &Registry, model: i64) -> Result<Vec<i64>, Error> {
    let edges = registry.store.edges_to(model).await?;
    let children: Vec<i64> = edges.iter().filter(|edge| is_claimed(edge)).map(|edge| edge.child).collect();
    let rows = registry.store.light_models(&children).await?;
    Ok(rows.into_iter().filter(|row| row.has_weights).map(|row| row.id).collect())
}

/// Looks at the named models, or at all that have weights; `done` hears of each.
///
/// # Errors
/// Unknown models; when the database cannot be read or written.
pub async fn examine_all(
    registry: &Registry,
    wanted: &[String],
    done: &(dyn Fn(&Examined) + Sync),
) -> Result<(), Error> {
    let mut ids = Vec::new();
    for name in wanted {
        let row = registry.store.model_by_id(name).await?;
        ids.push(row.ok_or_else(|| Error::UnknownModel(name.clone()))?.id);
    }
    if wanted.is_empty() {
        let signed = registry.store.signed_revisions(analysis::kinship::SIGNATURE_SCHEME).await?;
        ids.extend(signed.iter().map(|of| of.model));
        // One look at all signatures serves every model.
        registry.relatives.current().await?;
    }
    for id in ids {
        if let Some(examined) = examine(registry, id).await? {
            done(&examined);
        }
    }
    Ok(())
}

/// Compares a model with its nearest relatives, the bases it claims and their families, and writes down what that
/// says. None for a model without sketches of its own.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn examine(registry: &Registry, model: i64) -> Result<Option<Examined>, Error> {
    let Some(row) = registry.store.model(model).await? else { return Ok(None) };
    let Some((own, signature)) = opened(registry, &row).await? else { return Ok(None) };
    let forest = registry.forests.current().await?;
    let edges = registry.store.edges_of(row.id).await?;
    let rows = candidates(registry, (&row, signature), (&edges, &forest)).await?;
    let mut models = vec![own];
    let mut known = vec![row];
    for candidate in rows {
        if let Some((stored, _)) = opened(registry, &candidate).await? {
            models.push(stored);
            known.push(candidate);
        }
    }
    let found = match models.len() {
        1 => None,
        _ => Some(spawn_blocking(move || recover_sketched(models)).await??),
    };
    let findings = findings(&known, found.as_ref(), (&edges, &forest));
    let recorded = registry.store.record_findings(&findings).await?;
    if recorded {
        registry.forests.settle().await?;
    }
    Ok(recorded.then(|| told(&known, &findings)))
}

fn told(known: &[ModelRow], findings: &Findings) -> Examined {
    let name = |id: i64| known.iter().find(|row| row.id == id).map_or(String::new(), |row| row.name.clone());
    let own = findings.model;
    let count = |word| findings.verdicts.iter().filter(|row| row.verdict == word).count();
    Examined {
        model: name(own),
        compared: known.len() - 1,
        parents: findings
            .edges
            .iter()
            .filter(|edge| edge.child == own)
            .map(|edge| edge.name.clone())
            .collect(),
        children: findings
            .edges
            .iter()
            .filter(|edge| edge.parent == own)
            .map(|edge| name(edge.child))
            .collect(),
        verified: count(VerdictWord::Verified),
        contradicted: count(VerdictWord::Contradicted),
    }
}

/// Whether a card, a tag, a file or a table names the parent; weights, guesses, recipes and people are no claim.
fn is_claimed(edge: &EdgeRow) -> bool {
    let told =
        |source| !matches!(source, Source::Weights | Source::Inferred | Source::Recipe | Source::Person);
    edge.status != EdgeStatus::RejectedSelf && edge.evidence.iter().any(|evidence| told(evidence.source))
}

/// A model's stored tensors and signature; none for adapters and models without sketches.
async fn opened(registry: &Registry, row: &ModelRow) -> Result<Option<(Stored, Signature)>, Error> {
    let Some(revision) = row.revision else { return Ok(None) };
    let Some(sketches) = current(registry.store.sketches(revision).await?) else { return Ok(None) };
    let Some(signature) = Signature::of(&sketches) else { return Ok(None) };
    let facts: BTreeMap<String, store::TensorRow> = registry
        .store
        .tensors(revision)
        .await?
        .into_iter()
        .map(|tensor| (tensor.name.clone(), tensor))
        .collect();
    let tensors = sketches.into_values().filter_map(|sketch| {
        let facts = facts.get(&sketch.name)?;
        let dtype = Dtype::from_name(&facts.dtype)?;
        Some(StoredTensor { dtype, digest: facts.digest, std: facts.std, sketch })
    });
    let edges = registry.store.edges_of(row.id).await?;
    let claims = edges.iter().filter(|edge| is_claimed(edge)).map(|edge| edge.as_written.clone());
    let stored = Stored {
        id: row.name.clone(),
        tensors: tensors.collect(),
        claims: claims.collect(),
        created: row.created_at,
        order: row.id,
    };
    Ok(Some((stored, signature)))
}

/// The models that a model is compared with: claimed bases, the nearest of its layout, and the family of those.
async fn candidates(
    registry: &Registry,
    (row, signature): (&ModelRow, Signature),
    (edges, forest): (&[EdgeRow], &Forest),
) -> Result<Vec<ModelRow>, Error> {
    let most = registry.limits.lineage_models;
    let near = registry.relatives.nearest(signature, NEAREST.min(most), row.id).await?;
    let near: Vec<i64> = near.iter().map(|near| near.of.model).collect();
    let mut ids: Vec<i64> =
        edges.iter().filter(|edge| is_claimed(edge)).map(|edge| edge.parent).take(FAMILY).collect();
    ids.extend(&near);
    for &id in near.iter().take(WITH_FAMILY) {
        ids.extend(forest.parents(id).iter().take(FAMILY).map(|link| link.id));
        ids.extend(forest.children(id).iter().take(FAMILY).map(|link| link.id));
    }
    let mut seen = HashSet::from([row.id]);
    ids.retain(|id| seen.insert(*id));
    let rows = registry.store.models_by_ids(&ids).await?;
    let mut rows: Vec<ModelRow> = rows.into_iter().filter(|row| row.revision.is_some()).collect();
    rows.truncate(most);
    Ok(rows)
}

/// What was recovered as it is stored; the model itself is the first of those known.
fn findings(
    known: &[ModelRow],
    found: Option<&Recovered>,
    (edges, forest): (&[EdgeRow], &Forest),
) -> Findings {
    let own = &known[0];
    let mut findings = Findings {
        model: own.id,
        revision: own.revision.unwrap_or_default(),
        among: known[1..].iter().map(|row| row.id).collect(),
        edges: Vec::new(),
        verdicts: Vec::new(),
    };
    let Some(found) = found else { return findings };
    // What was made here has a record of its parents, which is better than any guess.
    let made =
        edges.iter().any(|edge| edge.evidence.iter().any(|evidence| evidence.source == Source::Recipe));
    let declared = |parent: i64| edges.iter().any(|edge| edge.parent == parent && edge.declared());
    for (child, model) in known.iter().zip(&found.report.models) {
        let of_own = model.parents.iter().any(|parent| parent.id == own.name);
        if child.id != own.id && !of_own {
            continue;
        }
        for parent in &model.parents {
            let Some(row) = known.iter().find(|row| row.name == parent.id) else { continue };
            let barred = child.id == own.id && made && !declared(row.id);
            if parent.confidence >= PROPOSED && !barred && !forest.declares(row.id, child.id) {
                findings.edges.push(WeightEdge {
                    child: child.id,
                    parent: row.id,
                    name: row.name.clone(),
                    relation: parent.relation.relation(),
                    confidence: parent.confidence,
                    sentence: sentence(parent),
                });
            }
        }
    }
    let descends = |a: usize, b: usize| forest.declares(known[a].id, known[b].id);
    for edge in edges.iter().filter(|edge| is_claimed(edge)) {
        let Some(base) = known.iter().position(|row| row.id == edge.parent) else { continue };
        let Some(judged) = found.judge((0, base), &descends) else { continue };
        findings.verdicts.push(VerdictRow {
            id: 0,
            child: own.id,
            parent: edge.parent,
            verdict: match judged.verdict {
                Verdict::Verified => VerdictWord::Verified,
                Verdict::Contradicted => VerdictWord::Contradicted,
            },
            claimed: edge.as_written.clone(),
            instead: judged.instead.map(|at| known[at].id),
            cosine: judged.cosine,
            standard_error: judged.standard_error,
            log10_p: judged.log10_p,
            sentence: judged.sentence,
            computed_at: 0,
        });
    }
    findings
}

/// All that speaks for a parent, in one line.
fn sentence(parent: &Parent) -> String {
    let mut said: Vec<String> = vec![format!("{} by its weights", parent.relation.as_str())];
    said.extend(parent.evidence.iter().map(|evidence| evidence.sentence.clone()));
    if parent.direction == Direction::Guessed && parent.relation != Kind::Duplicate {
        said.push("which of the two came first is a guess".to_owned());
    }
    said.join("; ")
}
