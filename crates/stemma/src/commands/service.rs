//! `stemma demo`, `serve`, `worker`, `doctor`, `config show`.

use figment::{Figment, Source};
use tokio::sync::watch;

use super::Context;
use crate::{cli::Place, config::Config, demo, exit::Failure, output, serve, wiring};

/// Builds the demo registry when it is not there yet, then serves it.
pub async fn demo(mut context: Context, place: &Place, listen: Option<String>) -> Result<(), Failure> {
    let config = &mut context.config;
    // The demo stays out of a registry that is in use, unless somebody says where it belongs.
    if place.data.is_none() && config.data == Config::default().data && config.database.is_none() {
        config.data = config.data.join("demo");
    }
    config.listen = listen.unwrap_or_else(|| config.listen.clone());
    let registry = wiring::open(config).await?;
    demo::fill(&registry, &config.data, context.progress).await?;
    serve::run(registry, config, serve::Work::Inside).await
}

/// Serves.
pub async fn serve(mut context: Context, listen: Option<String>, work: serve::Work) -> Result<(), Failure> {
    let config = &mut context.config;
    config.listen = listen.unwrap_or_else(|| config.listen.clone());
    let registry = wiring::open(config).await?;
    let guarded = [config.reads, config.writes].contains(&http::Door::Token);
    if guarded && registry.store.tokens((None, 1)).await?.items.is_empty() {
        eprintln!("nobody has a token yet; `stemma user add NAME --admin` prints one, once");
    }
    serve::run(registry, config, work).await
}

/// Runs jobs until told to stop.
pub async fn worker(context: Context) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    serve::start_log(&context.config);
    let devices = registry.devices.clone();
    tokio::task::spawn_blocking(move || serve::tell_device(&devices));
    let (stop, stopped) = watch::channel(false);
    let mut work = tokio::spawn(jobs::run_worker(registry, stopped));
    serve::work_until(serve::until_signalled(), Some(&mut work)).await?;
    let _ = stop.send(true);
    work.await.map_err(|error| serve::broken(&error))
}

/// Says what works and what does not.
pub async fn doctor(context: Context) -> Result<(), Failure> {
    let registry = wiring::existing(&context.config).await?;
    registry.store.check().await?;
    let counts = registry.store.count_models().await?;
    let device = registry.devices.present();
    if context.json {
        output::json(&serde_json::json!({ "database": "ok", "blobs": "ok", "models": counts.models,
            "device": device }));
    } else {
        output::line(format!("database  ok  {}", redact(&context.config.database_url())));
        output::line(format!("blobs     ok  {}", context.config.blobs_url()));
        output::line(format!("models    {} ({} with weights)", counts.models, counts.with_weights));
        output::line(format!("device    {device}"));
    }
    Ok(())
}

/// Prints each value with its source.
pub fn show_config(context: &Context, figment: &Figment) {
    let source = |key: &str| source(figment, key);
    let config = &context.config;
    let mut rows = vec![
        ("data".to_owned(), config.data.display().to_string(), source("data")),
        ("database".to_owned(), redact(&config.database_url()), source("database")),
        ("blobs".to_owned(), config.blobs_url(), source("blobs")),
        ("hub".to_owned(), redact(config.hub.as_deref().unwrap_or("none")), source("hub")),
        (
            "hub_token".to_owned(),
            config.hub_token.as_ref().map_or("none", |_| "***").to_owned(),
            source("hub_token"),
        ),
        ("pull".to_owned(), config.pull.to_string(), source("pull")),
        ("listen".to_owned(), config.listen.clone(), source("listen")),
        (
            "public_url".to_owned(),
            config.public_url.clone().unwrap_or_else(|| "none".to_owned()),
            source("public_url"),
        ),
        ("reads".to_owned(), door(config.reads).to_owned(), source("reads")),
        ("writes".to_owned(), door(config.writes).to_owned(), source("writes")),
        ("device".to_owned(), config.device.clone(), source("device")),
        ("log".to_owned(), config.log.clone(), source("log")),
        ("log_format".to_owned(), config.log_format.as_str().to_owned(), source("log_format")),
    ];
    if let Ok(serde_json::Value::Object(limits)) = serde_json::to_value(config.limits) {
        for (key, value) in limits {
            let key = format!("limits.{key}");
            rows.push((key.clone(), value.to_string(), source(&key)));
        }
    }
    if let Ok(serde_json::Value::Object(fixed)) = serde_json::to_value(domain::FIXED) {
        let told = |(key, value): (String, serde_json::Value)| {
            (format!("fixed.{key}"), value.to_string(), "the program".to_owned())
        };
        rows.extend(fixed.into_iter().map(told));
    }
    if context.json {
        let map: serde_json::Map<_, _> = rows
            .into_iter()
            .map(|(key, value, source)| (key, serde_json::json!({ "value": value, "source": source })))
            .collect();
        output::json(&map);
        return;
    }
    let width = |cell: fn(&(String, String, String)) -> &str| {
        rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or_default()
    };
    let (keys, values) = (width(|row| &row.0), width(|row| &row.1));
    for (key, value, source) in &rows {
        output::line(format!("{key:keys$}  {value:values$}  {source}"));
    }
}

const fn door(door: http::Door) -> &'static str {
    match door {
        http::Door::Anyone => "anyone",
        http::Door::Token => "token",
    }
}

/// What set a value: the default, a file, a variable of the environment or a flag.
fn source(figment: &Figment, key: &str) -> String {
    let Some(meta) = figment.find_metadata(key) else { return "default".to_owned() };
    match &meta.source {
        _ if meta.name.ends_with("_FILE") => meta.name.to_string(),
        Some(Source::File(path)) => path.display().to_string(),
        // Defaults and flags are both given in code: the former as the whole configuration.
        Some(Source::Code(_)) if meta.name.contains("Config") => "default".to_owned(),
        Some(Source::Code(_)) => format!("--{key}"),
        _ => format!("STEMMA_{}", key.replace('.', "__").to_ascii_uppercase()),
    }
}

/// Hides the password of a database address.
fn redact(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(start), Some(at)) => match url[start + 3..at].split_once(':') {
            Some((user, _)) => format!("{}://{user}:***{}", &url[..start], &url[at..]),
            None => url.to_owned(),
        },
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use figment::providers::{Format as _, Serialized, Toml};

    use super::{Figment, redact, source};
    use crate::{config::Config, environment::FromFile};

    #[test]
    fn every_value_names_what_set_it() {
        let figment = Figment::from(Serialized::defaults(Config::default()))
            .merge(Toml::string("[limits]\npage = 7"))
            .merge(Serialized::global("data", "elsewhere"))
            .merge(FromFile {
                key: "database",
                variable: "STEMMA_DATABASE_FILE".to_owned(),
                value: "sqlite://x.sqlite".to_owned(),
            });

        assert_eq!(source(&figment, "listen"), "default");
        assert_eq!(source(&figment, "limits.page_max"), "default");
        assert_eq!(source(&figment, "data"), "--data");
        assert_eq!(source(&figment, "database"), "STEMMA_DATABASE_FILE");
        let flag = figment.merge(Serialized::global("database", "sqlite://y.sqlite"));
        assert_eq!(source(&flag, "database"), "--database");
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(redact("postgres://u:p@ss@host/db"), "postgres://u:***@host/db");
        assert_eq!(redact("sqlite://x.sqlite"), "sqlite://x.sqlite");
    }
}
