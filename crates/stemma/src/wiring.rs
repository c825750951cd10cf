//! Opens the registry a configuration describes.

use domain::Class;
use hub::HubClient;
use jobs::{Pulling, Registry};
use store::Store;

use crate::{config::Config, exit::Failure};

/// Opens (and migrates) the registry.
///
/// # Errors
/// When the folder, the database or the blob store cannot be used.
pub async fn open(config: &Config) -> Result<Registry, Failure> {
    fs_err::create_dir_all(&config.data).map_err(|error| {
        Failure::new("data_folder", Class::Unavailable, format!("the data folder cannot be made: {error}"))
    })?;
    let store = Store::open(&config.database_url(), &config.blobs_url()).await?;
    store.migrate().await?;
    let hub = config.hub.as_deref().map(|address| HubClient::new(address, &config.limits)).transpose();
    let hub = match (hub.map_err(jobs::Error::from)?, &config.hub_token) {
        (Some(client), Some(token)) => Some(client.bearing(token.expose()).map_err(jobs::Error::from)?),
        (hub, _) => hub,
    };
    let pull = if config.pull { Pulling::Missing } else { Pulling::Nothing };
    Ok(Registry::new(store, config.limits, config.data.join("scratch")).with_hub(hub, pull))
}
