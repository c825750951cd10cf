//! Parents of one model from the stored sketches of its nearest relatives, and whether the weights bear its claims out.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use analysis::{
    kinship::Signature,
    lineage::Forest,
    recover::{
        Claim, Direction, Kind, Named, Parent, Recovered, Stored, StoredTensor, Verdict, recover_sketched,
        recover_stored,
    },
};
use domain::{EdgeStatus, Evidence, Item, Source};
use serde::Serialize;
use serde_json::json;
use store::{EdgeRow, Findings, ModelRow, NewJob, VerdictRow, VerdictWord, WeightEdge};
use tokio::task::spawn_blocking;
use weights::{Dtype, TensorSource};

use crate::{
    Access, Error, Registry,
    kinds::{RECOVER_LINEAGE, RecoverPayload},
    operand::open_stored,
    sketches::current,
};

/// Nearest models that are compared.
const NEAREST: usize = 12;
/// Of so many of them the declared parents and children are compared too.
const WITH_FAMILY: usize = 4;
/// Parents, and children, of one of them.
const FAMILY: usize = 4;
/// Models that are looked at at once because of a new one; more are a job.
const AFFECTED: usize = 8;
/// Confidence from which a parent is proposed.
const PROPOSED: f64 = 0.5;

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
    examined: Examined,
    /// Models it was compared with.
    among: Vec<i64>,
    /// Those of them that descend from it as far as this look can tell.
    heirs: Vec<i64>,
}

/// Looks at the lineage of what was just published, and of the models that it may be news for. The model is there
/// whatever comes of this: a failure is logged.
pub async fn examine_import(registry: &Registry, model: i64) {
    let looked = async {
        let Some(look) = look(registry, model, Basis::Sketches).await? else { return Ok(()) };
        let affected = affected(registry, model, &look).await?;
        if affected.len() > AFFECTED {
            return ask(registry, model).await;
        }
        if affected.len() > 1 {
            // One look at all signatures serves them all.
            registry.relatives.current().await?;
        }
        for other in affected {
            examine(registry, other).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = looked.await {
        tracing::warn!(%error, "the lineage of model {model} is not recovered: {error}");
    }
}

/// Models with weights for which the weights of `model` are news: those that it is compared with and seems to be the
/// parent of, those that name it as their base, those that the weights of an earlier revision had for its children, and
/// those whose claims were contradicted without it.
async fn affected(registry: &Registry, model: i64, look: &Look) -> Result<Vec<i64>, Error> {
    let below = registry.store.edges_to(model).await?;
    let mut ids: Vec<i64> =
        below.iter().filter(|edge| is_claimed(edge) || is_weighed(edge)).map(|edge| edge.child).collect();
    ids.extend(&look.heirs);
    let verdicts = registry.store.verdicts_of(&look.among).await?;
    ids.extend(verdicts.iter().filter(|row| row.verdict == VerdictWord::Contradicted).map(|row| row.child));
    ids.sort_unstable();
    ids.dedup();
    let rows = registry.store.light_models(&ids).await?;
    Ok(rows.into_iter().filter(|row| row.has_weights && row.id != model).map(|row| row.id).collect())
}

/// Looks at a model, and gives those that it may be news for.
pub(crate) async fn examine_with_affected(registry: &Registry, model: i64) -> Result<Vec<i64>, Error> {
    match look(registry, model, Basis::Sketches).await? {
        Some(look) => affected(registry, model, &look).await,
        None => Ok(Vec::new()),
    }
}

/// Queues a look at the models that `model` may be news for.
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

/// Looks at the named models, or at all that have weights; `done` hears of each. Weights are read: those of a named model
/// and of its relatives, or of all models where they are few and small enough for one comparison.
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
        let signed = registry.store.signed_revisions(analysis::kinship::SIGNATURE_SCHEME).await?;
        let ids: Vec<i64> = signed.iter().map(|of| of.model).collect();
        if let Some(compared) = together(registry, &ids).await? {
            let forest = registry.forests.current().await?;
            for at in 0..compared.models.len() {
                if let Some(examined) = record(registry, &compared, (at, &forest)).await? {
                    done(&examined);
                }
            }
            return Ok(());
        }
        // One look at all signatures serves every model.
        registry.relatives.current().await?;
        for id in ids {
            if let Some(examined) = examine(registry, id).await? {
                done(&examined);
            }
        }
    }
    for row in rows {
        match look(registry, row.id, Basis::Weights).await? {
            Some(look) => done(&look.examined),
            None => done(&skipped(row)),
        }
    }
    Ok(())
}

