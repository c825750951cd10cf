//! The kinds of job: one file each, one line here.

mod apply_diff;
mod bake_adapter;
mod diff_models;
mod extract_adapter;
mod import_model;
mod merge_models;
mod recover_lineage;
mod survey_weights;
mod transfer_diff;
mod transplant_tokenizer;
mod watch_author;

use std::{collections::BTreeMap, future::Future, pin::Pin};

use domain::{Digest, RepoId};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use store::JobRow;

use crate::{Error, Registry, Workplace, worker::Pulse, workplace::JOB};

pub use apply_diff::{APPLY_DIFF, ApplyPayload};
pub use bake_adapter::{BAKE_ADAPTER, BakePayload};
pub use diff_models::{DIFF_MODELS, DiffPayload};
pub use extract_adapter::{EXTRACT_ADAPTER, ExtractPayload};
pub use import_model::IMPORT_MODEL;
pub use merge_models::{MERGE_MODELS, MergePayload};
pub use recover_lineage::{RECOVER_LINEAGE, RecoverPayload};
pub use survey_weights::{SURVEY_WEIGHTS, SurveyPayload};
pub use transfer_diff::{StoredPayload, TRANSFER_DIFF, TransferPayload};
pub use transplant_tokenizer::{TRANSPLANT_TOKENIZER, TransplantPayload};
pub use watch_author::WATCH_AUTHOR;

/// A running job: its row, the registry, and the pulse that reports progress and hears of cancellation.
pub struct Run {
    pub registry: Registry,
    pub job: JobRow,
    pub pulse: Pulse,
}

/// What is still to come.
pub(crate) type Later<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// One kind of job.
pub struct Kind {
    /// Verb and noun, stored with each job.
    pub id: &'static str,
    /// What people read.
    pub title: &'static str,
    pub run: fn(Run) -> Later<Value>,
    /// Queues what an earlier job asked for once more, under an idempotency key: [`again`] of what is asked for and
    /// checked, [`plain`] of what the registry asks itself for.
    ///
    /// [`again`]: crate::retry::again
    /// [`plain`]: crate::retry::plain
    pub(crate) again: Again,
}

pub(crate) type Again = fn(Registry, JobRow, Option<String>) -> Later<JobRow>;

/// What a job is asked for with: its payload, checked against the headers of the models that it names.
pub trait Asked: Serialize + DeserializeOwned + Send + Sync {
    /// [`Kind::id`] of its kind.
    const KIND: &'static str;

    /// The model that the job makes; no two jobs that are not done make one.
    fn output(&self) -> Option<&RepoId>;

    /// Digests of the inputs as they are now, to which the job is pinned.
    ///
    /// # Errors
    /// Everything that is wrong with what is asked for.
    fn inputs(
        &self,
        registry: &Registry,
    ) -> impl Future<Output = Result<BTreeMap<String, Digest>, Error>> + Send;
}

/// Every kind of job.
pub const KINDS: &[Kind] = &[
    MERGE_MODELS,
    TRANSFER_DIFF,
    DIFF_MODELS,
    APPLY_DIFF,
    EXTRACT_ADAPTER,
    BAKE_ADAPTER,
    TRANSPLANT_TOKENIZER,
    SURVEY_WEIGHTS,
    IMPORT_MODEL,
    RECOVER_LINEAGE,
    WATCH_AUTHOR,
];

impl Run {
    /// Where the output is written; as the last attempt left it, where that was on this machine.
    pub(crate) fn workplace(&self) -> Result<Workplace, Error> {
        Ok(Workplace::at(&self.registry.scratch.join(format!("{JOB}{}", self.job.id)))?)
    }

    /// Logs what an earlier attempt has saved this one.
    pub(crate) fn told_kept(&self, bytes: u64) {
        if bytes > 0 {
            self.pulse.tell(format!("went on after {bytes} bytes that an earlier attempt wrote"));
            let job = &self.job.id;
            tracing::info!(job, bytes, "job {job} went on after {bytes} bytes that an earlier attempt wrote");
        }
    }

    /// The payload this kind stored when it was queued.
    fn payload<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_value(self.job.payload.clone()).map_err(|error| {
            Error::Invalid(format!("job {} holds a payload of another version: {error}", self.job.id))
        })
    }
}
