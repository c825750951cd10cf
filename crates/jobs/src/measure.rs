//! Kinship and comparison of operands, off the async threads and a few at a time.

use analysis::{
    diff::DiffReport,
    kinship::{Named, Report},
};
use tokio::task::spawn_blocking;

use crate::{Error, Folders, Registry, open_operand};

/// Which models to measure against which base.
#[derive(Debug, Clone)]
pub struct KinshipQuery {
    pub models: Vec<String>,
    /// Deltas are taken against it; without one only the Euclidean distance is defined.
    pub base: Option<String>,
    pub folders: Folders,
}

/// Kinship of the named models.
///
/// # Errors
/// Unknown models, models without weights, or layouts that cannot be compared.
pub async fn kinship(registry: &Registry, query: KinshipQuery) -> Result<Report, Error> {
    let count = query.models.len();
    if !(2..=registry.limits.matrix).contains(&count) {
        return Err(Error::Invalid(format!(
            "kinship needs 2 to {} models, {count} given",
            registry.limits.matrix
        )));
    }
    let mut named = Vec::with_capacity(count);
    for name in &query.models {
        let operand = open_operand(registry, name, query.folders).await?;
        named.push(Named { label: operand.label, source: operand.source });
    }
    let base = match &query.base {
        Some(name) => {
            let operand = open_operand(registry, name, query.folders).await?;
            Some(Named { label: operand.label, source: operand.source })
        }
        None => None,
    };
    let _permit = registry.measuring.acquire().await.map_err(|e| Error::Task(e.to_string()))?;
    Ok(spawn_blocking(move || analysis::kinship::kinship(&named, base.as_ref(), &|_| Ok(()))).await??)
}

/// Per-tensor comparison of two models.
///
/// # Errors
/// As [`kinship`].
pub async fn compare(registry: &Registry, a: &str, b: &str, folders: Folders) -> Result<DiffReport, Error> {
    let a = open_operand(registry, a, folders).await?;
    let b = open_operand(registry, b, folders).await?;
    let _permit = registry.measuring.acquire().await.map_err(|e| Error::Task(e.to_string()))?;
    Ok(spawn_blocking(move || analysis::diff::compare(&*a.source, &*b.source, &|_| Ok(()))).await??)
}
