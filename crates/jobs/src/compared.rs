//! Comparisons of two models: what is stored of their tensors is not read again, and what was computed is kept.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use analysis::diff::{Cells, DiffReport, Fact, Facts, Side, to_read};

use crate::{
    Access, Error, Operand, Reading, Registry,
    measure::Turn,
    operand::{open_all, standing},
};

/// What a report weighs beside its rows, in rows.
const REPORT: usize = 100;

/// Comparisons by what the two models hold, the last used last. They never go stale, since a digest stands for one content.
#[derive(Clone)]
pub struct Compared {
    kept: Arc<Mutex<VecDeque<Kept>>>,
    most: usize,
}

struct Kept {
    pair: [String; 2],
    report: Arc<DiffReport>,
}

impl Kept {
    fn rows(&self) -> usize {
        let DiffReport { tensors, only_a, only_b, shape_mismatches, .. } = &*self.report;
        REPORT + tensors.len() + only_a.len() + only_b.len() + shape_mismatches.len()
    }
}

impl Compared {
    /// Keeps reports of at most `most` rows together.
    pub fn new(most: usize) -> Self {
        Self { kept: Arc::default(), most }
    }

    /// What was computed of the two, where it is from what is asked for; exact numbers answer whatever is.
    fn known(&self, pair: &[String; 2], reading: Reading) -> Option<Arc<DiffReport>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let good = |one: &Kept| one.pair == *pair && (one.report.exact || reading != Reading::Weights);
        let at = kept.iter().position(good)?;
        let found = kept.remove(at)?;
        let report = Arc::clone(&found.report);
        kept.push_back(found);
        Some(report)
    }

    fn keep(&self, pair: [String; 2], report: &Arc<DiffReport>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| one.pair != pair);
        kept.push_back(Kept { pair, report: Arc::clone(report) });
        while kept.iter().map(Kept::rows).sum::<usize>() > self.most {
            kept.pop_front();
        }
    }
}

/// Per-tensor comparison of two models. Tensors that are known to be equal by their stored digests are not read, nor is
/// anything where the same two were compared before. With [`Reading::Stored`], sketches estimate what of two stored revisions
/// differs where that has more bytes than `compare_bytes`; with [`Reading::Sketches`] wherever there are sketches.
///
/// # Errors
/// Unknown models, models without weights, or layouts that have no tensor in common.
pub async fn compare(
    registry: &Registry,
    [a, b]: [&str; 2],
    (access, reading): (&Access, Reading),
) -> Result<Arc<DiffReport>, Error> {
    let known = async || -> Result<Option<Arc<DiffReport>>, Error> {
        let (a, b) = (standing(registry, a, access).await?, standing(registry, b, access).await?);
        let pair = a.zip(b).map(|(a, b)| [a, b].map(|digest| digest.to_string()));
        Ok(pair.and_then(|pair| registry.compared.known(&pair, reading)))
    };
    // What is wrong with a name is told once both are opened.
    if let Ok(Some(known)) = known().await {
        return Ok(known);
    }
    let turn = Turn::take(registry).await?;
    let [a, b] = open_all(registry, [("a", a), ("b", b)], access).await?;
    let pair = content(&a).zip(content(&b)).map(|(a, b)| [a, b]);
    // Somebody may have asked for the same while this one waited for its turn.
    if let Some(known) = pair.as_ref().and_then(|pair| registry.compared.known(pair, reading)) {
        return Ok(known);
    }
    let mut facts = [facts(registry, &a).await?, facts(registry, &b).await?];
    let most = match reading {
        Reading::Stored => registry.limits.compare_bytes,
        Reading::Sketches => 0,
        Reading::Weights => u64::MAX,
    };
    if most < u64::MAX && facts.iter().all(|facts| !facts.is_empty()) {
        let unread = to_read(side(&a, &facts[0]), side(&b, &facts[1]), &|_| Ok(()))?;
        if unread > most {
            sketch(registry, &a, &mut facts[0]).await?;
            sketch(registry, &b, &mut facts[1]).await?;
        }
    }
    let report =
        turn.run(move |go_on| analysis::diff::compare(side(&a, &facts[0]), side(&b, &facts[1]), go_on));
    let report = Arc::new(report.await?);
    if let Some(pair) = pair {
        registry.compared.keep(pair, &report);
    }
    Ok(report)
}

