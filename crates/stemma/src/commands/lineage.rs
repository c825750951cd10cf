//! `stemma lineage`.

use std::collections::BTreeMap;

use analysis::recover::{Direction, Model, Parent, Report};
use jobs::Registry;

use super::{Context, trust, watched::watched};
use crate::{
    cli::{LineageArgs, LineageFormat},
    exit::Failure,
    output, wiring,
};

/// Recovers lineage from weights and prints it, or has that of stored models looked at again.
pub async fn run(context: Context, args: LineageArgs) -> Result<(), Failure> {
    let LineageArgs { models, refresh, format, unrelated } = args;
    if refresh {
        return trust::refresh(context, models).await;
    }
    if context.json && format == LineageFormat::Dot {
        return Err(Failure::usage("--json prints one JSON document; leave out --format dot"));
    }
    let registry = wiring::open(&context.config).await?;
    let recover = async |registry: &Registry| jobs::recover(registry, &models).await;
    let mut found = watched((&context, &registry), "comparing", recover).await?;
    for gone in &found.left_out {
        eprintln!("{}", output::harmless(&format!("left out: {}: {}", gone.model, gone.reason)));
    }
    if !unrelated {
        found.report.unrelated.clear();
    }
    let report = &found.report;
    if context.json {
        output::json(&found);
    } else if format == LineageFormat::Dot {
        output::line(dot(report));
    } else {
        output::line(text(report).trim_end());
    }
    Ok(())
}

/// One tree a family, children below the parent of largest weight.
fn text(report: &Report) -> String {
    let mut lines = String::new();
    let mut below: BTreeMap<&str, Vec<&Model>> = BTreeMap::new();
    for model in &report.models {
        if let Some(parent) = primary(model) {
            below.entry(&parent.id).or_default().push(model);
        }
    }
    for model in report.models.iter().filter(|model| model.parents.is_empty()) {
        let mut open = vec![(model, 0)];
        while let Some((model, depth)) = open.pop() {
            tell(&mut lines, (model, depth));
            let children = below.get(model.id.as_str()).into_iter().flatten();
            open.extend(children.rev().map(|child| (*child, depth + 1)));
        }
    }
    for pair in &report.unrelated {
        lines.push_str(&format!("{} and {}: no common origin (score {:.1})\n", pair.a, pair.b, pair.score));
    }
    lines
}

/// The parent of largest weight.
fn primary(model: &Model) -> Option<&Parent> {
    let weight = |parent: &Parent| parent.weight.unwrap_or(1.0);
    model.parents.iter().max_by(|a, b| weight(a).total_cmp(&weight(b)))
}

fn tell(lines: &mut String, (model, depth): (&Model, usize)) {
    let indent = "  ".repeat(depth);
    let relation = match &model.parents[..] {
        [] => String::new(),
        [parent] => {
            let guess = if parent.direction == Direction::Guessed { ", direction guessed" } else { "" };
            format!("  {} ({:.0} %{guess})", parent.relation.as_str(), parent.confidence * 100.0)
        }
        parents => {
            let term = |parent: &Parent| format!("{:.3} {}", parent.weight.unwrap_or_default(), parent.id);
            format!("  merge of {}", parents.iter().map(term).collect::<Vec<_>>().join(" + "))
        }
    };
    lines.push_str(&format!("{indent}{}{relation}\n", model.id));
    for evidence in primary(model).into_iter().flat_map(|parent| &parent.evidence) {
        lines.push_str(&format!("{indent}    {}\n", evidence.sentence));
    }
    if let Some(fault) = &model.contradiction {
        lines.push_str(&format!("{indent}  ! {fault}\n"));
    }
}

fn dot(report: &Report) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut lines = String::from("digraph lineage {\n");
    for model in &report.models {
        let mark = if model.contradiction.is_some() { " [color=red]" } else { "" };
        lines.push_str(&format!("  {}{mark};\n", quoted(&model.id)));
        for parent in &model.parents {
            let weight = parent.weight.map_or(String::new(), |weight| format!(" {weight:.3}"));
            let style = if parent.direction == Direction::Guessed { ", style=dashed" } else { "" };
            let label = quoted(&format!("{}{weight}", parent.relation.as_str()));
            lines.push_str(&format!(
                "  {} -> {} [label={label}{style}];\n",
                quoted(&parent.id),
                quoted(&model.id)
            ));
        }
    }
    lines.push('}');
    lines
}
