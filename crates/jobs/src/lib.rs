//! Everything that takes a while: ingest, dumps, merges, transfers, diffs, and the queue that runs them.
//!
//! Knows no HTTP. A job can run twice and publishes once: results go out under the fence of its claim.

mod adapter;
mod adapters;
mod artefact;
mod asking;
mod dump;
mod error;
mod forecast;
mod forests;
mod ingest;
mod inherit;
mod kinds;
mod measure;
mod meter;
mod operand;
mod output;
mod provenance;
mod registry;
mod relatives;
mod remote;
mod sketches;
mod submit;
mod tokens;
mod transfers;
mod watched;
mod worker;
mod workplace;

pub use adapters::{
    Adapter, BakePlan, ExtractPlan, extract, plan_apply, plan_bake, plan_extract, submit_bake, submit_extract,
};
pub use artefact::{DiffFile, DiffForm, Form, write_diff};
pub use dump::{DumpReport, SkippedRow, import_dump};
pub use error::Error;
pub use forecast::Forecast;
pub use forests::Forests;
pub use ingest::{Gathered, Incoming, Made, ingest_files, ingest_folder, ingest_made};
pub use kinds::{BakePayload, DiffPayload, ExtractPayload, KINDS, Kind, MergePayload, TransferPayload};
pub use measure::{KinshipQuery, Reading, compare, kinship};
pub use operand::{Access, Operand, Pin, open_operand};
pub use output::{Derived, persist, write_folder};
pub use registry::Registry;
pub use relatives::{Relatives, RelativesQuery, RelativesReport, WeightRelative, relatives};
pub use submit::{DiffRequest, MergePlan, MergeRequest, plan_config, plan_merge, submit_diff, submit_merge};
pub use tokens::MovedTokens;
pub use transfers::{TransferPlan, TransferRequest, check_transfer, plan_transfer, submit_transfer};
pub use worker::{Pulse, run_worker};
pub use workplace::Workplace;
