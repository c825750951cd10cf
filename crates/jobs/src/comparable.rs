//! Kinship of those of several models that can be compared, and why the others cannot.

use analysis::kinship::{LeftOut, Report};
use domain::{Class, Fault as _};

use crate::{Error, KinshipQuery, Reading, Registry, ancestor, kinship};

/// [`kinship`] of all the models; where three or more are named and not all can be compared, of at least two that can be, with
/// the reasons of the others: no weights, another architecture, or too little in common. The base `auto` is the nearest common
/// ancestor.
///
/// # Errors
/// As [`kinship`], where fewer than two can be compared, and for a model that is not there.
pub async fn comparable(registry: &Registry, query: KinshipQuery) -> Result<(Report, Vec<LeftOut>), Error> {
    let query = ancestor::settled(registry, query).await?;
    let error = match kinship(registry, query.clone()).await {
        Ok(report) => return Ok((report, Vec::new())),
        Err(error) => error,
    };
    let fatal = |error: &Error| matches!(error.class(), Class::NotFound | Class::Internal);
    if !(3..=registry.limits.matrix).contains(&query.models.len()) || fatal(&error) {
        return Err(error);
    }
    // Deltas are all taken against one model, so each fits by itself or not at all.
    let stored = match query.reading {
        Reading::Weights => Reading::Stored,
        reading => reading,
    };
    let of = |models: Vec<String>, reading| KinshipQuery { models, reading, ..query.clone() };
    let (mut fit, mut left_out): (Vec<String>, Vec<LeftOut>) = (Vec::new(), Vec::new());
    for name in &query.models {
        let other = if query.base.is_some() { name } else { fit.first().unwrap_or(name) };
        match kinship(registry, of(vec![other.clone(), name.clone()], stored)).await {
            Ok(_) => fit.push(name.clone()),
            Err(error) if fatal(&error) => return Err(error),
            Err(error) => left_out.push(LeftOut { model: name.clone(), reason: error.to_string() }),
        }
    }
    if fit.len() < 2 || left_out.is_empty() {
        return Err(error);
    }
    Ok((kinship(registry, of(fit, query.reading)).await?, left_out))
}
