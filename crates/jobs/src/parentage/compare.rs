//! Stored models compared with each other, and what that says of one of them as it is written down.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use analysis::{
    kinship::{Signature, SketchedTensor},
    lineage::Forest,
    recover::{
        Claim, Direction, Kind, Named, Parent, Recovered, Stored, StoredTensor, Verdict, recover_sketched,
        recover_stored,
    },
};
use domain::{EdgeStatus, Evidence, Part, Source};
use store::{EdgeRow, Findings, ModelRow, TensorRow, VerdictRow, VerdictWord, WeightEdge};
use tokio::task::spawn_blocking;
use weights::{Dtype, TensorSource};

use super::Examined;
use crate::{
    Access, Error, Registry,
    operand::open_stored,
    sketches::{Tensors, current},
};

/// Confidence from which a parent is proposed.
pub(super) const PROPOSED: f64 = 0.5;

/// A model with what is stored of its weights.
pub(super) struct Opened {
    pub(super) row: ModelRow,
    pub(super) signature: Signature,
    /// Bytes of its tensors.
    pub(super) bytes: u64,
    /// Whether a recipe of this registry made it.
    pub(super) made: bool,
    stored: Stored,
}

/// Models that were compared with each other.
pub(super) struct Compared {
    pub(super) models: Vec<ModelRow>,
    /// Which of them a recipe of this registry made.
    made: Vec<bool>,
    /// None of one model alone.
    found: Option<Recovered>,
}

impl Compared {
    /// The models that the first is a parent of, as far as the comparison tells.
    pub(super) fn heirs(&self) -> Vec<i64> {
        let own = |parent: &Parent| parent.id == self.models[0].name && parent.confidence >= PROPOSED;
        let told = self.found.iter().flat_map(|found| &found.report.models);
        let heirs = self.models.iter().zip(told).filter(|(_, model)| model.parents.iter().any(own));
        heirs.map(|(row, _)| row.id).collect()
    }
}

/// Compares models by the `sources` of their weights, or by sketches without.
pub(super) async fn compare(
    opened: Vec<Opened>,
    sources: Option<Vec<Arc<dyn TensorSource>>>,
) -> Result<Compared, Error> {
    let made = opened.iter().map(|one| one.made).collect();
    let (models, stored): (Vec<ModelRow>, Vec<Stored>) =
        opened.into_iter().map(|one| (one.row, one.stored)).unzip();
    if models.len() == 1 {
        return Ok(Compared { models, made, found: None });
    }
    let recovered = spawn_blocking(move || match sources {
        Some(sources) => recover_stored(stored, sources, &|_| Ok(())),
        None => recover_sketched(stored),
    });
    Ok(Compared { models, made, found: Some(recovered.await??) })
}

