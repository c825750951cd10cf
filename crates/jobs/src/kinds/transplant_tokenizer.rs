//! Gives a model another model's tokenizer and publishes the result (arXiv 2506.06607).

use std::collections::BTreeMap;

use analysis::transplant::Options;
use domain::{Digest, RepoId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Asked, Kind, Run};
use crate::{
    Access, Error, Registry, plan_transplant, published, retry::again, solve_transplant, submit::pins,
};

/// The kind.
pub const TRANSPLANT_TOKENIZER: Kind = Kind {
    id: "transplant_tokenizer",
    title: "Tokenizer transplant",
    run: |run| Box::pin(async move { transplant(run).await }),
    again: again::<TransplantPayload>,
};

/// What a queued transplant needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransplantPayload {
    /// Whose weights the result has.
    pub recipient: String,
    /// Whose tokenizer the result has.
    pub donor: String,
    /// How new rows are made.
    #[serde(flatten)]
    pub options: Options,
    pub output: RepoId,
    /// Digests of the inputs when the job was queued.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Digest>,
}

impl Asked for TransplantPayload {
    const KIND: &'static str = TRANSPLANT_TOKENIZER.id;

    fn output(&self) -> Option<&RepoId> {
        Some(&self.output)
    }

    async fn inputs(&self, registry: &Registry) -> Result<BTreeMap<String, Digest>, Error> {
        Ok(pins(&plan_transplant(registry, self, &Access::registry()).await?.inputs))
    }
}

async fn transplant(run: Run) -> Result<Value, Error> {
    let payload: TransplantPayload = run.payload()?;
    run.pulse.begin("opening the models", 0);
    let plan = plan_transplant(&run.registry, &payload, &Access::Registry(payload.pins.clone())).await?;
    let report = plan.report();
    let (derived, source) = match solve_transplant(plan, &run.pulse).await {
        Err(_) if run.pulse.cancelled() => return Err(Error::Cancelled),
        other => other?,
    };
    let mut told = published::publish_derived(&run, derived, source).await?;
    told.insert("rows".to_owned(), json!(report.rows));
    told.insert("shared".to_owned(), json!(report.shared));
    told.insert("new".to_owned(), json!(report.new));
    Ok(Value::Object(told))
}
