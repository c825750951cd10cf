//! Licence and versions of a model as its page shows them.

use ::web::view::{LicenceConflict, LicenceHeritage, LicenceTension, Name, VersionRow, Way};
use analysis::licence::{Carried, Verdict};
use jobs::Registry;
use store::ModelRow;

use super::Result;

/// Conflicts, tensions and releases listed.
const LISTED: usize = 20;

/// The model's licence against those of its ancestors.
pub async fn licence(registry: &Registry, row: &ModelRow) -> Result<LicenceHeritage> {
    let path = jobs::licence_of(registry, row).await?;
    // What no rule decides about is told where somebody on the way drops what is asked.
    let told = |ancestor: &&Carried| match ancestor.verdict {
        Verdict::Conflict => true,
        Verdict::Undetermined => ancestor.dropped_by.is_some(),
        _ => false,
    };
    let conflicts: Vec<&Carried> = path.ancestors.iter().filter(told).collect();
    let count = |verdict| path.ancestors.iter().filter(|ancestor| ancestor.verdict == verdict).count();
    let (undetermined, unheld) = (path.undetermined, count(Verdict::Missing));
    Ok(LicenceHeritage {
        asks: path.obligations.iter().map(|obligation| obligation.phrase().to_owned()).collect(),
        conflicts_hidden: conflicts.len().saturating_sub(LISTED) as u64,
        conflicts: conflicts
            .into_iter()
            .take(LISTED)
            .map(|ancestor| LicenceConflict {
                ancestor: Name(ancestor.ancestor.clone()),
                licence: ancestor.licence.clone(),
                reason: ancestor.reason.to_owned(),
                path: Way::of(ancestor.path.iter().cloned().map(Name).collect())
                    .without(ancestor.path_hidden as u64),
                dropped_by: ancestor.dropped_by.clone().map(Name),
            })
            .collect(),
        tensions_hidden: path.tensions.len().saturating_sub(LISTED) as u64,
        tensions: path
            .tensions
            .iter()
            .take(LISTED)
            .map(|tension| LicenceTension {
                parents: tension.parents.iter().cloned().map(Name).collect(),
                licences: tension.licences.join(", "),
            })
            .collect(),
        judged: (path.ancestors.len() - undetermined - unheld) as u64,
        undetermined: undetermined as u64,
        unheld: unheld as u64,
        unstated: path.unstated as u64,
        nearest: path.truncated.then(|| (path.ancestors.len() + path.unstated) as u64),
    })
}

/// The last releases of the model's line, and how many stand before them.
pub async fn versions(registry: &Registry, row: &ModelRow) -> Result<(Vec<VersionRow>, u64)> {
    let versions = jobs::versions(registry, row).await?;
    let skip = versions.line.len().saturating_sub(LISTED);
    let rows = versions
        .line
        .into_iter()
        .skip(skip)
        .map(|release| VersionRow {
            version: release.version.to_string(),
            name: Name(release.named.model),
            stated: release.stated,
            claimed: release.changes.iter().all(|change| !change.measured),
            changes: release
                .changes
                .into_iter()
                .map(|change| (change.part.as_str().to_owned(), change.detail))
                .collect(),
            silent: release.silent,
        })
        .collect();
    Ok((rows, skip as u64))
}

#[cfg(test)]
mod tests {
    use super::licence;
    use crate::site::testing;

    #[tokio::test]
    async fn a_licence_that_cannot_be_looked_at_is_an_error_and_not_one_without_conflicts() {
        let (_at, registry, row) = testing::registry().await;

        let there = licence(&registry, &row).await;
        let gone = licence(&registry, &store::ModelRow { id: row.id + 1, ..row }).await;

        assert!(there.is_ok());
        assert_eq!(gone.unwrap_err().code, "unknown_model");
    }
}
