//! `stemma kinship` and `stemma diff`.

use std::{path::PathBuf, sync::Arc};

use analysis::kinship::Report;
use domain::Class;
use jobs::{Access, KinshipQuery, Pulse, Reading};

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

/// Per-tensor comparison, and the diff itself with `--out`.
pub async fn diff(context: Context, a: &str, b: &str, out: Option<PathBuf>) -> Result<(), Failure> {
    if let Some(out) = out.as_ref().filter(|out| out.exists()) {
        let told = format!("{} exists already; name a new file", out.display());
        return Err(Failure::new("output_exists", Class::Conflict, told));
    }
    let registry = wiring::open(&context.config).await?;
    let report = jobs::compare(&registry, a, b, &Access::Folders).await?;
    if context.json {
        output::json(&report);
    } else {
        output::line(&report.verdict);
        for t in &report.tensors {
            let number = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.6}"));
            output::line(format!(
                "{}\trel_l2 {}\tcos {}\tmax {}\tunchanged {:.2}%",
                t.name,
                number(t.relative_l2),
                number(t.cosine),
                number(Some(t.max_abs)),
                t.unchanged_share * 100.0
            ));
        }
    }
    let Some(out) = out else { return Ok(()) };
    let tuned = jobs::open_operand(&registry, a, &Access::Folders).await?;
    let base = jobs::open_operand(&registry, b, &Access::Folders).await?;
    let source = Arc::new(analysis::diff::DiffSource::new(tuned.source, base.source)?);
    let beside =
        out.parent().filter(|p| !p.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let registry = jobs::Registry { scratch: beside, ..registry };
    let (file, bytes) = jobs::write_scratch(&registry, source, &Pulse::default()).await?;
    jobs::persist(file, &out).map_err(|e| Failure::new("io", Class::Internal, e.to_string()))?;
    context.progress.tell(format_args!("wrote {} ({bytes} bytes)", out.display()));
    Ok(())
}