fn side<'a>(operand: &'a Operand, facts: &'a Facts) -> Side<'a> {
    let config = operand.config.as_ref();
    let architecture = config.and_then(|config| config.get("architectures")?.get(0)?.as_str());
    Side { source: &*operand.source, facts: Some(facts), architecture }
}

/// What decides all that is read of an operand; none where that is not known.
fn content(operand: &Operand) -> Option<String> {
    let mut own = operand.digest?.to_string();
    own.extend(operand.member.iter().flat_map(|member| ["#", member]));
    match &operand.base {
        Some(base) => Some(format!("{own}+{}", content(base)?)),
        None => Some(own),
    }
}

/// What the registry holds of the tensors of an operand that is read as it is stored.
async fn facts(registry: &Registry, operand: &Operand) -> Result<Facts, Error> {
    let stored = operand.base.is_none() && operand.member.is_none();
    let Some(revision) = operand.revision.filter(|_| stored) else { return Ok(Facts::new()) };
    if weights::is_difference(&*operand.source) {
        return Ok(Facts::new());
    }
    let rows = registry.store.tensors(revision).await?;
    let fact = |row: store::TensorRow| {
        let at = operand.source.position(&row.name)?;
        let info = &operand.source.tensors()[at];
        // Scaled codes are read as what they stand for.
        let as_stored = info.dtype.name() == row.dtype && info.shape == row.shape;
        let fact = Fact { digest: row.digest, l2: row.l2, nonfinite: row.nonfinite, sketch: None };
        as_stored.then_some((row.name, fact))
    };
    Ok(rows.into_iter().filter_map(fact).collect())
}

/// Adds the stored sketches of the present scheme.
async fn sketch(registry: &Registry, operand: &Operand, facts: &mut Facts) -> Result<(), Error> {
    let Some(revision) = operand.revision else { return Ok(()) };
    for row in registry.store.sketches(revision).await? {
        if let Some(fact) = facts.get_mut(&row.name).filter(|_| row.sketch.scheme == weights::SCHEME) {
            let (exact, blocks) = (row.sketch.exact, row.sketch.block_sums.len());
            fact.sketch = Some(Cells { exact, blocks, cells: row.sketch.cells });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use analysis::diff::Totals;

    use super::*;

    fn report(rows: usize) -> Arc<DiffReport> {
        Arc::new(DiffReport {
            verdict: String::new(),
            exact: false,
            tensors: Vec::new(),
            only_a: vec![String::new(); rows],
            only_b: Vec::new(),
            shape_mismatches: Vec::new(),
            renamed: Vec::new(),
            architecture_a: None,
            architecture_b: None,
            totals: Totals {
                tensors: 0,
                identical: 0,
                elements: 0,
                relative_l2: None,
                error: None,
                cosine: None,
                max_abs: None,
                unchanged_share: None,
                nonfinite: 0,
            },
        })
    }

    #[test]
    fn the_comparison_asked_for_the_longest_ago_goes_first_and_an_estimate_is_no_exact_answer() {
        let compared = Compared::new(3 * (REPORT + 10));
        let pair = |name: &str| [name.to_owned(), "x".to_owned()];
        for name in ["a", "b", "c"] {
            compared.keep(pair(name), &report(10));
        }

        compared.known(&pair("a"), Reading::Stored);
        compared.keep(pair("d"), &report(10));
        let exact = compared.known(&pair("a"), Reading::Weights).is_some();
        let there = ["a", "b", "c", "d"].map(|name| compared.known(&pair(name), Reading::Stored).is_some());
        compared.keep(pair("huge"), &report(1_000));

        assert_eq!((exact, there), (false, [true, false, true, true]));
        assert!(["huge", "d"].iter().all(|name| compared.known(&pair(name), Reading::Stored).is_none()));
    }
}