/// Writes down what a comparison says of one of its models; what is then stored.
pub(super) async fn record(
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

/// The tensors of models; none where they are too large to be read for this, or cannot be read: sketches tell less, but
/// always something.
pub(super) async fn readable(registry: &Registry, models: &[Opened]) -> Option<Vec<Arc<dyn TensorSource>>> {
    let bytes = models.iter().map(|model| model.bytes).fold(0, u64::saturating_add);
    if bytes > registry.limits.lineage_bytes {
        return None;
    }
    let mut sources = Vec::with_capacity(models.len());
    for Opened { row, .. } in models {
        let opened = open_stored(registry, &row.name, &Access::registry()).await;
        let operand = opened.inspect_err(|error| {
            tracing::debug!(%error, "lineage is recovered from sketches: `{}` cannot be read", row.name);
        });
        sources.push(operand.ok()?.source);
    }
    Some(sources)
}

/// What is stored of a model; none for adapters and models without sketches.
pub(super) async fn opened(registry: &Registry, row: ModelRow) -> Result<Option<Opened>, Error> {
    let Some(revision) = row.revision else { return Ok(None) };
    let Some(sketches) = current(registry.store.sketches(revision).await?) else { return Ok(None) };
    let Some(signature) = Signature::of(&sketches) else { return Ok(None) };
    let facts = registry.store.tensors(revision).await?;
    let bytes = facts.iter().map(|facts| facts.offset_end.saturating_sub(facts.offset_begin)).sum();
    let tensors = stored_tensors(facts, sketches);
    let edges = registry.store.edges_of(row.id).await?;
    let claims = edges.iter().filter(|edge| is_claimed(edge)).map(|edge| edge.as_written.clone());
    let made = is_made(&edges);
    let stored = Stored {
        id: row.name.clone(),
        tensors,
        claims: claims.collect(),
        created: row.created_at,
        order: row.id,
    };
    Ok(Some(Opened { row, signature, bytes, made, stored }))
}

/// Tensors of a revision by their sketches.
pub(crate) fn stored_tensors(facts: Vec<TensorRow>, sketches: Tensors) -> Vec<StoredTensor> {
    let facts: BTreeMap<String, TensorRow> =
        facts.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
    let known = |sketch: SketchedTensor| {
        let facts = facts.get(&sketch.name)?;
        let dtype = Dtype::from_name(&facts.dtype)?;
        Some(StoredTensor { dtype, digest: facts.digest, std: facts.std, sketch })
    };
    sketches.into_values().filter_map(known).collect()
}

/// What was recovered of one of the models compared, as it is stored.
fn findings(
    Compared { models: known, made, found }: &Compared,
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
    let declared = |parent: i64| edges.iter().any(|edge| edge.parent == parent && edge.declared());
    for parent in &found.report.models[at].parents {
        let Some(from) = known.iter().position(|row| row.name == parent.id) else { continue };
        let row = &known[from];
        // What was here before a recipe made the parent is older than it.
        let older = made[from] && own.revision < row.revision;
        let barred = (made[at] || older) && !declared(row.id);
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
            let told =
                evidence.source == Source::MergeConfig && delta_base.as_deref() == Some(evidence.seen());
            told || hub::metadata::is_delta_base(evidence)
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

/// Whether a recipe of this registry made the child of these edges.
pub(super) fn is_made(edges: &[EdgeRow]) -> bool {
    edges.iter().flat_map(|edge| &edge.evidence).any(|evidence| evidence.source == Source::Recipe)
}

/// Whether the weights speak for the edge.
pub(super) fn is_weighed(edge: &EdgeRow) -> bool {
    edge.evidence.iter().any(|evidence| evidence.source == Source::Weights)
}

/// Whether a card, a tag, a file or a table names the parent; weights, guesses, recipes and people are no claim.
pub(super) fn is_claimed(edge: &EdgeRow) -> bool {
    let told =
        |source| !matches!(source, Source::Weights | Source::Inferred | Source::Recipe | Source::Person);
    // Whose tokenizer a model has, none of its weights tell.
    let tokenizer = edge.evidence.iter().any(|evidence| evidence.part() == Some(Part::Tokenizer));
    edge.status != EdgeStatus::RejectedSelf
        && !tokenizer
        && edge.evidence.iter().any(|evidence| told(evidence.source))
}

#[cfg(test)]
mod tests {
    use domain::Relation;

    use super::*;

    #[test]
    fn whose_tokenizer_a_model_has_is_no_claim_about_its_weights() {
        let evidence = |source, detail: &str| Evidence { source, detail: detail.to_owned(), confidence: 1.0 };
        let edge = |part: Part| EdgeRow {
            id: 1,
            child: 2,
            parent: 3,
            as_written: "o/donor".to_owned(),
            relation: Relation::Transfer,
            status: EdgeStatus::Accepted,
            evidence: vec![
                evidence(Source::Recipe, &Evidence::detail_of("sha256:00", part)),
                evidence(Source::Card, "o/donor"),
            ],
        };

        assert!(!is_claimed(&edge(Part::Tokenizer)));
        assert!(is_claimed(&edge(Part::Base)));
    }
}
