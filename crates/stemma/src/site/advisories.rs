//! Advisories as the pages show them.

use ::web::{
    Failure,
    view::{AdvisoryForm, AdvisoryNotice, AdvisoryPage, AdvisoryRow, AffectedRow, Name, Way},
};
use analysis::export::Advisory;
use domain::Class;
use jobs::{Descent, Filing, Registry, Threat};
use store::ModelRow;

use super::Result;

/// Notices on the page of one model.
const LISTED: usize = 20;

fn row(advisory: &Advisory) -> AdvisoryRow {
    AdvisoryRow {
        id: advisory.id.clone(),
        model: advisory.model.clone().map(Name),
        digest: advisory.digest.clone(),
        kind: advisory.kind.clone(),
        severity: advisory.severity.clone(),
        summary: advisory.summary.clone(),
        filed_at: advisory.filed_at,
        withdrawn: advisory.withdrawn_at.is_some(),
    }
}

fn way(path: Descent) -> Way {
    Way::of(path.names.into_iter().map(Name).collect()).without(path.hidden as u64)
}

/// One page of advisories.
pub async fn list(registry: &Registry, cursor: Option<&str>) -> Result<(Vec<AdvisoryRow>, Option<String>)> {
    let page = jobs::advisories(registry, cursor, registry.limits.page).await?;
    Ok((page.items.iter().map(row).collect(), page.next))
}

/// One advisory with a page of those that it reaches.
pub async fn page(registry: &Registry, id: &str, cursor: Option<&str>) -> Result<Option<AdvisoryPage>> {
    let advisory = match jobs::advisory(registry, id).await {
        Err(jobs::Error::UnknownAdvisory(_)) => return Ok(None),
        found => found?,
    };
    let affected = jobs::affected(registry, id, (cursor, registry.limits.page_max)).await?;
    let why = (advisory.withdrawn_by.clone(), advisory.withdrawn_reason.clone());
    Ok(Some(AdvisoryPage {
        row: row(&advisory),
        withdrawn: advisory.withdrawn_at.map(|at| (at, why.0.unwrap_or_default(), why.1.unwrap_or_default())),
        affected: affected
            .items
            .into_iter()
            .map(|model| AffectedRow { path: way(model.path), by_weights: model.by_weights })
            .collect(),
        total: affected.total as u64,
        next: affected.next,
        details: advisory.details,
        link: advisory.link,
        person: advisory.person,
    }))
}

/// Files an advisory; gives its id.
pub async fn file(registry: &Registry, form: &AdvisoryForm, person: &str) -> Result<String> {
    let bad = |error: String| Failure::new(Class::Invalid, "invalid_request", error);
    let filing = Filing {
        model: Some(form.model.clone()),
        digest: Some(form.digest.clone()),
        kind: form.kind.parse().map_err(bad)?,
        severity: form.severity.parse().map_err(bad)?,
        summary: form.summary.clone(),
        details: form.details.clone(),
        link: Some(form.link.clone()),
        person: person.to_owned(),
    };
    Ok(jobs::file_advisory(registry, filing).await?.id)
}

/// The first of those that reach a model, and how many more there are.
pub async fn notices(registry: &Registry, model: &ModelRow) -> Result<(Vec<AdvisoryNotice>, u64)> {
    let found = jobs::advisories_of(registry, model).await?;
    let hidden = found.items.len().saturating_sub(LISTED) + found.hidden;
    let notice = |threat: Threat| AdvisoryNotice {
        row: row(&threat.advisory),
        path: way(threat.path),
        by_weights: threat.by_weights,
    };
    Ok((found.items.into_iter().take(LISTED).map(notice).collect(), hidden as u64))
}

#[cfg(test)]
mod tests {
    use web::view::AdvisoryForm;

    use super::{LISTED, file, notices};
    use crate::site::testing;

    #[tokio::test]
    async fn a_model_tells_how_many_advisories_it_does_not_list() {
        let (_at, registry, row) = testing::registry().await;
        let form = AdvisoryForm {
            model: "o/a".to_owned(),
            kind: "defect".to_owned(),
            severity: "low".to_owned(),
            summary: "Odd".to_owned(),
            ..AdvisoryForm::default()
        };
        for _ in 0..LISTED + 5 {
            file(&registry, &form, "ann").await.unwrap();
        }

        let (listed, hidden) = notices(&registry, &row).await.unwrap();

        assert_eq!((listed.len(), hidden), (LISTED, 5));
    }
}
