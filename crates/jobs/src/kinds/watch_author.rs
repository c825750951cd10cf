//! Looks at an author of the Hub who is watched, and queues the import of what is new or has changed.

use serde_json::{Value, json};

use super::{Kind, Run};
use crate::{Error, retry::plain, watch, watch::WatchPayload};

/// The kind.
pub const WATCH_AUTHOR: Kind = Kind {
    id: "watch_author",
    title: "Look at a watched author",
    run: |run| Box::pin(async move { look(run).await }),
    again: plain,
};

async fn look(run: Run) -> Result<Value, Error> {
    let WatchPayload { author } = run.payload()?;
    run.pulse.begin("listing", 0);
    let queued = watch::look(&run.registry, &author).await?;
    let queued: Vec<Value> =
        queued.into_iter().map(|(model, job)| json!({ "model": model, "job": job })).collect();
    Ok(json!({ "author": author, "queued": queued }))
}
