//! One file per group of commands.

mod adapter;
mod advisory;
mod derive;
mod diff;
mod files;
mod import;
mod lineage;
mod lists;
mod measure;
mod people;
mod report;
mod search;
mod service;
mod token;
mod transfer;
mod transplant;
mod tree;
mod trust;
mod upkeep;
mod watch;
mod watched;

use jobs::Ground;

use crate::{
    cli::{Cli, Command, ConfigCommand},
    config::Config,
    exit::Failure,
    output::{self, Progress},
    serve::Work,
};

/// What every command needs.
pub struct Context {
    pub config: Config,
    pub json: bool,
    pub progress: Progress,
}

impl Context {
    /// The same with files of weights of at most this many bytes.
    fn sharded(mut self, most: Option<u64>) -> Self {
        let limits = &mut self.config.limits;
        limits.shard_bytes = most.unwrap_or(limits.shard_bytes);
        self
    }
}

/// Every row of a list, a page after the other.
async fn all<T>(
    read: impl AsyncFn(Option<&str>) -> Result<store::Page<T>, Failure>,
) -> Result<Vec<T>, Failure> {
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = read(cursor.as_deref()).await?;
        rows.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(rows);
        }
    }
}

/// The model of this id; of one that is not here, the failure offers names that may have been meant.
pub(crate) async fn find(registry: &jobs::Registry, id: &str) -> Result<store::ModelRow, Failure> {
    if let Some(row) = registry.store.model_by_id(id).await? {
        return Ok(row);
    }
    let near = jobs::near_names(registry, id).await?;
    let meant = match near.as_slice() {
        [] => String::new(),
        near => format!(
            "; did you mean {}?",
            near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    };
    let told = format!("`{id}` is not in this registry{meant}");
    Err(Failure::new("unknown_model", domain::Class::NotFound, told))
}

/// Runs the command.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let (config, figment) = Config::load(&cli.place)?;
    let progress = if cli.quiet { Progress::Hidden } else { Progress::Shown };
    let context = Context { config, json: cli.json, progress };
    match cli.command {
        Command::Openapi => {
            output::json(&api::document());
            Ok(())
        }
        Command::Config { command: ConfigCommand::Show } => {
            service::show_config(&context, &figment);
            Ok(())
        }
        Command::Demo { listen } => service::demo(context, &cli.place, listen).await,
        Command::Serve { listen, no_worker } => {
            let work = if no_worker { Work::Elsewhere } else { Work::Inside };
            service::serve(context, listen, work).await
        }
        Command::Worker => service::worker(context).await,
        Command::Upkeep(command) => upkeep::run(context, command).await,
        Command::Token { command } => token::run(context, command).await,
        Command::User { command } => people::user(context, command).await,
        Command::Org { command } => people::org(context, command).await,
        Command::Access { command } => people::access(context, command).await,
        Command::Import { command } => import::run(context, command).await,
        Command::Watch { command } => watch::run(context, command).await,
        Command::Models(args) => lists::models(context, args).await,
        Command::Jobs(args) => lists::jobs(context, args).await,
        Command::Tree(args) => tree::run(context, args).await,
        Command::Lineage(args) => lineage::run(context, args).await,
        Command::Advisory { command } => advisory::run(context, command).await,
        Command::Contradictions { by_date, limit, cursor } => {
            let ground = if by_date { Ground::Dates } else { Ground::Weights };
            trust::contradictions(context, ground, (limit, cursor)).await
        }
        Command::Edge { command } => trust::edge(context, command).await,
        Command::Licence { id } => report::licence(context, &id).await,
        Command::Versions { id } => report::versions(context, &id).await,
        Command::Report { subject, format } => report::report(context, subject, format).await,
        Command::Provenance { id } => tree::provenance(context, &id).await,
        Command::Manifest { id, revision } => files::manifest(context, (&id, revision.as_deref())).await,
        Command::Kinship(args) => measure::kinship(context, args).await,
        Command::Search { command } => search::run(context, command).await,
        Command::Suggest { model, base, limit } => search::suggest(context, (model, base), limit).await,
        Command::Relatives { id, limit } => measure::relatives(context, id, limit).await,
        Command::Diff(args) => diff::run(context, args).await,
        Command::Adapter { command } => adapter::run(context, command).await,
        Command::Transfer(args) => transfer::run(context, args).await,
        Command::Transplant(args) => transplant::run(context, args).await,
        Command::Merge(args) => derive::merge(context, args).await,
    }
}
