//! Lineage of stored models, from their weights where these can be read and from their sketches otherwise.

use std::sync::Arc;

use weights::TensorSource;

use super::{Recovered, Stored, Subject, recover, recover_sketched, sketched::subject};
use crate::{Error, Progress};

/// [`recover_sketched`] with the parents that the weights themselves tell: `sources` are the tensors of the models, in
/// their order. What is said of single claims still rests on the sketches.
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
    let mut found = recover_sketched(models)?;
    let read = recover(&subjects, progress)?;
    for (model, read) in found.report.models.iter_mut().zip(read.models) {
        model.parents = read.parents;
    }
    found.report.families = read.families;
    Ok(found)
}
