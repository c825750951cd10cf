//! `stemma advisory`: file, list, withdraw.

use analysis::export::{Advisory, osv};
use domain::Class;
use jobs::{Filing, Registry};
use serde_json::json;

use super::Context;
use crate::{cli::AdvisoryCommand, exit::Failure, output, wiring};

/// Runs one of the advisory commands.
pub async fn run(context: Context, command: AdvisoryCommand) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
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
            .iter()
            .map(|threat| {
                json!({
                    "advisory": osv(&threat.advisory), "through": threat.through, "path": threat.path,
                    "by_weights": threat.by_weights,
                })
            })
            .collect();
        output::json(&json!({ "model": row.name, "items": items }));
        return Ok(());
    }
    for threat in found {
        output::line(format!("{}  [{}]", line(&threat.advisory), threat.path.join(" > ")));
    }
    Ok(())
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
