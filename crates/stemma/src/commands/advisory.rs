//! `stemma advisory`: file, list, withdraw.

use analysis::export::{Advisory, osv};
use domain::Class;
use jobs::{Descent, Filing, Registry};
use serde_json::json;

use super::Context;
use crate::{cli::AdvisoryCommand, exit::Failure, output, wiring};

/// Runs one of the advisory commands.
pub async fn run(context: Context, command: AdvisoryCommand) -> Result<(), Failure> {
    let registry = wiring::existing(&context.config).await?;
    match command {
        AdvisoryCommand::File { model, digest, kind, severity, summary, details, link, person } => {
            let filing = Filing { model, digest, kind, severity, summary, details, link, person };
            told(&context, &jobs::file_advisory(&registry, filing).await?);
        }
        AdvisoryCommand::Withdraw { id, reason, person } => {
            told(&context, &jobs::withdraw_advisory(&registry, &id, (&person, &reason)).await?);
        }
        AdvisoryCommand::List { model: Some(model), .. } => reaching(&context, &registry, &model).await?,
        AdvisoryCommand::List { model: None, limit, cursor } => {
            let page = jobs::advisories(&registry, cursor.as_deref(), limit).await?;
            if context.json {
                let items: Vec<_> = page.items.iter().map(osv).collect();
                output::json(&json!({ "items": items, "next": page.next }));
                return Ok(());
            }
            page.items.iter().for_each(|advisory| output::line(line(advisory)));
            if let Some(next) = page.next {
                output::line(format!("more with --cursor {next}"));
            }
        }
    }
    Ok(())
}

async fn reaching(context: &Context, registry: &Registry, model: &str) -> Result<(), Failure> {
    let Some(row) = registry.store.model_by_id(model).await? else {
        let told = format!("`{model}` is not in this registry");
        return Err(Failure::new("unknown_model", Class::NotFound, told));
    };
    let found = jobs::advisories_of(registry, &row).await?;
    if context.json {
        let items: Vec<_> = found
            .items
            .iter()
            .map(|threat| {
                json!({
                    "advisory": osv(&threat.advisory), "through": threat.through,
                    "path": threat.path.names, "path_hidden": threat.path.hidden, "by_weights": threat.by_weights,
                })
            })
            .collect();
        output::json(&json!({ "model": row.name, "items": items, "hidden": found.hidden }));
        return Ok(());
    }
    for threat in &found.items {
        output::line(format!("{}  [{}]", line(&threat.advisory), way(&threat.path)));
    }
    if found.hidden > 0 {
        output::line(format!("and {} more", found.hidden));
    }
    Ok(())
}

/// A way down on one line.
fn way(path: &Descent) -> String {
    let (begin, end) = path.names.split_at(if path.hidden > 0 { path.names.len() / 2 } else { 0 });
    let gap = (path.hidden > 0).then(|| format!("… {} more …", path.hidden));
    begin.iter().cloned().chain(gap).chain(end.iter().cloned()).collect::<Vec<_>>().join(" > ")
}

fn told(context: &Context, advisory: &Advisory) {
    if context.json {
        output::json(&osv(advisory));
    } else {
        output::line(line(advisory));
    }
}

fn line(advisory: &Advisory) -> String {
    let withdrawn = if advisory.withdrawn_at.is_some() { " (withdrawn)" } else { "" };
    let Advisory { id, kind, severity, summary, .. } = advisory;
    format!("{id}  {severity} {kind}  {}: {summary}{withdrawn}", advisory.subject())
}
