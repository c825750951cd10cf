//! One file per group of commands.

mod adapter;
mod advisory;
mod derive;
mod diff;
mod files;
mod import;
mod lineage;
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

use analysis::kinship::Partial;

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
        Command::Tree { id, down, up, limit, filter, format } => {
            tree::run(context, tree::Asked { id, limit, up, down, filter, format }).await
        }
        Command::Lineage { models, refresh: true, .. } => trust::refresh(context, models).await,
        Command::Lineage { models, format, unrelated, refresh: false } => {
            let listing = if unrelated { lineage::Listing::All } else { lineage::Listing::Related };
            lineage::run(context, lineage::Asked { models, format, listing }).await
        }
        Command::Advisory { command } => advisory::run(context, command).await,
        Command::Contradictions { limit, cursor } => trust::contradictions(context, limit, cursor).await,
        Command::Edge { command } => trust::edge(context, command).await,
        Command::Licence { id } => report::licence(context, &id).await,
        Command::Versions { id } => report::versions(context, &id).await,
        Command::Report { subject, format } => report::report(context, subject, format).await,
        Command::Provenance { id } => tree::provenance(context, &id).await,
        Command::Manifest { id, revision } => files::manifest(context, (&id, revision.as_deref())).await,
        Command::Kinship {
            models,
            base,
            per_layer,
            per_module,
            per_part,
            per_tensor,
            estimate,
            measure,
            partial,
            parity,
        } => {
            let flags = [
                (per_layer, measure::Part::Layer),
                (per_module, measure::Part::Module),
                (per_part, measure::Part::LayerModule),
                (per_tensor, measure::Part::Tensor),
            ];
            let parts = flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, part)| part).collect();
            let reading = if estimate { jobs::Reading::Sketches } else { jobs::Reading::Weights };
            let partial = if partial { Partial::Take } else { Partial::Refuse };
            let measures = measure.join(",");
            let asked = measure::Asked { models, base, parts, measures, reading, partial, parity };
            measure::kinship(context, asked).await
        }
        Command::Search { command } => search::run(context, command).await,
        Command::Suggest { model, base, limit } => search::suggest(context, (model, base), limit).await,
        Command::Relatives { id, limit } => measure::relatives(context, id, limit).await,
        Command::Diff { command: Some(command), .. } => diff::apply(context, command).await,
        Command::Diff { a, b, out, form, command: None } => {
            let models = [a, b].map(Option::unwrap_or_default);
            diff::run(context, diff::Asked { models, out, form }).await
        }
        Command::Adapter { command } => adapter::run(context, command).await,
        Command::Transfer {
            from_base,
            from_tuned,
            diff,
            to_base,
            options,
            out,
            check: _,
            max_shard_size,
            register,
        } => {
            let context = context.sharded(max_shard_size);
            if let (Some(diff), Some(out)) = (diff, &out) {
                return transfer::stored(context, [to_base, diff], options, (out, register)).await;
            }
            let from_tuned = from_tuned.unwrap_or_default();
            let wanted = transfer::Transfer { from_base, from_tuned, to_base, options };
            match out {
                Some(out) => transfer::run(context, wanted, &out, register).await,
                None => transfer::check(context, wanted).await,
            }
        }
        Command::Transplant { recipient, donor, out, options, dry_run, max_shard_size, register } => {
            let out = out.filter(|_| !dry_run);
            let asked = transplant::Asked { recipient, donor, options, out, register };
            transplant::run(context.sharded(max_shard_size), asked).await
        }
        Command::Merge { recipe, out, max_shard_size, register, dry_run, mergekit } => {
            let context = context.sharded(max_shard_size.or(mergekit.out_shard_size));
            derive::merge(context, &recipe, derive::Target { out, register, dry_run, mergekit }).await
        }
    }
}
