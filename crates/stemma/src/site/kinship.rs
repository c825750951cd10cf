//! Kinship as the page shows it: the matrix of all pairs, and of one pair the strip of its layers.

use ::web::{
    Failure,
    view::{Cell, Join, KinshipPage, KinshipQuery, Name, Skipped, Strip, StripCell},
};
use analysis::kinship::{PartReport, Partial, Report, cluster};
use jobs::{Access, Registry};

use super::{Result, compare};
use crate::output;

/// A matrix of one measure, and the strip of a pair: of the one that is chosen, or of the only one there is.
pub async fn page(registry: &Registry, query: &KinshipQuery) -> Result<KinshipPage> {
    let (report, left_out) = comparable(registry, query).await?;
    let measure = if query.measure.is_empty() { "cosine".to_owned() } else { query.measure.clone() };
    if report.base.is_none() && measure != "euclidean" {
        let fit: Vec<Name> = report.models.into_iter().map(Name).collect();
        let names: Vec<String> = fit.iter().map(|name| name.0.clone()).collect();
        let common = jobs::common_ancestor(registry, &names).await?.map(Name);
        let models = fit.into_iter().chain(left_out.iter().map(|(name, _)| name.clone())).collect();
        return Ok(KinshipPage {
            baseless: true,
            common,
            models,
            left_out,
            measure,
            ..KinshipPage::default()
        });
    }
    let strip = match &query.pair {
        _ if report.models.len() == 2 => Some(strip(&report, &measure)),
        Some(pair) => {
            // The pair is measured against the base of all, which `auto` need not be of two of them.
            let base = match query.base.as_deref() {
                Some("auto") => report.base.clone(),
                named => named.map(str::to_owned),
            };
            Some(strip(&measured(registry, pair, &KinshipQuery { base, ..query.clone() }).await?, &measure))
        }
        None => None,
    };
    let notes = notes(&report, &measure);
    let pinned = pinned(registry, query, report.base.as_deref()).await?;
    let missing = "undefined: one of the two equals the base";
    let errors = report.standard_errors.get(&measure).map(Vec::as_slice).unwrap_or_default();
    let matrix = report.matrices.get(&measure).map(Vec::as_slice).unwrap_or_default();
    let at = |matrix: &[Vec<Option<f64>>], i: usize, j: usize| {
        matrix.get(i).and_then(|row| row.get(j).copied()?)
    };
    let matrix: Vec<Vec<Cell>> = (0..report.models.len())
        .map(|i| {
            (0..report.models.len())
                .map(|j| {
                    let value = at(matrix, i, j);
                    // A model differs from itself by nothing, without an error.
                    let error = at(errors, i, j).filter(|_| i != j);
                    Cell { value, error, reason: value.is_none().then(|| missing.to_owned()) }
                })
                .collect()
        })
        .collect();
    let models: Vec<Name> = report.models.into_iter().map(Name).collect();
    let (mut models, mut matrix, joins) = match query.as_given {
        true => (models, matrix, Vec::new()),
        false => together(models, matrix, &measure),
    };
    for (name, reason) in &left_out {
        let cell = Cell { reason: Some(reason.clone()), ..Cell::default() };
        matrix.iter_mut().for_each(|row| row.push(cell.clone()));
        models.push(name.clone());
        matrix.push(vec![cell; models.len()]);
    }
    Ok(KinshipPage {
        left_out,
        pinned,
        baseless: false,
        common: None,
        models,
        joins,
        strip,
        base: report.base.map(Name),
        measure,
        exact: report.exact,
        share: (report.coverage.share < 1.0).then(|| output::share(report.coverage.share)),
        notes,
        device: report.device.as_ref().map(ToString::to_string),
        matrix,
        elements: report.elements,
        tensors: report.coverage.compared as u64,
        skipped: report
            .coverage
            .skipped
            .into_iter()
            .map(|s| Skipped { tensor: s.tensor, reason: s.reason })
            .collect(),
    })
}

/// The names of a question with the digests of their present revisions; none where one of them has no revision here.
async fn pinned(
    registry: &Registry,
    query: &KinshipQuery,
    base: Option<&str>,
) -> Result<Option<(Vec<String>, Option<String>)>> {
    let pin = async |name: &str| -> Result<Option<String>> {
        if name.contains("@sha256:") {
            return Ok(Some(name.to_owned()));
        }
        // What is made of several, as base+adapter, or of a branch has no one digest by this name.
        let row = registry.store.model_by_id(name).await?;
        Ok(row.and_then(|row| Some(format!("{}@{}", row.name, row.digest?))))
    };
    let mut names = Vec::with_capacity(query.names.len());
    for name in &query.names {
        let Some(pinned) = pin(name).await? else { return Ok(None) };
        names.push(pinned);
    }
    let base = match (query.base.as_deref(), base) {
        (None, _) => return Ok(Some((names, None))),
        (Some("auto"), found) => found.map(str::to_owned),
        (named, _) => named.map(str::to_owned),
    };
    let Some(base) = pin(base.as_deref().unwrap_or_default()).await? else { return Ok(None) };
    Ok(Some((names, Some(base))))
}

/// The kinship of the models that can be compared, and why the others cannot.
async fn comparable(registry: &Registry, query: &KinshipQuery) -> Result<(Report, Vec<(Name, String)>)> {
    let (report, left_out) = jobs::comparable(registry, wanted(&query.names, query)).await?;
    Ok((report, left_out.into_iter().map(|out| (Name(out.model), out.reason)).collect()))
}

