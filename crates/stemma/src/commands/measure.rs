//! `stemma kinship` and `stemma relatives`.

use std::collections::BTreeMap;

use analysis::kinship::{Matrix, PartReport, Partial, Report, measures_of};
use domain::Class;
use jobs::{Access, KinshipQuery, Pin, Reading, Registry, RelativesQuery};

use super::{Context, watched::watched};
use crate::{cli::KinshipArgs, exit::Failure, output, wiring};

/// Parts of the models that get matrices of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Layer,
    Module,
    /// A kind of module in a layer, of two models.
    LayerModule,
    Tensor,
}

/// The parts that are asked for.
fn parts(args: &KinshipArgs) -> Vec<Part> {
    let flags = [
        (args.per_layer, Part::Layer),
        (args.per_module, Part::Module),
        (args.per_part, Part::LayerModule),
        (args.per_tensor, Part::Tensor),
    ];
    flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, part)| part).collect()
}

/// Kinship matrix of ids or folders.
pub async fn kinship(context: Context, args: KinshipArgs) -> Result<(), Failure> {
    let parts = parts(&args);
    let KinshipArgs { models, base, estimate, measure, partial, parity, .. } = args;
    let reading = if estimate { Reading::Sketches } else { Reading::Weights };
    let partial = if partial { Partial::Take } else { Partial::Refuse };
    let measures = measures_of(&measure.join(","))
        .map_err(|message| Failure::new("invalid_request", Class::Invalid, message))?;
    if parts.contains(&Part::LayerModule) && models.len() != 2 {
        let message = format!("--per-part takes two models, {} given", models.len());
        return Err(Failure::new("invalid_request", Class::Invalid, message));
    }
    let registry = wiring::open(&context.config).await?;
    let query =
        KinshipQuery { models, base, access: Access::Folders(Pin::Nothing), reading, partial, parity };
    let compare = async |registry: &Registry| jobs::comparable(registry, query).await;
    let (report, left_out) = watched((&context, &registry), "comparing", compare).await?;
    let mut report = report.beside(left_out);
    if !measures.is_empty() {
        report = report.only(&measures);
    }
    report.warnings.extend(jobs::lacking_base(&registry, &report, "--base ").await?);
    if context.json {
        let mut body = serde_json::json!(report);
        let fields = [
            (Part::Layer, "layers"),
            (Part::Module, "modules"),
            (Part::LayerModule, "parts"),
            (Part::Tensor, "tensors"),
            (Part::Tensor, "tensors_more"),
        ];
        for (_, field) in fields.iter().filter(|(part, _)| !parts.contains(part)) {
            body.as_object_mut().and_then(|body| body.remove(*field));
        }
        output::json(&body);
        return Ok(());
    }
    print_report(&report, &parts);
    Ok(())
}

fn print_report(report: &Report, parts: &[Part]) {
    // Of a matrix that needs a base and has none, the note says what to do.
    let told = |matrix: &Matrix| report.base.is_some() || matrix.iter().flatten().any(Option::is_some);
    for (measure, matrix) in report.matrices.iter().filter(|(_, matrix)| told(matrix)) {
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
        if let (3.., Some(Some(mean))) = (matrix.len(), report.mean.get(measure)) {
            output::line(format!("  mean of all pairs\t{mean:.4}"));
        }
    }
    print_proportions(report);
    let print = |part: String, matrices: &BTreeMap<String, Matrix>| {
        for (measure, matrix) in matrices {
            for (name, row) in report.models.iter().zip(matrix) {
                output::line(format!("{part}\t{measure}\t{name}\t{}", cells(row)));
            }
        }
    };
    for part in parts {
        match part {
            Part::Layer => {
                report.layers.iter().for_each(|of| print(format!("layer {}", of.layer), &of.matrices));
            }
            Part::Module => {
                report.modules.iter().for_each(|of| print(format!("module {}", of.module), &of.matrices));
            }
            Part::LayerModule => report.parts.iter().for_each(print_part),
            Part::Tensor => report.tensors.iter().for_each(|of| print(of.tensor.clone(), &of.matrices)),
        }
    }
    for out in &report.left_out {
        output::line(format!("not compared: {}: {}", out.model, out.reason));
    }
    let coverage = &report.coverage;
    if coverage.share < 1.0 {
        output::line(format!("compared: {} of the weights", output::share(coverage.share)));
    }
    for rows in coverage.vocabulary.iter().filter(|rows| rows.rows < rows.of) {
        output::line(format!("{}: {} of {} rows compared", rows.tensor, rows.rows, rows.of));
    }
    if !coverage.depth.is_empty() {
        for skipped in coverage.skipped.iter().take_while(|skipped| skipped.tensor.starts_with("layer")) {
            output::line(format!("left out: {}: {}", skipped.tensor, skipped.reason));
        }
    }
}

/// Changes and distances as shares, and what a reader should know.
fn print_proportions(report: &Report) {
    for (name, norm) in report.models.iter().zip(&report.relative_norms) {
        let norm = norm.map_or("-".to_owned(), |norm| format!("{:.3}\u{a0}%", norm * 100.0));
        output::line(format!("change of {name}\t{norm} of the norm of its base"));
    }
    if report.matrices.contains_key("euclidean") {
        let scaled = [
            ("euclidean / √weights", &report.distances.per_root_element),
            ("euclidean / norm of the base", &report.distances.of_base),
        ];
        for (name, matrix) in scaled.iter().filter(|(_, matrix)| !matrix.is_empty()) {
            output::line(name);
            for (model, row) in report.models.iter().zip(*matrix) {
                let cells: Vec<String> = row
                    .iter()
                    .map(|cell| cell.map_or("-".to_owned(), |cell| format!("{cell:.3e}")))
                    .collect();
                output::line(format!("  {model}\t{}", cells.join("\t")));
            }
        }
    }
    report.warnings.iter().for_each(|warning| output::line(format!("note: {warning}")));
}

fn print_part(part: &PartReport) {
    let place = format!("module {}, layer {}", part.module, part.layer.label());
    for (measure, value) in &part.values {
        let text = match part.standard_errors.get(measure) {
            Some(error) => cells_with(&[*value], &[*error]),
            None => cells(&[*value]),
        };
        output::line(format!("{place}\t{measure}\t{text}"));
    }
    if let Some(reason) = &part.reason {
        let what = match (part.left_out, part.tensors) {
            (0, _) => "no angle".to_owned(),
            (left_out, compared) => format!("{left_out} of {} tensors left out", left_out + compared),
        };
        output::line(format!("{place}\t{what}: {reason}"));
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

/// The models whose weights are nearest to those of `model`.
pub async fn relatives(context: Context, model: String, limit: u64) -> Result<(), Failure> {
    let registry = wiring::existing(&context.config).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let query = RelativesQuery { model, limit, access: Access::Folders(Pin::Nothing) };
    let look = async |registry: &Registry| jobs::relatives(registry, query).await;
    let report = watched((&context, &registry), "comparing", look).await?;
    if context.json {
        output::json(&api::RelativesView::from(report));
        return Ok(());
    }
    for relative in &report.relatives {
        output::line(format!("{}\t{}", relative.model, relative.evidence));
    }
    let (found, searched, others) = (report.relatives.len(), report.searched, report.other_layouts);
    output::line(format!("{found} of {searched} models; {others} of them have another layout"));
    Ok(())
}
