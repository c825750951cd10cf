//! Kinship and comparison of operands, off the async threads and a few at a time.

use std::sync::Arc;

use analysis::{
    diff::DiffReport,
    kinship::{Named, Report},
};
use tokio::{sync::OwnedSemaphorePermit, task::spawn_blocking};

use crate::{Access, Error, Registry, asking::Asking, open_operand, sketches::open_sketched};

/// Which models to measure against which base.
#[derive(Debug, Clone)]
pub struct KinshipQuery {
    pub models: Vec<String>,
    /// Deltas are taken against it; without one only the Euclidean distance is defined.
    pub base: Option<String>,
    pub access: Access,
    pub reading: Reading,
}

/// What a kinship is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// The weights: exact.
    #[default]
    Weights,
    /// The stored sketches: an estimate with its standard error, without reading weights.
    Sketches,
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
    if query.reading == Reading::Sketches {
        return estimated(registry, &query).await;
    }
    let turn = Turn::take(registry).await?;
    let mut named = Vec::with_capacity(count);
    for name in &query.models {
        let operand = open_operand(registry, name, &query.access).await?;
        named.push(Named { label: operand.label, source: operand.source });
    }
    let base = match &query.base {
        Some(name) => {
            let operand = open_operand(registry, name, &query.access).await?;
            Some(Named { label: operand.label, source: operand.source })
        }
        None => None,
    };
    turn.run(move |go_on| analysis::kinship::kinship(&named, base.as_ref(), go_on)).await
}

async fn estimated(registry: &Registry, query: &KinshipQuery) -> Result<Report, Error> {
    let turn = Turn::take(registry).await?;
    let mut models = Vec::with_capacity(query.models.len());
    for name in &query.models {
        models.push(open_sketched(registry, name, &query.access).await?);
    }
    let base = match &query.base {
        Some(name) => Some(open_sketched(registry, name, &query.access).await?),
        None => None,
    };
    turn.run(move |_| analysis::kinship::estimate(&models, base.as_ref())).await
}

/// Per-tensor comparison of two models.
///
/// # Errors
/// As [`kinship`].
pub async fn compare(registry: &Registry, a: &str, b: &str, access: &Access) -> Result<DiffReport, Error> {
    let turn = Turn::take(registry).await?;
    let a = open_operand(registry, a, access).await?;
    let b = open_operand(registry, b, access).await?;
    turn.run(move |go_on| analysis::diff::compare(&*a.source, &*b.source, go_on)).await
}

/// One of the few places for work that reads weights while somebody waits for the answer.
struct Turn(OwnedSemaphorePermit);

impl Turn {
    async fn take(registry: &Registry) -> Result<Self, Error> {
        let place = Arc::clone(&registry.measuring).acquire_owned().await;
        place.map(Self).map_err(|error| Error::Task(error.to_string()))
    }

    /// The place is held until the work has really ended, not only until nobody waits any more.
    async fn run<T, F>(self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&(dyn Fn(u64) -> Result<(), analysis::Error> + Sync)) -> Result<T, analysis::Error>
            + Send
            + 'static,
    {
        let asking = Asking::default();
        let listener = asking.listener();
        let outcome = spawn_blocking(move || {
            let _place = self.0;
            work(&|_| Ok(listener.go_on()?))
        });
        Ok(outcome.await??)
    }
}