/// Why a model that was asked for is not compared.
fn skipped(row: ModelRow) -> Examined {
    let why = match row.revision {
        None => "only its metadata is here, no weights",
        Some(_) => {
            "its weights have no sketches of their own: of an adapter the configuration says what it was trained on"
        }
    };
    Examined {
        model: row.name,
        compared: 0,
        parents: Vec::new(),
        verified: 0,
        contradicted: 0,
        skipped: Some(why.to_owned()),
    }
}

/// Compares a model with its nearest relatives, the bases it claims and their families, and writes down what that
/// says. None for a model without sketches of its own.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn examine(registry: &Registry, model: i64) -> Result<Option<Examined>, Error> {
    Ok(look(registry, model, Basis::Sketches).await?.map(|look| look.examined))
}

/// What a look rests on.
#[derive(Clone, Copy)]
enum Basis {
    /// What every import leaves: a look takes milliseconds.
    Sketches,
    /// The weights where they can be read, which tells more and takes seconds.
    Weights,
}

/// Models that were compared with each other.
struct Compared {
    models: Vec<ModelRow>,
    /// None of one model alone.
    found: Option<Recovered>,
}

async fn look(registry: &Registry, model: i64, basis: Basis) -> Result<Option<Look>, Error> {
    let Some(row) = registry.store.model(model).await? else { return Ok(None) };
    let Some((own, signature)) = opened(registry, &row).await? else { return Ok(None) };
    let forest = registry.forests.current().await?;
    let edges = registry.store.edges_of(row.id).await?;
    let rows = candidates(registry, (&row, signature), (&edges, &forest)).await?;
    let (mut stored, mut models) = (vec![own], vec![row]);
    for candidate in rows {
        if let Some((own, _)) = opened(registry, &candidate).await? {
            stored.push(own);
            models.push(candidate);
        }
    }
    let sources = match basis {
        Basis::Sketches => None,
        Basis::Weights => readable(registry, &models).await,
    };
    let compared = compare((models, stored), sources).await?;
    let Some(examined) = record(registry, &compared, (0, &forest)).await? else { return Ok(None) };
    let heirs = heirs(&compared);
    Ok(Some(Look { examined, among: compared.models[1..].iter().map(|row| row.id).collect(), heirs }))
}

/// Compares models by the `sources` of their weights, or by sketches without.
async fn compare(
    (models, stored): (Vec<ModelRow>, Vec<Stored>),
    sources: Option<Vec<Arc<dyn TensorSource>>>,
) -> Result<Compared, Error> {
    if models.len() == 1 {
        return Ok(Compared { models, found: None });
    }
    let recovered = spawn_blocking(move || match sources {
        Some(sources) => recover_stored(stored, sources, &|_| Ok(())),
        None => recover_sketched(stored),
    });
    Ok(Compared { models, found: Some(recovered.await??) })
}

/// Writes down what a comparison says of one of its models; what is then stored.
async fn record(
    registry: &Registry,
    compared: &Compared,
    (at, forest): (usize, &Forest),
) -> Result<Option<Examined>, Error> {
    let own = &compared.models[at];
    let edges = registry.store.edges_of(own.id).await?;
    let findings = findings(compared, at, (&edges, forest));
    if !registry.store.record_findings(&findings).await? {
        return Ok(None);
    }
    registry.forests.settle().await?;
    let stored = registry.store.edges_of(own.id).await?;
    let parents = stored.into_iter().filter(|edge| is_weighed(edge) && edge.status.stands());
    let parents: HashSet<i64> = parents.map(|edge| edge.parent).collect();
    let count = |word| findings.verdicts.iter().filter(|row| row.verdict == word).count();
    let named = compared.models.iter().filter(|row| parents.contains(&row.id));
    Ok(Some(Examined {
        model: own.name.clone(),
        compared: compared.models.len() - 1,
        parents: named.map(|row| row.name.clone()).collect(),
        verified: count(VerdictWord::Verified),
        contradicted: count(VerdictWord::Contradicted),
        skipped: None,
    }))
}

