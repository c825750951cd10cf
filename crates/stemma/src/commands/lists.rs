//! `stemma models` and `stemma jobs`.

use analysis::catalogue::Facet;
use domain::Class;
use jobs::FindQuery;
use serde_json::json;
use store::{JobRow, ModelRow};

use super::Context;
use crate::{
    cli::{JobsArgs, ModelsArgs},
    exit::Failure,
    output, wiring,
};

/// Lines of a job's log.
const LINES: u64 = 200;

/// Lists models, or finds them.
pub async fn models(context: Context, args: ModelsArgs) -> Result<(), Failure> {
    let ModelsArgs { text, author, relation, license, architecture, size, task, tag, .. } = args;
    let registry = wiring::existing(&context.config).await?;
    let picks = [
        (Facet::Relation, relation.map(|relation| relation.to_string())),
        (Facet::Licence, license),
        (Facet::Architecture, architecture),
        (Facet::Size, size),
        (Facet::Task, task),
        (Facet::Weights, args.weights.then(|| "yes".to_owned())),
    ];
    let query = FindQuery {
        text: Some(text.join(" ")).filter(|text| !text.is_empty()),
        org: author,
        picks: picks.into_iter().filter_map(|(facet, value)| Some((facet, value?))).collect(),
        tags: tag,
        order: args.sort.unwrap_or_default(),
        limit: args.limit,
        cursor: args.cursor,
        ..FindQuery::default()
    };
    let found = loop {
        match jobs::find(&registry, query.clone()).await {
            // The index of this process is being read; each try waits for it.
            Err(jobs::Error::IndexPending) => {}
            found => break found?,
        }
    };
    if context.json {
        let items: Vec<_> = found.rows.iter().map(api::ModelSummary::from).collect();
        output::json(&json!({ "items": items, "next": found.next, "total": found.total }));
        return Ok(());
    }
    found.rows.iter().for_each(|row| output::line(model(row)));
    if let Some(next) = found.next {
        output::line(format!("more with --cursor {next}"));
    }
    Ok(())
}

/// Name, size, architecture, licence, and what is not there.
fn model(row: &ModelRow) -> String {
    let size = row.parameters.map(|count| count.to_string());
    let [size, architecture, licence] =
        [size.as_deref(), row.architecture.as_deref(), row.licence()].map(|said| said.unwrap_or("-"));
    let kept = match (row.ghost, row.has_weights) {
        (true, _) => "only a name",
        (false, true) => "weights",
        (false, false) => "metadata",
    };
    format!("{}\t{size}\t{architecture}\t{licence}\t{kept}", row.name)
}

/// Lists jobs, or tells of one.
pub async fn jobs(context: Context, args: JobsArgs) -> Result<(), Failure> {
    let registry = wiring::existing(&context.config).await?;
    if let Some(id) = args.id {
        let unknown = || Failure::new("not_found", Class::NotFound, format!("there is no job `{id}`"));
        let row = registry.store.job(&id).await?.ok_or_else(unknown)?;
        let log = registry.store.job_log(&row.id, LINES).await?;
        if context.json {
            output::json(&api::JobView::with_log(jobs::paced(&registry, row), log));
            return Ok(());
        }
        output::line(job(&row));
        log.iter().for_each(|line| output::line(format!("  {}  {}", moment(line.at), line.line)));
        if let Some(told) = &row.error_message {
            output::line(format!("  {}: {told}", row.error_code.as_deref().unwrap_or("failed")));
        }
        return Ok(());
    }
    let page = registry.store.jobs(args.cursor.as_deref(), args.limit, args.state.as_deref()).await?;
    if context.json {
        let view = |row| api::JobView::from(jobs::paced(&registry, row));
        let items: Vec<_> = page.items.into_iter().map(view).collect();
        output::json(&json!({ "items": items, "next": page.next }));
        return Ok(());
    }
    page.items.iter().for_each(|row| output::line(job(row)));
    if let Some(next) = page.next {
        output::line(format!("more with --cursor {next}"));
    }
    Ok(())
}

fn job(row: &JobRow) -> String {
    let share = match (row.state.as_str(), row.total) {
        ("running", total @ 1..) => format!(" {}", output::share(row.done as f64 / total as f64)),
        _ => String::new(),
    };
    let step = row.step.as_ref().filter(|_| row.state == "running").map(|step| format!(", {step}"));
    format!(
        "{}\t{}\t{}{share}{}\t{}",
        row.id,
        row.kind,
        row.state,
        step.unwrap_or_default(),
        moment(row.created_at)
    )
}

/// A time in Unix seconds as people read it, by UTC.
fn moment(seconds: i64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    format!("{} {:02}:{:02}:{:02}Z", time.date(), time.hour(), time.minute(), time.second())
}
