//! `stemma report`, `stemma licence` and `stemma versions`.

use analysis::{licence::Verdict, versions::Part};
use jobs::Subject;

use super::{Context, find};
use crate::{cli::ReportFormat, exit::Failure, output, wiring};

/// Prints a report over the whole registry.
pub async fn report(context: Context, subject: Subject, format: ReportFormat) -> Result<(), Failure> {
    if context.json && format == ReportFormat::Csv {
        return Err(Failure::usage("--json prints one JSON document; leave out --format csv"));
    }
    let registry = wiring::existing(&context.config).await?;
    let report = jobs::report(&registry, subject).await?;
    match format {
        _ if context.json => output::json(&*report),
        ReportFormat::Json => output::json(&*report),
        ReportFormat::Csv => output::raw(&report.table().csv()),
        ReportFormat::Text => output::line(report.table().aligned().trim_end()),
    }
    Ok(())
}

/// Prints a model's licence against those of its ancestors.
pub async fn licence(context: Context, id: &str) -> Result<(), Failure> {
    let named = wiring::named(&context.config, id).await?;
    let (registry, row) = named.known();
    let path = jobs::licence_of(registry, row).await?;
    if context.json {
        output::json(&api::LicenceView::from(path));
        return Ok(());
    }
    let asks: Vec<&str> = path.obligations.iter().map(|obligation| obligation.phrase()).collect();
    let licence = path.licence.as_deref().unwrap_or("no licence stated");
    output::line(format!("{}: {licence} ({})", path.model, path.family.as_str()));
    if !asks.is_empty() {
        output::line(format!("asks: {}", asks.join("; ")));
    }
    for ancestor in &path.ancestors {
        let word = match (ancestor.verdict, &ancestor.dropped_by) {
            (Verdict::Conflict, _) => "conflict with",
            (Verdict::Undetermined, Some(_)) => "undetermined against",
            _ => continue,
        };
        output::line(format!("{word} {} ({}): {}", ancestor.ancestor, ancestor.licence, ancestor.reason));
        let (begin, end) = ancestor.path.split_at(ancestor.path.len() / 2);
        match ancestor.path_hidden {
            0 => output::line(format!("  {}", ancestor.path.join(" > "))),
            hidden => {
                output::line(format!("  {} > ({hidden} more) > {}", begin.join(" > "), end.join(" > ")));
            }
        }
        if let Some(model) = &ancestor.dropped_by {
            output::line(format!("  dropped by {model}"));
        }
    }
    for tension in &path.tensions {
        let [a, b] = &tension.parents;
        output::line(format!(
            "{a} and {b} each want their own licence carried on: {}",
            tension.licences.join(", ")
        ));
    }
    output::line(format!(
        "{} of {} ancestors with a licence in conflict, {} undetermined, {} state none{}",
        path.conflicts,
        path.ancestors.len(),
        path.undetermined,
        path.unstated,
        if path.truncated { " (cut at the limit)" } else { "" }
    ));
    Ok(())
}

/// Prints the versions along a model's line.
pub async fn versions(context: Context, id: &str) -> Result<(), Failure> {
    let registry = wiring::existing(&context.config).await?;
    let versions = jobs::versions(&registry, &find(&registry, id).await?).await?;
    if context.json {
        output::json(&versions);
        return Ok(());
    }
    for release in &versions.line {
        let stated = release.stated.as_ref().map(|stated| format!("  (named {stated})")).unwrap_or_default();
        let silent = if release.silent { "  weights changed without a new name" } else { "" };
        output::line(format!("{}  {}{stated}{silent}", release.version, release.named.model));
        for change in &release.changes {
            let seen = if change.measured || change.part != Part::Weights { "" } else { " (claimed)" };
            output::line(format!(
                "    {} {}: {}{seen}",
                change.level.as_str(),
                change.part.as_str(),
                change.detail
            ));
        }
    }
    if versions.truncated {
        output::line("(cut at the limit)");
    }
    Ok(())
}
