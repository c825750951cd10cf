//! Stores the difference of two models as a safetensors artefact.

use std::{collections::BTreeMap, sync::Arc};

use domain::{Digest, Limits, RepoId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::Holder;

use super::{Asked, Kind, Run};
use crate::{
    Access, Error, Registry,
    artefact::{ALONE, DiffFile, DiffForm, Form, write_diff},
    faults::Faults,
    open_operand,
    operand::open_all,
    retry::again,
    submit::pins,
    unified::{open_members, together, write_unified},
};

/// The kind.
pub const DIFF_MODELS: Kind = Kind {
    id: "diff_models",
    title: "Diff",
    run: |run| Box::pin(async move { diff(run).await }),
    again: again::<DiffPayload>,
};

/// What a queued diff needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DiffPayload {
    /// The minuend.
    pub tuned: String,
    /// Other fine-tunes of the base, for the form that several share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// The subtrahend.
    pub base: String,
    /// How it is stored.
    #[serde(flatten)]
    pub form: DiffForm,
    /// Digests of the inputs when the job was queued.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Digest>,
}

impl DiffPayload {
    /// The form, which several fine-tunes ask for and no other.
    ///
    /// # Errors
    /// As [`DiffForm::check`], one fine-tune for the form that several share, and several for another.
    pub fn check(&self, limits: &Limits) -> Result<Form, Error> {
        match (self.form.check(limits)?.0, self.with.len()) {
            (Form::Emr, 0) => Err(Error::Invalid(ALONE.to_owned())),
            (Form::Emr, others) if others >= limits.merge_models => {
                let most = limits.merge_models;
                let told = format!("{} fine-tunes are named; at most {most} (`merge_models`)", others + 1);
                Err(Error::Invalid(told))
            }
            (form, others) if others > 0 && form != Form::Emr => Err(Error::Invalid(
                "`with` belongs to the form emr; other forms store one fine-tune".to_owned(),
            )),
            (form, _) => Ok(form),
        }
    }
}

impl Asked for DiffPayload {
    const KIND: &'static str = DIFF_MODELS.id;

    fn output(&self) -> Option<&RepoId> {
        None
    }

    async fn inputs(&self, registry: &Registry) -> Result<BTreeMap<String, Digest>, Error> {
        let mut faults = Faults::default();
        faults.take(self.check(&registry.limits));
        let access = Access::registry();
        if !self.with.is_empty() {
            let models = faults.take(open_members(registry, self, &access).await);
            let models = faults.done(models)?;
            together(&models, &self.form, &registry.limits)?;
            return Ok(pins(&models));
        }
        let named = [("/tuned", self.tuned.as_str()), ("/base", &self.base)];
        let opened = faults.take(open_all(registry, named, &access).await);
        let [tuned, base] = faults.done(opened)?;
        analysis::diff::DiffSource::new(Arc::clone(&tuned.source), Arc::clone(&base.source))?;
        Ok(pins([&tuned, &base]))
    }
}

async fn diff(run: Run) -> Result<Value, Error> {
    let payload: DiffPayload = run.payload()?;
    run.pulse.begin("opening the models", 0);
    let access = Access::Registry(payload.pins.clone());
    let (registry, place) = (&run.registry, run.workplace()?);
    let (tuned, base, written) = if payload.with.is_empty() {
        let tuned = open_operand(registry, &payload.tuned, &access).await?;
        let base = open_operand(registry, &payload.base, &access).await?;
        let written = write_diff((registry, &place), (&tuned, &base), &payload.form, &run.pulse).await;
        (tuned.label, base.label, written)
    } else {
        let models = open_members(registry, &payload, &access).await?;
        let written = write_unified((registry, &place), &models, &payload.form, &run.pulse).await;
        (models.members[0].label.clone(), models.base.label, written)
    };
    let DiffFile { file, bytes, report, kept } = match written {
        Err(_) if run.pulse.cancelled() => return Err(Error::Cancelled),
        other => other?,
    };
    run.told_kept(kept);
    let (store, holder) = (&run.registry.store, Holder::new());
    let (digest, _) = store.put_file(&holder, &file).await?;
    match store.keep_result(&run.job.hold(), &digest).await {
        Ok(()) => store.release(&holder).await?,
        Err(error) => {
            store.discard(&holder, &[digest]).await?;
            return Err(error.into());
        }
    }
    let mut result = Map::from_iter([
        ("blob".to_owned(), json!(digest)),
        ("bytes".to_owned(), json!(bytes)),
        ("tuned".to_owned(), json!(tuned)),
        ("base".to_owned(), json!(base)),
        ("resumed_bytes".to_owned(), json!(kept)),
    ]);
    result.extend(report);
    Ok(Value::Object(result))
}
