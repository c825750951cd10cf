//! Brings a model of the configured Hub in, and its declared parents where they are wanted.

use serde_json::{Value, json};

use super::{Kind, Run};
use crate::{Error, Mirror, mirror, retry::asked, submit_mirror};

/// The kind.
pub const IMPORT_MODEL: Kind = Kind {
    id: "import_model",
    title: "Import from the Hub",
    run: |run| Box::pin(async move { import(run).await }),
    again: |registry, job, key| {
        Box::pin(async move { submit_mirror(&registry, &asked::<Mirror>(&job)?, key).await })
    },
};

async fn import(run: Run) -> Result<Value, Error> {
    let wanted: Mirror = run.payload()?;
    run.pulse.begin("fetching", 0);
    let pulse = run.pulse.clone();
    let advance = move |got: u64, total: u64| {
        let (_, done, known) = pulse.snapshot();
        if known != total {
            pulse.begin("fetching", total);
        }
        pulse.advance(got.saturating_sub(if known == total { done } else { 0 }))
    };
    match mirror(&run.registry, &wanted, Some(&run.job), &advance).await {
        Err(_) if run.pulse.cancelled() => Err(Error::Cancelled),
        Err(error) => Err(error),
        Ok(done) => Ok(json!({ "model": done.first().map(|model| &model.id), "models": done })),
    }
}
