//! The command line.

mod artefacts;
mod descent;
mod formats;
mod lists;
mod making;
mod mergekit;
mod named;
mod people;
mod search;
mod trust;
mod upkeep;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jobs::Subject;

pub use artefacts::{AdapterCommand, BakeArgs, DiffArgs, DiffCommand, DiffForm, ExtractArgs};
pub use descent::{KinshipArgs, LineageArgs, TreeArgs};
pub use formats::{LineageFormat, ReportFormat, TreeFilter, TreeFormat, subject};
pub use lists::{JobsArgs, ModelsArgs};
pub use making::{
    MergeArgs, Target, TransferArgs, TransferOptions, TransplantArgs, TransplantOptions, Writing,
};
pub use mergekit::{MergekitOptions, explained};
pub use people::{
    AccessCommand, MemberArgs, MemberCommand, OrgCommand, TokenCommand, UserCommand, WatchCommand,
};
pub use search::SearchCommand;
pub use trust::{AdvisoryCommand, EdgeCommand, Stated};
pub use upkeep::UpkeepCommand;

/// What stands above the options of every command in its help.
const GLOBAL: &str = "Global options";

/// Model lineage registry: family trees, kinship, diffs, transfers and merges.
#[derive(Debug, Parser)]
#[command(name = "stemma", version, about)]
pub struct Cli {
    #[command(flatten)]
    pub place: Place,
    /// One JSON document on stdout.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,
    /// No progress on stderr.
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the registry lives; flags outrank environment and configuration file.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Folder of the embedded registry [default: ./stemma-data, for `demo` ./stemma-data/demo].
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub data: Option<PathBuf>,
    /// sqlite://… or postgres://… [default: SQLite in the data folder].
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub database: Option<String>,
    /// Folder or s3://bucket/prefix [default: blobs in the data folder].
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub blobs: Option<String>,
    /// Configuration file [default: stemma.toml when it exists].
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// A registry with real families and tiny trained models, served.
    Demo {
        /// Address to listen on [default: 127.0.0.1:8080].
        #[arg(long)]
        listen: Option<String>,
    },
    /// Serve pages and REST, with a worker inside.
    Serve {
        /// Address to listen on [default: 127.0.0.1:8080].
        #[arg(long)]
        listen: Option<String>,
        /// Leave jobs to `stemma worker` processes.
        #[arg(long)]
        no_worker: bool,
    },
    /// Run jobs only.
    Worker,
    #[command(flatten)]
    Upkeep(UpkeepCommand),
    /// Configuration in force.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Personal access tokens, which name the author of a push.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Users of the registry.
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Organisations and their members.
    Org {
        #[command(subcommand)]
        command: OrgCommand,
    },
    /// Private and gated models.
    Access {
        #[command(subcommand)]
        command: AccessCommand,
    },
    /// Bring models in.
    Import {
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Authors of the Hub whose models are brought in as they appear and change.
    Watch {
        #[command(subcommand)]
        command: WatchCommand,
    },
    /// Models of the registry: all, or those whose name holds the words.
    Models(ModelsArgs),
    /// Jobs, newest first, or one of them with its log.
    Jobs(JobsArgs),
    /// The family tree around a model.
    Tree(TreeArgs),
    /// Who descends from whom, recovered from weights: checkpoint folders, folders of them, ids.
    Lineage(LineageArgs),
    /// What is wrong with models, carried down the tree.
    Advisory {
        #[command(subcommand)]
        command: AdvisoryCommand,
    },
    /// Claims of descent that the weights contradict, or that dates speak against.
    Contradictions {
        /// Claims on parents that were created a day or more after the child, instead.
        #[arg(long)]
        by_date: bool,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Say that an edge from a model to a parent is right, wrong or missing.
    Edge {
        #[command(subcommand)]
        command: EdgeCommand,
    },
    /// A model's licence against those of all its ancestors. Indicative only.
    Licence {
        /// A model of the registry, org/name, or a checkpoint folder, as it would be there.
        #[arg(value_parser = named::model)]
        id: String,
    },
    /// Versions derived from what changed along a model's line of descent.
    Versions {
        /// A model of the registry, org/name.
        #[arg(value_parser = named::id)]
        id: String,
    },
    /// Statistics of the whole registry: traits, mutation, drift, families, licences or names.
    Report {
        /// One of these.
        #[arg(value_parser = subject)]
        subject: Subject,
        /// How it is written.
        #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
        format: ReportFormat,
    },
    /// How a model was made by Stemma: recipe, inputs, tensors, warnings; of one of the registry also times (JSON).
    Provenance {
        /// An id, or the folder that a merge or a transfer wrote.
        #[arg(value_parser = named::id)]
        id: String,
    },
    /// Every file of a model with size, SHA-256, address and tensors (JSON).
    Manifest {
        /// A model of the registry, org/name, or a checkpoint folder.
        #[arg(value_parser = named::model)]
        id: String,
        /// A branch, a tag, a commit or a digest [default: main].
        #[arg(long)]
        revision: Option<String>,
    },
    /// Kinship of models (ids, checkpoint folders, or recipes of merges).
    Kinship(KinshipArgs),
    /// The models whose weights are nearest to a model (an id, a checkpoint folder, or the recipe of a merge).
    Relatives {
        /// An id, or a checkpoint folder.
        #[arg(value_parser = named::model)]
        id: String,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
    },
    /// Compare A with B tensor by tensor; `--out` writes A − B.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Diff(DiffArgs),
    /// LoRA adapters out of fine-tunes, and into a base.
    Adapter {
        #[command(subcommand)]
        command: AdapterCommand,
    },
    /// target_base + lambda · (source_tuned − source_base), or of a difference that `stemma diff --out` wrote.
    Transfer(TransferArgs),
    /// The weights of RECIPIENT with the tokenizer of DONOR.
    Transplant(TransplantArgs),
    /// Merge models as a mergekit YAML says.
    Merge(MergeArgs),
    /// Search for a merge recipe: candidates are proposed, you score them.
    Search {
        #[command(subcommand)]
        command: SearchCommand,
    },
    /// Partners to merge a model with, by kinship: a hint, not a measurement of quality.
    Suggest {
        /// An id, or a checkpoint folder.
        #[arg(value_parser = named::model)]
        model: String,
        /// The base that deltas are taken against.
        #[arg(long, value_parser = named::model)]
        base: String,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
    },
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print each value with the source that set it.
    Show,
}

#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// A local checkpoint folder.
    Dir {
        /// The folder, with a model card, a configuration or weights in it.
        path: PathBuf,
        /// Id in the registry, org/name.
        #[arg(long)]
        id: String,
    },
    /// Models of the configured Hub, or of another Stemma that it is.
    Hub {
        /// org/name, or org/name@revision.
        #[arg(required_unless_present = "author", value_parser = named::model)]
        ids: Vec<String>,
        /// And what of this user's or organisation's models is new or has changed.
        #[arg(long)]
        author: Option<String>,
        /// none: what the card and the Hub say; headers: shapes too; full: all files.
        #[arg(long, default_value = "full")]
        weights: jobs::Take,
        /// Generations of declared parents to bring in too, as far as they are not here; at most 1,000 models.
        #[arg(long, default_value_t = 0)]
        parents: u32,
    },
    /// Bulk metadata: JSONL, CSV, JSON or Parquet with the Hub's field names.
    Dump {
        /// Formats by the end of the name: .jsonl, .ndjson, .json, .csv, .parquet; all but the last may be packed by gzip or zstd,
        /// which their content tells.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Cli;

    #[test]
    fn every_argument_says_what_it_is() {
        fn silent(command: &clap::Command, path: &str) -> Vec<String> {
            let path = format!("{path} {}", command.get_name());
            let without =
                command.get_arguments().filter(|arg| arg.get_help().is_none() && !arg.is_hide_set());
            let own = without.map(|arg| format!("{path} {}", arg.get_id()));
            own.chain(command.get_subcommands().flat_map(|inner| silent(inner, &path))).collect()
        }

        assert_eq!(silent(&Cli::command(), ""), Vec::<String>::new());
    }

    #[test]
    fn whatever_makes_a_model_names_a_folder_or_only_looks() {
        for words in [
            "merge r.yml",
            "transfer --from-tuned a/b --to-base c/d",
            "transfer --diff a/b --to-base c/d",
            "transplant a/b c/d",
            "diff apply a/b c/d",
            "adapter bake a/b c/d",
            "adapter extract --base a/b --tuned c/d",
        ] {
            let parses = |more: &str| {
                let line = format!("stemma {words} {more}");
                Cli::try_parse_from(line.split_whitespace()).is_ok()
            };
            assert!(!parses(""), "{words}");
            for more in ["out", "--dry-run", "--check", "out --dry-run --register a/b"] {
                assert!(parses(more), "{words} {more}");
            }
            assert_eq!(parses("out --max-shard-size 5GB"), !words.contains("extract"), "{words}");
        }
    }

    #[test]
    fn organisations_and_members_have_the_same_verbs_and_the_old_ones_go_on() {
        let said = |words: &str| {
            let line = format!("stemma org {words}");
            format!("{:?}", Cli::try_parse_from(line.split_whitespace()).expect(words).command)
        };

        assert_eq!(said("delete acme"), said("remove acme"));
        for (old, new) in [
            ("add acme ann --role admin", "Add(MemberArgs { org: \"acme\", user: \"ann\", role: Admin })"),
            ("members acme", "Members { org: \"acme\" }"),
            ("remove acme ann", "Remove { name: \"acme\", member: Some(\"ann\") }"),
        ] {
            assert!(said(old).contains(new), "{old}: {}", said(old));
        }
        said("member add acme ann --role admin");
        said("member list acme");
        said("member remove acme ann");
    }
}
