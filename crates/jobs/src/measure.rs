//! Kinship of operands, off the async threads and a few at a time.

use std::sync::Arc;

use analysis::{
    Progress,
    kinship::{Named, Parity, Partial, Report, Setup},
};
use domain::Fault as _;
use tokio::{sync::OwnedSemaphorePermit, task::spawn_blocking};

use crate::{
    Access, Error, Registry,
    asking::Asking,
    open_operand,
    operand::all_missing,
    sketches::{OpenSketched, mostly_coarse, open_sketched, stored_coarse, stored_sketches},
    tokens::Tokenizers,
};

/// Which models to measure against which base.
#[derive(Debug, Clone)]
pub struct KinshipQuery {
    pub models: Vec<String>,
    /// Deltas are taken against it; without one only the Euclidean distance is defined.
    pub base: Option<String>,
    pub access: Access,
    pub reading: Reading,
    /// What is done where less than 90 % of the weights can be compared.
    pub partial: Partial,
    /// Another tool's definitions instead of ours.
    pub parity: Option<Parity>,
}

/// What a kinship is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// The stored sketches where every model has them and they say enough, else the weights.
    #[default]
    Stored,
    /// The weights: exact.
    Weights,
    /// Sketches: an estimate with its standard error. Those that are not stored are made on the spot.
    Sketches,
}

/// Kinship of the named models.
///
/// # Errors
/// Unknown models, models without weights, or layouts that cannot be compared: of which less than 90 % can, unless the query
/// takes that.
pub async fn kinship(registry: &Registry, query: KinshipQuery) -> Result<Report, Error> {
    let count = query.models.len();
    if !(2..=registry.limits.matrix).contains(&count) {
        return Err(Error::Invalid(format!(
            "kinship needs 2 to {} models, {count} given",
            registry.limits.matrix
        )));
    }
    let report =
        all_missing(registry, &named(&query), &query.access, measured(registry, &query).await).await?;
    Ok(match query.parity {
        Some(parity) => report.in_parity(parity),
        None => report,
    })
}

/// The models and the base with their parameters of a request.
fn named(query: &KinshipQuery) -> Vec<(String, &str)> {
    let models = query.models.iter().map(|model| ("of".to_owned(), model.as_str()));
    models.chain(query.base.iter().map(|base| ("base".to_owned(), base.as_str()))).collect()
}

async fn measured(registry: &Registry, query: &KinshipQuery) -> Result<Report, Error> {
    let count = query.models.len();
    let split = query.parity == Some(Parity::ReferenceSplit);
    match query.reading {
        Reading::Sketches if split => Err(Error::Invalid(
            "a mean of the values of tensors has no standard error; reference_split reads the weights".into(),
        )),
        Reading::Stored if !split => stored_or_exact(registry, query).await,
        Reading::Sketches => {
            let turn = Turn::take(registry).await?;
            let mut opened = Vec::with_capacity(count + 1);
            for name in query.models.iter().chain(&query.base) {
                opened.push(open_sketched(registry, name, &query.access).await?);
            }
            let base = query.base.as_ref().and_then(|_| opened.pop());
            estimated(registry, turn, (opened, base), query.partial).await
        }
        _ => exact(registry, query).await,
    }
}

/// What the stored sketches say, or where they do not say enough, the weights.
async fn stored_or_exact(registry: &Registry, query: &KinshipQuery) -> Result<Report, Error> {
    let turn = Turn::take(registry).await?;
    let mut opened = Vec::with_capacity(query.models.len() + 1);
    for name in query.models.iter().chain(&query.base) {
        match stored_sketches(registry, name, &query.access).await? {
            Some(model) => opened.push(model),
            None => {
                drop(turn);
                return exact(registry, query).await;
            }
        }
    }
    let base = query.base.as_ref().and_then(|_| opened.pop());
    // What sketches do not cover, weights may.
    let too_little = match estimated(registry, turn, (opened, base), Partial::Refuse).await {
        Err(
            error @ Error::Analysis(
                analysis::Error::NothingInCommon { .. } | analysis::Error::TooLittleInCommon { .. },
            ),
        ) => error,
        answer => return answer,
    };
    match exact(registry, query).await {
        Err(error) if matches!(error.code(), "no_weights" | "blob_missing") => Err(too_little),
        answer => answer,
    }
}

async fn exact(registry: &Registry, query: &KinshipQuery) -> Result<Report, Error> {
    let turn = Turn::take(registry).await?;
    let mut tokenizers = Tokenizers::new(registry);
    let (mut named, mut coarse) = (Vec::with_capacity(query.models.len() + 1), Vec::new());
    for name in query.models.iter().chain(&query.base) {
        let operand = open_operand(registry, name, &query.access).await?;
        let tokens = tokenizers.of(&operand.companions).await;
        let read = operand.source.tensors().iter().map(|info| (Some(info.dtype), info.shape.as_slice()));
        if mostly_coarse(read) || stored_coarse(registry, operand.revision).await? {
            coarse.push(operand.label.clone());
        }
        named.push(Named { label: operand.label, source: operand.source, tokens });
    }
    let base = query.base.as_ref().and_then(|_| named.pop());
    let (devices, partial) = (registry.devices.afresh(), query.partial);
    let measure = move |go_on: Progress<'_>| {
        let device = devices.device();
        let setup = Setup { device: device.as_deref(), partial };
        let mut report = analysis::kinship::kinship_on(setup, &named, base.as_ref(), go_on)?;
        report.device = Some(devices.told());
        report.warn_of_codes(&coarse);
        Ok(report)
    };
    turn.run(measure).await
}

async fn estimated(
    registry: &Registry,
    turn: Turn,
    (mut models, base): (Vec<OpenSketched>, Option<OpenSketched>),
    partial: Partial,
) -> Result<Report, Error> {
    let mut tokenizers = Tokenizers::new(registry);
    let reference = base.as_ref().or(models.first());
    let own = reference.map(|model| model.tokenizer.clone()).unwrap_or_default();
    for model in &mut models {
        model.sketched.tokens = tokenizers.relation(&own, &model.tokenizer).await?;
    }
    let sides = models.iter().chain(&base).filter(|side| side.coarse);
    let coarse: Vec<String> = sides.map(|side| side.sketched.label.clone()).collect();
    let models: Vec<_> = models.into_iter().map(|model| model.sketched).collect();
    let base = base.map(|base| base.sketched);
    let measure = move |_: Progress<'_>| {
        let mut report = analysis::kinship::estimate(&models, base.as_ref(), partial)?;
        report.warn_of_codes(&coarse);
        Ok(report)
    };
    turn.run(measure).await
}

/// One of the few places for work that reads weights while somebody waits for the answer.
pub(crate) struct Turn(OwnedSemaphorePermit);

impl Turn {
    pub(crate) async fn take(registry: &Registry) -> Result<Self, Error> {
        let place = Arc::clone(&registry.measuring).acquire_owned().await;
        place.map(Self).map_err(|error| Error::Task(error.to_string()))
    }

    /// The place is held until the work has really ended, not only until nobody waits any more.
    pub(crate) async fn run<T, F>(self, work: F) -> Result<T, Error>
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
