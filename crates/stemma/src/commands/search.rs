//! `stemma search` and `stemma suggest`: recipes proposed, scores told; nothing is evaluated here.

use std::path::Path;

use api::{CandidateView, SearchView};
use domain::Class;
use jobs::{Access, Ending, Pin, Registry, SearchReport, SuggestQuery};

use super::{Context, all, watched::watched};
use crate::{cli::SearchCommand, exit::Failure, output, wiring};

/// Runs the command.
pub async fn run(context: Context, command: SearchCommand) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    match command {
        SearchCommand::New { wanted } => {
            let report = jobs::create_search_from(&registry, &read(&wanted)?).await?;
            show(&context, report);
        }
        SearchCommand::List { limit, cursor } => {
            let page = registry.store.searches(cursor.as_deref(), limit).await?;
            list(&context, page);
        }
        SearchCommand::Show { id, history } => {
            let report = jobs::search_report(&registry, &id).await?;
            match history {
                true => show_history(&context, &registry, &id).await?,
                false => show(&context, report),
            }
        }
        SearchCommand::Ask { id, candidate } => {
            let pending = SearchView::from(jobs::search_report(&registry, &id).await?).pending;
            let mut pending = pending.unwrap_or_default();
            if let Some(number) = candidate {
                pending.retain(|one| one.candidate == number);
                if pending.is_empty() {
                    let told = format!("no candidate {number} of this search waits for a score");
                    return Err(Failure::new("unknown_candidate", Class::NotFound, told));
                }
            }
            ask(&context, &pending);
        }
        SearchCommand::Tell { id, scores } => show(&context, jobs::tell(&registry, &id, &scores).await?),
        SearchCommand::Finish { id } => {
            show(&context, jobs::end_search(&registry, &id, Ending::Finish).await?);
        }
        SearchCommand::Cancel { id } => {
            show(&context, jobs::end_search(&registry, &id, Ending::Cancel).await?);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    fs_err::read_to_string(path).map_err(|e| Failure::new("io", Class::NotFound, e.to_string()))
}

fn show(context: &Context, report: SearchReport) {
    let view = SearchView::from(report);
    if context.json {
        output::json(&view);
        return;
    }
    let reason = view.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    output::line(format!("{}\t{}{reason}", view.id, view.state));
    output::line(format!(
        "generation {}, {} of {} candidates scored",
        view.generation, view.scored, view.proposed
    ));
    if let Some(best) = &view.best {
        output::line(format!("best\t{}", line(best)));
    }
    for candidate in view.pending.iter().flatten() {
        output::line(format!("pending\t{}", line(candidate)));
    }
}

fn line(candidate: &CandidateView) -> String {
    let score = candidate.score.map(|score| format!("\t{score}")).unwrap_or_default();
    let about = &candidate.about;
    let reason = about["reason"].as_str().unwrap_or_default();
    let error = match (about["exact"].as_bool(), about["standard_error"].as_f64()) {
        (Some(false), Some(error)) => format!(" ±{error:.4} (estimated)"),
        _ => String::new(),
    };
    let kinship = about["kinship"].as_f64().map(|kinship| format!(", kinship {kinship:.4}{error}"));
    let missing = match candidate.missing.as_slice() {
        [] => String::new(),
        names => format!(", needs {}", names.join(" and ")),
    };
    let (number, model) = (candidate.candidate, &candidate.model);
    format!("{number}\t{model}{score}\t{reason}{}{missing}", kinship.unwrap_or_default())
}

/// The recipes that wait, as a YAML stream with comments.
fn ask(context: &Context, pending: &[CandidateView]) {
    if context.json {
        output::json(&pending);
        return;
    }
    for candidate in pending {
        output::line(format!("--- # candidate {}", line(candidate).replace('\t', " ")));
        output::line(candidate.recipe.trim_end());
    }
}

fn list(context: &Context, page: store::Page<store::SearchRow>) {
    if context.json {
        let items: Vec<SearchView> = page.items.into_iter().map(SearchView::from).collect();
        output::json(&serde_json::json!({ "items": items, "next": page.next }));
        return;
    }
    for row in page.items {
        let (id, state, generation) = (row.id, row.state, row.generation);
        output::line(format!("{id}\t{state}\tgeneration {generation}\t{} of {}", row.scored, row.proposed));
    }
    if let Some(next) = page.next {
        output::line(format!("more: --cursor {next}"));
    }
}

async fn show_history(context: &Context, registry: &Registry, id: &str) -> Result<(), Failure> {
    let limit = registry.limits.page_max;
    let rows = all(async |after| Ok(registry.store.candidates(id, after, limit).await?)).await?;
    let candidates: Vec<CandidateView> = rows.into_iter().map(CandidateView::from).collect();
    if context.json {
        output::json(&candidates);
    } else {
        candidates.iter().for_each(|candidate| output::line(line(candidate)));
    }
    Ok(())
}

/// Partners to merge `model` with.
pub async fn suggest(context: Context, (model, base): (String, String), limit: u64) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let query = SuggestQuery { model, base, limit, access: Access::Folders(Pin::Nothing) };
    let look = async |registry: &Registry| jobs::suggest(registry, query).await;
    let answer = watched((&context, &registry), "comparing", look).await?;
    if context.json {
        output::json(&answer);
        return Ok(());
    }
    for partner in &answer.suggestions {
        let (model, kinship, error) = (&partner.model, partner.kinship, partner.standard_error);
        output::line(format!("{model}\t{kinship:.4} ±{error:.4}\t{}", partner.reason));
    }
    output::line(answer.caveat);
    Ok(())
}
