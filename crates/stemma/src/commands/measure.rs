//! `stemma kinship`.

use analysis::kinship::Report;
use jobs::{Access, KinshipQuery, Reading};

use super::Context;
use crate::{exit::Failure, output, wiring};

/// Whether every layer gets a matrix of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    Together,
    Each,
}

/// What to measure.
pub struct Asked {
    pub models: Vec<String>,
    pub base: Option<String>,
    pub layers: Layers,
    pub reading: Reading,
}

/// Kinship matrix of ids or folders.
pub async fn kinship(context: Context, asked: Asked) -> Result<(), Failure> {
    let Asked { models, base, layers, reading } = asked;
    let registry = wiring::open(&context.config).await?;
    let query = KinshipQuery { models, base, access: Access::Folders, reading };
    let report = jobs::kinship(&registry, query).await?;
    if context.json {
        let mut body = serde_json::json!(report);
        if let (Layers::Together, Some(fields)) = (layers, body.as_object_mut()) {
            fields.remove("layers");
        }
        output::json(&body);
        return Ok(());
    }
    print_report(&report, layers);
    Ok(())
}

fn print_report(report: &Report, layers: Layers) {
    for (measure, matrix) in &report.matrices {
        let errors = report.standard_errors.get(measure);
        let note = if errors.is_some() { " (estimated)" } else { "" };
        output::line(format!("{measure}{note}"));
        for (at, (name, row)) in report.models.iter().zip(matrix).enumerate() {
            let cells = match errors.and_then(|errors| errors.get(at)) {
                Some(errors) => cells_with(row, errors),
                None => cells(row),
            };
            output::line(format!("  {name}\t{cells}"));
        }
    }
    if layers == Layers::Each {
        for layer in &report.layers {
            for (measure, matrix) in &layer.matrices {
                for (name, row) in report.models.iter().zip(matrix) {
                    output::line(format!("layer {}\t{measure}\t{name}\t{}", layer.layer, cells(row)));
                }
            }
        }
    }
}

fn cells(row: &[Option<f64>]) -> String {
    let cells: Vec<String> = row.iter().map(|v| v.map_or("-".to_owned(), |v| format!("{v:.4}"))).collect();
    cells.join("\t")
}

fn cells_with(row: &[Option<f64>], errors: &[Option<f64>]) -> String {
    let cell = |(value, error): (&Option<f64>, &Option<f64>)| match (value, error) {
        (Some(value), Some(error)) => format!("{value:.4} ±{error:.4}"),
        _ => "-".to_owned(),
    };
    row.iter().zip(errors).map(cell).collect::<Vec<_>>().join("\t")
}