async fn measured(registry: &Registry, models: &[String], query: &KinshipQuery) -> Result<Report> {
    jobs::kinship(registry, wanted(models, query)).await.map_err(Failure::from)
}

fn wanted(models: &[String], query: &KinshipQuery) -> jobs::KinshipQuery {
    jobs::KinshipQuery {
        models: models.to_vec(),
        base: query.base.clone(),
        access: Access::registry(),
        reading: if query.exact { jobs::Reading::Weights } else { jobs::Reading::Stored },
        partial: if query.partial { Partial::Take } else { Partial::Refuse },
        parity: None,
    }
}

/// What stands beside the values: their mean, what each model changed, the distance in proportion, and warnings.
fn notes(report: &Report, measure: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if let (3.., Some(Some(mean))) = (report.models.len(), report.mean.get(measure)) {
        notes.push(format!("On average over all pairs {mean:.3}."));
    }
    let change = |(model, norm): (&String, &Option<f64>)| {
        norm.map(|norm| format!("{model} by {:.2}\u{a0}%", norm * 100.0))
    };
    let changes: Vec<String> = report.models.iter().zip(&report.relative_norms).filter_map(change).collect();
    if !changes.is_empty() {
        notes.push(format!("Moved from the base, as a share of its norm: {}.", changes.join(", ")));
    }
    let of_two = |matrix: &[Vec<Option<f64>>]| matrix.first().and_then(|row| row.get(1).copied().flatten());
    if let ("euclidean", 2, Some(rms)) =
        (measure, report.models.len(), of_two(&report.distances.per_root_element))
    {
        let of_base = of_two(&report.distances.of_base);
        let of_base = of_base.map(|share| format!(", {:.2}\u{a0}% of the norm of the base", share * 100.0));
        notes.push(format!("The distance is {rms:.2e} a weight{}.", of_base.unwrap_or_default()));
    }
    notes.extend(report.warnings.iter().map(|warning| format!("{warning}.")));
    notes
}

/// The parts of a report of two models.
fn strip(report: &Report, measure: &str) -> Strip {
    let cell = |part: &PartReport| {
        let value = part.values.get(measure).copied().flatten();
        let norm = |at: usize| part.relative_norms.get(at).copied().flatten();
        StripCell {
            module: part.module.label().to_owned(),
            module_rank: part.module as u8,
            layer: part.layer.label(),
            layer_rank: compare::rank(part.layer),
            tensors: part.tensors as u64,
            left_out: part.left_out as u64,
            value,
            error: part.standard_errors.get(measure).copied().flatten().filter(|error| *error > 0.0),
            changes: [norm(0), norm(1)],
            reason: part.reason.clone().filter(|_| value.is_none() || part.left_out > 0),
        }
    };
    let name = |at: usize| Name(report.models.get(at).cloned().unwrap_or_default());
    Strip {
        pair: [name(0), name(1)],
        base: report.base.clone().map(Name),
        exact: report.exact,
        cells: report.parts.iter().map(cell).collect(),
    }
}

/// A matrix in the order in which relatives stand beside each other, and how they come together.
fn together(
    models: Vec<Name>,
    matrix: Vec<Vec<Cell>>,
    measure: &str,
) -> (Vec<Name>, Vec<Vec<Cell>>, Vec<Join>) {
    let far = |value: f64| if measure == "euclidean" { value } else { 1.0 - value };
    let distances: Vec<Vec<Option<f64>>> =
        matrix.iter().map(|row| row.iter().map(|cell| cell.value.map(far)).collect()).collect();
    let clustering = cluster(&distances);
    let most = clustering.joins.iter().map(|join| join.distance).fold(0.0, f64::max);
    let mut place = vec![0; models.len()];
    clustering.order.iter().enumerate().for_each(|(at, row)| place[*row] = at);
    let mut members: Vec<Vec<usize>> = (0..models.len()).map(|row| vec![row]).collect();
    let joins = clustering.joins.iter().map(|join| {
        let names = |part: usize| {
            let rows: &[usize] = members.get(part).map_or(&[], Vec::as_slice);
            rows.iter().filter_map(|row| models.get(*row)).map(Name::to_string).collect::<Vec<_>>().join(", ")
        };
        let value = if measure == "euclidean" { join.distance } else { 1.0 - join.distance };
        let text = format!(
            "{} with {}: {measure} {value:.3} on average",
            names(join.parts[0]),
            names(join.parts[1])
        );
        let both = join.parts.iter().filter_map(|part| members.get(*part)).flatten().copied().collect();
        members.push(both);
        Join {
            value,
            parts: join.parts.map(|part| place.get(part).copied().unwrap_or(part)),
            height: if most > 0.0 { join.distance / most } else { 0.0 },
            text,
        }
    });
    let joins = joins.collect();
    let models = clustering.order.iter().filter_map(|row| models.get(*row).cloned()).collect();
    let row = |row: &usize| {
        let cells = matrix.get(*row).map(Vec::as_slice).unwrap_or_default();
        clustering.order.iter().filter_map(|column| cells.get(*column).cloned()).collect()
    };
    let matrix = clustering.order.iter().map(row).collect();
    (models, matrix, joins)
}