/// All these models in one comparison of their weights; none where they are too many or too large for one.
async fn together(registry: &Registry, ids: &[i64]) -> Result<Option<Compared>, Error> {
    if !(2..=registry.limits.matrix).contains(&ids.len()) {
        return Ok(None);
    }
    let (mut models, mut stored) = (Vec::new(), Vec::new());
    for row in registry.store.models_by_ids(ids).await? {
        if let Some((own, _)) = opened(registry, &row).await? {
            stored.push(own);
            models.push(row);
        }
    }
    if models.len() < 2 {
        return Ok(None);
    }
    match readable(registry, &models).await {
        None => Ok(None),
        sources => compare((models, stored), sources).await.map(Some),
    }
}

/// The tensors of models; none where they are too large to be read for this, or cannot be read: sketches tell less, but
/// always something.
async fn readable(registry: &Registry, models: &[ModelRow]) -> Option<Vec<Arc<dyn TensorSource>>> {
    let (mut sources, mut bytes) = (Vec::with_capacity(models.len()), 0u64);
    for model in models {
        let opened = open_stored(registry, &model.name, &Access::registry()).await;
        let operand = opened.inspect_err(|error| {
            tracing::debug!(%error, "the lineage of `{}` is recovered from sketches", models[0].name);
        });
        let source = operand.ok()?.source;
        let own = source.tensors().iter().map(weights::TensorInfo::bytes).fold(0, u64::saturating_add);
        bytes = bytes.saturating_add(own);
        if bytes > registry.limits.lineage_bytes {
            return None;
        }
        sources.push(source);
    }
    Some(sources)
}

/// The models that have the first as a parent, as far as the comparison of these tells.
fn heirs(Compared { models, found }: &Compared) -> Vec<i64> {
    let own = |parent: &Parent| parent.id == models[0].name && parent.confidence >= PROPOSED;
    let told = found.iter().flat_map(|found| &found.report.models);
    let heirs = models.iter().zip(told).filter(|(_, model)| model.parents.iter().any(own));
    heirs.map(|(row, _)| row.id).collect()
}

/// Whether the weights speak for the edge.
fn is_weighed(edge: &EdgeRow) -> bool {
    edge.evidence.iter().any(|evidence| evidence.source == Source::Weights)
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

/// The models that a model is compared with: claimed bases, the nearest of its layout, and the declared family of those.
/// What weights proposed before has no say, so that a look finds the same however often and in which order all are made.
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

/// What was recovered of one of the models compared, as it is stored.
fn findings(
    Compared { models: known, found }: &Compared,
    at: usize,
    (edges, forest): (&[EdgeRow], &Forest),
) -> Findings {
    let own = &known[at];
    let mut findings = Findings {
        model: own.id,
        revision: own.revision.unwrap_or_default(),
        edges: Vec::new(),
        verdicts: Vec::new(),
    };
    let Some(found) = found else { return findings };
    // What was made here has a record of its parents, which is better than any guess.
    let made =
        edges.iter().any(|edge| edge.evidence.iter().any(|evidence| evidence.source == Source::Recipe));
    let declared = |parent: i64| edges.iter().any(|edge| edge.parent == parent && edge.declared());
    for parent in &found.report.models[at].parents {
        let Some(row) = known.iter().find(|row| row.name == parent.id) else { continue };
        let barred = made && !declared(row.id);
        if parent.confidence >= PROPOSED && !barred && !forest.declares(row.id, own.id) {
            findings.edges.push(WeightEdge {
                parent: row.id,
                name: row.name.clone(),
                relation: parent.relation.relation(),
                confidence: parent.confidence,
                sentence: sentence(parent),
            });
        }
    }
    let delta_base = own.card.as_deref().and_then(hub::metadata::delta_base);
    let descends = |a: usize, b: usize| forest.declares(known[a].id, known[b].id);
    for edge in edges.iter().filter(|edge| is_claimed(edge)) {
        let Some(base) = known.iter().position(|row| row.id == edge.parent) else { continue };
        let of_recipe = |evidence: &Evidence| {
            evidence.source == Source::MergeConfig && delta_base.as_ref() == Some(&evidence.detail)
        };
        let named = if edge.evidence.iter().any(of_recipe) { Named::DeltaBase } else { Named::Parent };
        let Some(judged) = found.judge(Claim { child: at, base, named }, &descends) else { continue };
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
