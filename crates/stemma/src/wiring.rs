//! Opens the registry a configuration describes.

use std::{path::Path, sync::Arc};

use domain::Class;
use hub::HubClient;
use jobs::{Devices, Foreseen, Pulling, Registry};
use kernels::device::Device;
use store::{ModelRow, Store};

use crate::{commands, config::Config, exit::Failure};

/// Opens (and migrates) the registry.
///
/// # Errors
/// When the folder, the database or the blob store cannot be used.
pub async fn open(config: &Config) -> Result<Registry, Failure> {
    store::create_private(&config.data).map_err(|error| {
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
    let registry = Registry::new(store, config.limits, config.data.join("scratch")).with_hub(hub, pull);
    Ok(registry.with_devices(devices(config)?))
}

/// Opens the registry that is there, for commands that only make sense with one: a mistyped folder shall not become an empty
/// registry.
///
/// # Errors
/// `no_registry`; otherwise as [`open`].
pub async fn existing(config: &Config) -> Result<Registry, Failure> {
    if config.database.is_none() && !config.data.join("stemma.sqlite").exists() {
        let folder = config.data.display();
        let told = format!("there is no registry in `{folder}`; name its folder with --data or STEMMA_DATA");
        return Err(Failure::new("no_registry", Class::NotFound, told));
    }
    open(config).await
}

/// A model of the registry, or what a checkpoint folder would be in it.
pub enum Named {
    Registered(Box<(Registry, ModelRow)>),
    Folder(Box<Foreseen>),
}

impl Named {
    /// The registry that knows it, and its row there.
    pub fn known(&self) -> (&Registry, &ModelRow) {
        match self {
            Self::Registered(known) => (&known.0, &known.1),
            Self::Folder(foreseen) => (&foreseen.registry, &foreseen.row),
        }
    }
}

/// The model called `name`, or the checkpoint folder of that path as it would hang in the registry, if there is one.
pub async fn named(config: &Config, name: &str) -> Result<Named, Failure> {
    if Path::new(name).is_dir() {
        let registry = match existing(config).await {
            Err(failure) if failure.code == "no_registry" => None,
            found => Some(found?),
        };
        let found = jobs::foreseen(registry.as_ref(), &config.limits, Path::new(name)).await?;
        return Ok(Named::Folder(Box::new(found)));
    }
    let registry = existing(config).await?;
    let row = commands::find(&registry, name).await?;
    Ok(Named::Registered(Box::new((registry, row))))
}

/// The devices that the configuration asks for; a card is looked for when it is first wanted, or now where it must be there.
fn devices(config: &Config) -> Result<Devices, Failure> {
    let choice = config.device.parse().unwrap_or_default();
    let limits = config.limits;
    let look = move || gpu::find(choice, Box::new(gpu::Cuda::default()), &limits);
    let found = |found: gpu::Found| (found.gpu.map(|gpu| gpu as Arc<dyn Device>), found.why);
    if choice == gpu::Choice::Gpu {
        let card = look().map_err(|fault| {
            Failure::new(
                "device",
                Class::Unavailable,
                format!("`device = gpu`, but {fault}; `auto` goes on without"),
            )
        })?;
        return Ok(Devices::new(move || found(card.clone())));
    }
    Ok(Devices::new(move || look().map_or_else(|fault| (None, fault.to_string()), found)))
}
