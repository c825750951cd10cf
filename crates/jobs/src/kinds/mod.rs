//! The kinds of job: one file each, one line here.

mod bake_adapter;
mod diff_models;
mod extract_adapter;
mod merge_models;
mod transfer_diff;
mod transplant_tokenizer;

use std::{future::Future, pin::Pin};

use serde_json::Value;
use store::JobRow;

use crate::{Error, Registry, worker::Pulse};

pub use bake_adapter::{BAKE_ADAPTER, BakePayload};
pub use diff_models::{DIFF_MODELS, DiffPayload};
pub use extract_adapter::{EXTRACT_ADAPTER, ExtractPayload};
pub use merge_models::{MERGE_MODELS, MergePayload};
pub use transfer_diff::{TRANSFER_DIFF, TransferPayload};
pub use transplant_tokenizer::{TRANSPLANT_TOKENIZER, TransplantPayload};

/// A running job: its row, the registry, and the pulse that reports progress and hears of cancellation.
pub struct Run {
    pub registry: Registry,
    pub job: JobRow,
    pub pulse: Pulse,
}

type Outcome = Pin<Box<dyn Future<Output = Result<Value, Error>> + Send>>;

/// One kind of job.
pub struct Kind {
    /// Verb and noun, stored with each job.
    pub id: &'static str,
    /// What people read.
    pub title: &'static str,
    pub run: fn(Run) -> Outcome,
}

/// Every kind of job.
pub const KINDS: &[Kind] =
    &[MERGE_MODELS, TRANSFER_DIFF, DIFF_MODELS, EXTRACT_ADAPTER, BAKE_ADAPTER, TRANSPLANT_TOKENIZER];

impl Run {
    /// The payload this kind stored when it was queued.
    fn payload<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_value(self.job.payload.clone()).map_err(|error| {
            Error::Invalid(format!("job {} holds a payload of another version: {error}", self.job.id))
        })
    }
}
