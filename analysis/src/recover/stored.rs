//! Lineage of stored models, from their weights where these can be read and from their sketches otherwise.

use std::sync::Arc;

use weights::TensorSource;

use super::{
    Recovered, Stored, Subject,
    facts::Facts,
    recover,
    sketched::{pairs, subject, told},
};
use crate::{Error, Progress};

/// [`super::recover_sketched`] with the report that the weights themselves give: `sources` are the tensors of the models,
/// in their order. What is said of single claims still rests on the sketches.
///
/// # Errors
/// As [`recover`].
pub fn recover_stored(
    models: Vec<Stored>,
    sources: Vec<Arc<dyn TensorSource>>,
    progress: Progress<'_>,
) -> Result<Recovered, Error> {
    let subjects: Vec<Subject> =
        models.iter().zip(sources).map(|(model, source)| Subject { source, ..subject(model) }).collect();
    let report = recover(&subjects, progress)?;
    let facts: Vec<Option<Facts>> = models.iter().map(|model| Some(told(model))).collect();
    let pairs = pairs(&models, &facts);
    Ok(Recovered { report, models, facts, pairs })
}
