//! Configuration: defaults < stemma.toml < environment (`STEMMA_…`) < flags, each value with its source.

mod check;

use std::{fmt, path::PathBuf};

use domain::{Class, Item, Limits};
use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
};
use http::Door;
use serde::{Deserialize, Serialize};

use crate::{cli::Place, environment, exit::Failure};

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data: PathBuf,
    pub database: Option<String>,
    pub blobs: Option<String>,
    /// Address of the Hub that `hub:org/name` stands for; without one nothing is fetched from anywhere.
    pub hub: Option<String>,
    /// Token for that Hub, sent to its address alone.
    pub hub_token: Option<Secret>,
    /// Whether a model asked for at the Hub's own addresses is brought in when it is not here.
    pub pull: bool,
    pub listen: String,
    /// Where others reach this service, `https://models.example`, for the addresses it tells; without one they follow
    /// what a request says.
    pub public_url: Option<String>,
    /// Who may read: `anyone` who reaches the service, or the bearer of a `token`.
    pub reads: Door,
    /// Who may change something.
    pub writes: Door,
    /// What computes: a graphics card where there is one (`auto`), the processor (`cpu`), or a card and nothing else
    /// (`gpu`).
    pub device: String,
    /// What `serve` and `worker` log, as `level` or `target=level,…`.
    pub log: String,
    /// Whether they log lines of text, or an object of JSON a line.
    pub log_format: LogFormat,
    pub limits: Limits,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: an object with `timestamp`, `level`, `target`, `message`, the event's fields, and in `span` the id of
    /// the request.
    Json,
}

impl LogFormat {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// A text that is never shown.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// For whoever needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("stemma-data"),
            database: None,
            blobs: None,
            hub: None,
            hub_token: None,
            pull: false,
            listen: "127.0.0.1:8080".to_owned(),
            public_url: None,
            reads: Door::default(),
            writes: Door::default(),
            device: gpu::Choice::default().to_string(),
            log: "info,actix_server=warn,sqlx=warn,sea_orm_migration=warn,html5ever=error".to_owned(),
            log_format: LogFormat::default(),
            limits: Limits::default(),
        }
    }
}

fn wrong(faults: Vec<Item>) -> Failure {
    let told = match faults.as_slice() {
        [Item { pointer, message }] if pointer.is_empty() => format!("the configuration is wrong: {message}"),
        [Item { pointer, message }] => format!("the configuration is wrong: {pointer}: {message}"),
        several => format!("the configuration has {} faults", several.len()),
    };
    Failure { items: faults, ..Failure::new("config", Class::Invalid, told) }
}

impl Config {
    /// Loads the configuration.
    ///
    /// # Errors
    /// Every key that is unknown and every value that cannot be, at once.
    pub fn load(place: &Place) -> Result<(Self, Figment), Failure> {
        let file = place.config.clone().unwrap_or_else(|| PathBuf::from("stemma.toml"));
        if place.config.is_some() && !file.is_file() {
            return Err(Failure::new(
                "config",
                Class::NotFound,
                format!("no configuration file {}", file.display()),
            ));
        }
        let mut figment = Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::file(file))
            .merge(environment::ours());
        let (secrets, faults) = environment::secrets();
        for secret in secrets {
            figment = figment.merge(secret);
        }
        let flags = [
            ("data", place.data.as_ref().map(|p| p.display().to_string())),
            ("database", place.database.clone()),
            ("blobs", place.blobs.clone()),
        ];
        for (key, value) in flags {
            if let Some(value) = value {
                figment = figment.merge(Serialized::global(key, value));
            }
        }
        let mut faults = faults;
        faults.extend(check::of_keys(&figment));
        if faults.is_empty() {
            let config: Self = figment.extract().map_err(|error| wrong(vec![check::unread(&error)]))?;
            faults = check::of_values(&config);
            if faults.is_empty() {
                return Ok((config, figment));
            }
        }
        Err(wrong(faults))
    }

    /// Database address in force.
    pub fn database_url(&self) -> String {
        self.database
            .clone()
            .unwrap_or_else(|| format!("sqlite://{}?mode=rwc", self.data.join("stemma.sqlite").display()))
    }

    /// Blob address in force.
    pub fn blobs_url(&self) -> String {
        self.blobs.clone().unwrap_or_else(|| self.data.join("blobs").display().to_string())
    }
}
