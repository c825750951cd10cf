//! `stemma contradictions`, `stemma edge` and `stemma lineage --refresh`: what weights and people say of edges.

use std::sync::Mutex;

use jobs::{Examined, Ground, Ruling};
use serde_json::json;
use store::Decision;

use super::Context;
use crate::{
    cli::{EdgeCommand, Stated},
    exit::Failure,
    output, wiring,
};

/// Compares stored models with their relatives again.
pub async fn refresh(context: Context, models: Vec<String>) -> Result<(), Failure> {
    let registry = wiring::existing(&context.config).await?;
    let done: Mutex<Vec<Examined>> = Mutex::default();
    let tell = |examined: &Examined| {
        if context.json {
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(examined.clone());
        } else {
            output::line(line(examined));
        }
    };
    jobs::examine_all(&registry, &models, &tell).await?;
    if context.json {
        output::json(&done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
    Ok(())
}

fn line(examined: &Examined) -> String {
    let Examined { model, compared, parents, verified, contradicted, skipped } = examined;
    if let Some(why) = skipped {
        return format!("{model}: not compared, {why}");
    }
    let from = match &parents[..] {
        [] => String::new(),
        parents => format!("; from {}", parents.join(", ")),
    };
    format!("{model}: {compared} compared, {verified} claims verified, {contradicted} contradicted{from}")
}

/// Prints one page of contradicted claims.
pub async fn contradictions(
    context: Context,
    ground: Ground,
    (limit, cursor): (u64, Option<String>),
) -> Result<(), Failure> {
    let registry = wiring::existing(&context.config).await?;
    let page = jobs::contradictions(&registry, ground, (cursor.as_deref(), limit)).await?;
    if context.json {
        let items: Vec<_> = page.items.into_iter().map(api::ContradictionView::from).collect();
        output::json(&json!({ "items": items, "next": page.next }));
        return Ok(());
    }
    for found in &page.items {
        output::line(format!("{} claims {}: {}", found.model, found.base, found.sentence));
    }
    if let Some(next) = page.next {
        output::line(format!("more with --cursor {next}"));
    }
    Ok(())
}

/// Writes down what a person says of an edge.
pub async fn edge(context: Context, command: EdgeCommand) -> Result<(), Failure> {
    let registry = wiring::existing(&context.config).await?;
    let (decision, stated) = match command {
        EdgeCommand::Confirm(stated) => (Decision::Confirm, stated),
        EdgeCommand::Reject(stated) => (Decision::Reject, stated),
        EdgeCommand::Add(stated) => (Decision::Add, stated),
    };
    let Stated { model: child, parent, relation, reason, person } = stated;
    let mut told = json!({ "model": child, "parent": parent, "decision": decision, "person": person });
    let mut line = format!("{} {parent} as a parent of {child}", decision.past());
    let ruling = Ruling { child, parent, decision, relation, person, reason };
    let status = jobs::rule(&registry, ruling).await?;
    told["status"] = json!(status);
    if decision != Decision::Reject && !status.stands() {
        line.push_str(&format!("; it takes part in no tree, since it is {}", status.as_str()));
    }
    if context.json {
        output::json(&told);
    } else {
        output::line(line);
    }
    Ok(())
}
