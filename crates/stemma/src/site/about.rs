//! The registry at work: what its page tells.

use ::web::view::{AboutPage, Count};
use jobs::Registry;
use serde_json::Value;

use super::Result;

/// Version, health, device and limits.
pub async fn page(registry: &Registry) -> Result<AboutPage> {
    let devices = registry.devices.clone();
    // Looking for a device the first time takes a driver a while.
    let device = tokio::task::spawn_blocking(move || devices.present().to_string()).await;
    let store = match registry.store.check().await {
        Ok(()) => ("ready".to_owned(), true),
        Err(_) => ("not reachable; the log says why".to_owned(), false),
    };
    let counts = registry.store.count_models().await?;
    let hub = if registry.hub.is_some() { "set up" } else { "none is set up; nothing is fetched" };
    let models = format!("{}, {} of them with weights", Count(counts.models), Count(counts.with_weights));
    let parts = vec![
        ("Database and blobs", store.0, store.1),
        ("Device", device.unwrap_or_else(|error| error.to_string()), true),
        ("Hub", hub.to_owned(), true),
        ("Models", models, true),
        ("Jobs waiting", Count(counts.jobs_queued).to_string(), true),
    ];
    let limits = match serde_json::to_value(registry.limits) {
        Ok(Value::Object(limits)) => {
            let text =
                |value: Value| value.as_u64().map_or_else(|| value.to_string(), |n| Count(n).to_string());
            limits.into_iter().map(|(name, value)| (name, text(value))).collect()
        }
        _ => Vec::new(),
    };
    Ok(AboutPage { version: env!("CARGO_PKG_VERSION"), parts, limits })
}
