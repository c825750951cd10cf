//! Reads the weights of a pushed revision once: digests, statistics, sketches, what its files say wrong.

use domain::{Fault as _, Note};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Attach, NewJob};

use super::{Kind, Run};
use crate::{
    Error,
    ingest::{Looked, look},
    parentage,
    push::{incoming, weight_bytes},
    retry::plain,
};

/// The kind.
pub const SURVEY_WEIGHTS: Kind = Kind {
    id: "survey_weights",
    title: "Weights survey",
    run: |run| Box::pin(async move { survey(run).await }),
    again: plain,
};

/// What a queued survey needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SurveyPayload {
    /// For people.
    pub model: String,
    /// Row of the pushed revision.
    pub revision: i64,
}

impl SurveyPayload {
    /// The job that surveys a revision.
    pub(crate) fn job(model: String, revision: i64) -> NewJob {
        NewJob {
            kind: SURVEY_WEIGHTS.id.to_owned(),
            payload: json!(Self { model, revision }),
            idempotency_key: None,
            output: None,
        }
    }
}

/// A configuration as far as its text can be read: what stops the registry from reading it stops the survey, for codes
/// without their scales would be taken for weights.
fn legible(read: Result<Option<Value>, Error>) -> Result<Option<Value>, Error> {
    match read {
        Err(
            Error::Invalid(_) | Error::Store(store::Error::TextTooLong { .. } | store::Error::NotText(_)),
        ) => Ok(None),
        other => other,
    }
}

async fn survey(run: Run) -> Result<Value, Error> {
    let payload: SurveyPayload = run.payload()?;
    let files = incoming(&run.registry.store.files(payload.revision).await?)?;
    run.pulse.begin("reading weights", weight_bytes(&files));
    let pulse = run.pulse.clone();
    let config = legible(crate::ingest::configuration(&run.registry, (&files, domain::files::CONFIG)).await)?;
    let looked = match look(&run.registry, (&files, config), move |bytes| pulse.advance(bytes)).await {
        Err(_) if run.pulse.cancelled() => return Err(Error::Cancelled),
        // A push may be half of a checkpoint, or a broken one: the files are there, and the page says what is wrong.
        Err(Error::Weights(fault)) => {
            let note = Note { code: fault.code().to_owned(), detail: fault.to_string() };
            Looked { notes: vec![note], ..Looked::default() }
        }
        other => other?,
    };
    let result = json!({
        "model": payload.model,
        "tensors": looked.tensors.len(),
        "notes": looked.notes.clone(),
    });
    let fence = Some(run.job.hold());
    let Looked { tensors, sketches, signature, parameters, notes } = looked;
    let found = Attach { revision: payload.revision, tensors, sketches, signature, parameters, notes, fence };
    run.registry.store.attach(found).await?;
    run.registry.forests.settle_committed().await;
    if let Some(row) = run.registry.store.model_by_id(&payload.model).await? {
        parentage::examine_import(&run.registry, row.id).await;
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use domain::Digest;

    use super::*;

    #[test]
    fn a_configuration_that_is_none_is_left_out_and_one_that_cannot_be_read_is_an_error() {
        let digest = Digest::of(b"config");
        let bad = [
            Error::Invalid("config.json: no JSON".to_owned()),
            store::Error::NotText(digest).into(),
            store::Error::TextTooLong { digest, size: 2, max: 1 }.into(),
        ];
        let unread = [
            store::Error::Silent { part: "the database", seconds: 1 }.into(),
            store::Error::BlobDamaged(digest).into(),
            store::Error::BlobMissing(digest).into(),
        ];

        assert!(bad.into_iter().all(|error| matches!(legible(Err(error)), Ok(None))));
        assert!(unread.into_iter().all(|error: Error| legible(Err(error)).is_err()));
        assert_eq!(legible(Ok(Some(json!({})))).unwrap(), Some(json!({})));
    }
}
