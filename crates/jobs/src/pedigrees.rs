//! A model with its relatives and the evidence between them, ready to be exported or judged.

use std::collections::HashMap;

use analysis::{
    export::{Descent, File, Metric, Model, Pedigree},
    kinship::Signature,
    licence::{LicencePath, licence_path},
    lineage::{Neighbourhood, Reach, Step},
    recover::Verdict,
};
use domain::{Evidence, Source};
use store::{ModelRow, VerdictWord};

use crate::{Error, Registry, evaluations, relatives::current_signature};

/// The relatives of `row` that `up` and `down` generations reach, at most `export_models` of them.
///
/// # Errors
/// When the database cannot be read.
pub async fn pedigree(
    registry: &Registry,
    row: &ModelRow,
    (up, down): (usize, usize),
) -> Result<Pedigree, Error> {
    let forest = registry.forests.current().await?;
    let around = forest.neighbourhood(row.id, Reach { up, down, cap: registry.limits.export_models });
    let rows = registry.store.light_models(&around.models).await?;
    let known: HashMap<i64, &ModelRow> = rows.iter().map(|row| (row.id, row)).collect();
    let children: Vec<i64> = around.edges.iter().map(|step| around.models[step.child]).collect();
    let mut children = children;
    children.dedup();
    let mut evidence: HashMap<i64, Vec<Evidence>> = registry
        .store
        .edges_of_many(&children)
        .await?
        .into_iter()
        .map(|edge| (edge.id, edge.evidence))
        .collect();
    let verdicts = registry.store.verdicts_of(&children).await?;
    let verdicts: HashMap<(i64, i64), (Verdict, f64)> = verdicts
        .into_iter()
        .map(|row| {
            let verdict = match row.verdict {
                VerdictWord::Verified => Verdict::Verified,
                VerdictWord::Contradicted => Verdict::Contradicted,
            };
            ((row.child, row.parent), (verdict, row.cosine))
        })
        .collect();
    let weighed = weighed(registry, (&around, &known), &evidence).await?;
    let here: Vec<i64> = rows.iter().filter(|row| row.revision.is_some()).map(|row| row.id).collect();
    let heads = registry.store.heads(&here).await?;
    let own = own(registry, row).await?;
    Ok(Pedigree {
        models: around
            .models
            .iter()
            .map(|id| match known.get(id) {
                Some(known) if known.id == row.id => Model { commit: commit(known, &heads), ..own.clone() },
                Some(known) => Model { commit: commit(known, &heads), ..described(known) },
                // Removed since the forest was built: its name is still known.
                None => Model {
                    name: forest.node(*id).map(|node| node.name.to_owned()).unwrap_or_default(),
                    ghost: true,
                    ..Model::default()
                },
            })
            .collect(),
        ancestors: around.ancestors,
        edges: around
            .edges
            .iter()
            .map(|step| Descent {
                child: step.child,
                parent: step.parent,
                relation: step.relation,
                primary: step.primary,
                evidence: evidence.remove(&step.edge).unwrap_or_default(),
                verdict: verdicts.get(&ends(&around, step)).map(|(verdict, _)| *verdict),
                cosine: verdicts
                    .get(&ends(&around, step))
                    .map(|(_, cosine)| *cosine)
                    .or_else(|| weighed.get(&step.edge).copied()),
            })
            .collect(),
        truncated: around.truncated,
        as_of: rows.iter().map(|row| row.ingested_at).max().unwrap_or_default(),
    })
}

/// Cosines of the weights along the edges for which weights speak, from the models' signatures, by number of the edge.
async fn weighed(
    registry: &Registry,
    (around, known): (&Neighbourhood, &HashMap<i64, &ModelRow>),
    evidence: &HashMap<i64, Vec<Evidence>>,
) -> Result<HashMap<i64, f64>, Error> {
    let by_weights = |step: &&Step| {
        evidence.get(&step.edge).is_some_and(|told| told.iter().any(|told| told.source == Source::Weights))
    };
    let revision = |id: i64| known.get(&id).and_then(|row| row.revision);
    let of = |step: &Step| {
        let (child, parent) = ends(around, step);
        Some((step.edge, revision(child)?, revision(parent)?))
    };
    let edges: Vec<(i64, i64, i64)> = around.edges.iter().filter(by_weights).filter_map(of).collect();
    let mut revisions: Vec<i64> = edges.iter().flat_map(|(_, child, parent)| [*child, *parent]).collect();
    revisions.sort_unstable();
    revisions.dedup();
    let signed: HashMap<i64, Signature> = registry
        .store
        .signatures(&revisions)
        .await?
        .into_iter()
        .filter_map(|(revision, row)| Some((revision, current_signature(row)?)))
        .collect();
    let cosine = |(edge, child, parent)| Some((edge, signed.get(&child)?.cosine(signed.get(&parent)?)?));
    Ok(edges.into_iter().filter_map(cosine).collect())
}

/// Child and parent of an edge, by number.
fn ends(around: &Neighbourhood, step: &Step) -> (i64, i64) {
    (around.models[step.child], around.models[step.parent])
}

/// The model asked for, with its files and what its card says that it scores.
async fn own(registry: &Registry, row: &ModelRow) -> Result<Model, Error> {
    let mut model = described(row);
    let Some(revision) = row.revision else { return Ok(model) };
    let files = registry.store.files(revision).await?.into_iter();
    model.files = files.map(|file| File { path: file.path, digest: file.digest.to_string() }).collect();
    let results = evaluations(registry, revision).await?.into_iter();
    let metric = |result: hub::Evaluation| Metric {
        name: result.metric,
        value: result.value,
        dataset: result.dataset,
    };
    model.metrics = results.map(metric).collect();
    Ok(model)
}

/// The Hub's commit, else the one that `main` is at here.
fn commit(row: &ModelRow, heads: &HashMap<i64, String>) -> Option<String> {
    row.sha.clone().or_else(|| heads.get(&row.id).cloned())
}

fn described(row: &ModelRow) -> Model {
    Model {
        name: row.name.clone(),
        ghost: row.ghost,
        author: row.author.clone(),
        licence: row.licence().map(str::to_owned),
        task: row.pipeline_tag.clone(),
        library: row.library.clone(),
        model_type: row.model_type.clone(),
        architecture: row.architecture.clone(),
        parameters: row.parameters,
        downloads: row.downloads,
        created_at: row.created_at,
        commit: row.sha.clone(),
        digest: row.digest.map(|digest| digest.to_string()),
        datasets: row.datasets.clone(),
        ..Model::default()
    }
}

/// A model's licence against those of its ancestors; a model newer than the forest has none yet.
///
/// # Errors
/// When the database cannot be read.
pub async fn licence_of(registry: &Registry, row: &ModelRow) -> Result<LicencePath, Error> {
    let forest = registry.forests.current().await?;
    let path = licence_path(&forest, row.id, registry.limits.report_rows);
    path.ok_or_else(|| Error::UnknownModel(row.name.clone()))
}
