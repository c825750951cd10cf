//! `stemma watch`: authors of the Hub whose models are brought in as they appear and change.

use store::WatchRow;

use super::{Context, all};
use crate::{cli::WatchCommand, exit::Failure, output, wiring};

/// Runs one of the watch commands.
pub async fn run(context: Context, command: WatchCommand) -> Result<(), Failure> {
    let registry = wiring::existing(&context.config).await?;
    match command {
        WatchCommand::Add { author, weights, parents } => {
            let row = jobs::watch(&registry, &author, (weights, parents)).await?;
            show(&context, &[row]);
        }
        WatchCommand::List => {
            let limit = registry.limits.list_rows;
            let watches = all(async |after| Ok(registry.store.watches((after, limit)).await?)).await?;
            show(&context, &watches);
        }
        WatchCommand::Remove { author } => {
            jobs::unwatch(&registry, &author).await?;
            if context.json {
                output::json(&serde_json::json!({ "removed": author }));
            }
        }
    }
    Ok(())
}

fn show(context: &Context, rows: &[WatchRow]) {
    if context.json {
        output::json(&rows);
        return;
    }
    for WatchRow { author, take, parents, checked_at, .. } in rows {
        let looked = if checked_at.is_some() { "" } else { "  not looked at yet" };
        output::line(format!("{author:<32} {take:<8} {parents} generations{looked}"));
    }
}
