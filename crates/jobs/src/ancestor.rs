//! The base that several models have in common: what their changes are taken against, and what to say where nobody names it.

use analysis::kinship::{MEASURES, Report};

use crate::{Error, KinshipQuery, Registry};

/// The word that stands for the nearest common ancestor in the place of a base.
pub const AUTO: &str = "auto";

/// The nearest model with weights from which all of these descend, none of them itself; none where one of them is not of this
/// registry.
///
/// # Errors
/// When the database cannot be read.
pub async fn common_ancestor(registry: &Registry, models: &[String]) -> Result<Option<String>, Error> {
    let forest = registry.forests.current().await?;
    let (mut common, mut own) = (None, Vec::with_capacity(models.len()));
    for name in models {
        let bare = name.split_once('@').map_or(name.as_str(), |(bare, _)| bare);
        let Some(row) = registry.store.model_by_id(bare).await? else { return Ok(None) };
        own.push(row.id);
        common = match common {
            None => Some(row.id),
            Some(known) => match forest.merge_base(known, row.id) {
                None => return Ok(None),
                base => base,
            },
        };
    }
    let Some(common) = common.filter(|common| !own.contains(common)) else { return Ok(None) };
    let row = registry.store.models_by_ids(&[common]).await?.into_iter().next();
    Ok(row.filter(|row| row.has_weights).map(|row| row.name))
}

/// The same question with the base that [`AUTO`] stands for.
pub(crate) async fn settled(registry: &Registry, query: KinshipQuery) -> Result<KinshipQuery, Error> {
    if query.base.as_deref() != Some(AUTO) {
        return Ok(query);
    }
    let Some(base) = common_ancestor(registry, &query.models).await? else {
        let told = "`base` is `auto`, and no model with weights is known here from which all of these descend; name \
                    their base";
        return Err(Error::Invalid(told.to_owned()));
    };
    Ok(KinshipQuery { base: Some(base), ..query })
}

/// What makes a report whole whose measures need a base that was not named; `how` is how a base is named where it was asked, as
/// `--base `. None where nothing is missing.
///
/// # Errors
/// When the database cannot be read.
pub async fn lacking_base(registry: &Registry, report: &Report, how: &str) -> Result<Option<String>, Error> {
    let asked = |id: &str| report.matrices.contains_key(id);
    let needing: Vec<&str> =
        MEASURES.iter().filter(|measure| measure.needs_base && asked(measure.id)).map(|m| m.id).collect();
    if report.base.is_some() || needing.is_empty() {
        return Ok(None);
    }
    let fit: Vec<String> = report
        .models
        .iter()
        .filter(|name| report.left_out.iter().all(|out| out.model != **name))
        .cloned()
        .collect();
    let verb = if needing.len() == 1 { "compares" } else { "compare" };
    let told = format!("{} {verb} what models changed and need their base", needing.join(" and "));
    Ok(Some(match common_ancestor(registry, &fit).await? {
        Some(base) => format!("{told}; all of them descend from `{base}`: {how}{base}, or {how}{AUTO}"),
        None => {
            format!("{told}; none from which all of them descend is known here, so name it: {how}org/name")
        }
    }))
}
