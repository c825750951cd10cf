//! Commands that only read, and may read for an hour: how much has been read is shown meanwhile.

use std::time::Duration;

use jobs::{ReadSoFar, Registry};

use super::Context;
use crate::output;

/// Runs `work`, and shows on a terminal how many bytes it has read.
pub async fn watched<T, E>(
    (context, registry): (&Context, &Registry),
    what: &str,
    work: impl AsyncFnOnce(&Registry) -> Result<T, E>,
) -> Result<T, E> {
    let registry = Registry { read: Some(ReadSoFar::default()), ..registry.clone() };
    let read = registry.read.clone().unwrap_or_default();
    counted((context, &read), what, async || work(&registry).await).await
}

/// The same for work that counts what it reads itself.
pub async fn counted<T>(
    (context, read): (&Context, &ReadSoFar),
    what: &str,
    work: impl AsyncFnOnce() -> T,
) -> T {
    let meter = output::meter(context.progress, what);
    meter.tick();
    let ticker = {
        let (read, meter) = (read.clone(), meter.clone());
        tokio::spawn(async move {
            loop {
                meter.set_position(read.bytes());
                meter.tick();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    };
    let done = work().await;
    ticker.abort();
    meter.finish_and_clear();
    done
}
