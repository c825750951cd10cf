//! Two revisions of one model as the pages show them.

use ::web::view::{CommitView, Differing, Name, NameList, RevisionsPage};
use analysis::versions::Differences;
use jobs::Registry;
use store::CommitRow;

use super::{Result, compare};

/// Longest value of a key that is shown, characters.
const LONGEST: usize = 200;

/// The page; `None` when there is no such model.
pub async fn page(registry: &Registry, name: &str, range: (&str, &str)) -> Result<Option<RevisionsPage>> {
    let Some(row) = registry.store.model_by_id(name).await? else { return Ok(None) };
    let told = jobs::compare_revisions(registry, &row, range).await?;
    let verdict = match told.step.level {
        Some(level) => {
            format!("The change is {}: version 1.0.0 becomes {}.", level.as_str(), told.step.version)
        }
        None => "Nothing that a version counts is different.".to_owned(),
    };
    let changes = told.step.changes.into_iter();
    Ok(Some(RevisionsPage {
        name: Name(told.model),
        from: commit(told.from),
        to: commit(told.to),
        verdict,
        changes: changes.map(|change| (change.part.as_str().to_owned(), change.detail)).collect(),
        config: told.config.into_iter().map(|change| compare::field(change, LONGEST)).collect(),
        parts: vec![differing("Files", told.files), differing("Tensors", told.tensors)],
    }))
}

fn commit(row: CommitRow) -> CommitView {
    CommitView {
        oid: row.oid,
        title: row.title,
        author: row.author,
        created_at: row.created_at,
        parent: row.parent,
        ..CommitView::default()
    }
}

fn differing(what: &'static str, told: Differences) -> Differing {
    let lists = [("Changed", told.changed), ("Added", told.added), ("Removed", told.removed)];
    Differing {
        what,
        differing: told.differing as u64,
        same: told.same as u64,
        lists: lists
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(label, names)| NameList { label: label.to_owned(), names })
            .collect(),
    }
}
