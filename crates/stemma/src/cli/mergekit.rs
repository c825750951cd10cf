//! mergekit-yaml's options: those that mean something here, those that change nothing, and why others are refused.

use analysis::merge::{MergeConfig, Stage};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};
use jobs::Extras;

/// Options as mergekit-yaml has them.
#[derive(Debug, Clone, Args)]
pub struct MergekitOptions {
    /// Chooses the random masks, whatever the recipe's seed.
    #[arg(long, alias = "seed")]
    pub random_seed: Option<u64>,
    /// `--max-shard-size` in mergekit's units: 5B are 5 billion bytes.
    #[arg(long, value_parser = shard_size, conflicts_with = "max_shard_size")]
    pub out_shard_size: Option<u64>,
    /// Copy the tokenizer, as is done anyway.
    #[arg(long, overrides_with = "no_copy_tokenizer")]
    pub copy_tokenizer: bool,
    /// Write no tokenizer.
    #[arg(long)]
    pub no_copy_tokenizer: bool,
    /// Merge models of different architectures: what they do not have in common is that of the base, as `allow_crimes: true`
    /// in the recipe says.
    #[arg(long)]
    pub allow_crimes: bool,
    /// Cut tables of tokens to the fewest rows where tokenizers agree on these, as `truncate_prefix: true` in the recipe says.
    #[arg(long)]
    pub unsafe_truncate_embeddings: bool,
    /// Round models with an adapter applied to this format before they are merged: float32, float16, bfloat16 or float64, as
    /// `lora_merge_dtype` in the recipe says.
    #[arg(long, value_parser = dtype, value_name = "DTYPE")]
    pub lora_merge_dtype: Option<String>,
    /// Write a card with the recipe, as is done anyway.
    #[arg(long, hide = true, overrides_with = "no_write_model_card")]
    pub write_model_card: bool,
    /// Write no README.md; recipe and record are written all the same.
    #[arg(long)]
    pub no_write_model_card: bool,
    #[command(flatten)]
    pub idle: Idle,
}

/// Options that change nothing here, as they were given: taken, so that command lines written for mergekit-yaml run.
#[derive(Debug, Default, Clone)]
pub struct Idle(Vec<&'static Unused>);

/// What an option is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Nothing; its opposite of this name is taken too.
    Switch(&'static str),
    /// Nothing, and its opposite would differ.
    Lone,
    Value,
}

/// An option of mergekit-yaml that changes nothing here.
#[derive(Debug)]
struct Unused {
    name: &'static str,
    takes: Takes,
    why: &'static str,
}

const DEVICE: &str = "STEMMA_DEVICE chooses where is computed";
const STREAMED: &str = "merges stream in bounded memory";
const READ: &str = "only safetensors are read, always in blocks";
const ALWAYS: &str = "always so";
const THREADS: &str = "all processors are used; RAYON_NUM_THREADS sets fewer";
const OVERLAP: &str = "reading, merging and writing overlap already";

const fn option(name: &'static str, takes: Takes, why: &'static str) -> Unused {
    Unused { name, takes, why }
}

const IDLE: [Unused; 20] = [
    option("async-write", Takes::Switch("no-async-write"), OVERLAP),
    option("clone-tensors", Takes::Switch("no-clone-tensors"), ALWAYS),
    option("cuda", Takes::Switch("no-cuda"), DEVICE),
    option("device", Takes::Value, DEVICE),
    option("gpu-rich", Takes::Switch("no-gpu-rich"), STREAMED),
    option("lazy-loader", Takes::Switch("no-lazy-loader"), READ),
    option("lazy-unpickle", Takes::Switch("no-lazy-unpickle"), READ),
    option("lora-merge-cache", Takes::Value, "adapters are applied while they are read, without a copy"),
    option("low-cpu-memory", Takes::Switch("no-low-cpu-memory"), STREAMED),
    option("multi-gpu", Takes::Switch("no-multi-gpu"), STREAMED),
    option("no-allow-crimes", Takes::Lone, "so unless --allow-crimes asks for it"),
    option("no-quiet", Takes::Lone, "so unless --quiet asks for it"),
    option(
        "no-unsafe-truncate-embeddings",
        Takes::Lone,
        "so unless --unsafe-truncate-embeddings asks for it",
    ),
    option("num-threads", Takes::Value, THREADS),
    option("read-to-gpu", Takes::Switch("no-read-to-gpu"), STREAMED),
    option("safe-serialization", Takes::Lone, ALWAYS),
    option("transformers-cache", Takes::Value, "no cache is kept: a model is read where it lies"),
    option(
        "trust-remote-code",
        Takes::Switch("no-trust-remote-code"),
        "nothing from a model repository is ever executed",
    ),
    option("verbose", Takes::Lone, "progress is shown unless --quiet"),
    option("write-threads", Takes::Value, OVERLAP),
];

impl Unused {
    fn arg(&self) -> Arg {
        let arg = Arg::new(self.name).long(self.name).hide(true);
        let arg = match self.name {
            "num-threads" => arg.short('j'),
            "verbose" => arg.short('v'),
            _ => arg,
        };
        match self.takes {
            Takes::Value => arg.action(ArgAction::Append),
            Takes::Switch(_) | Takes::Lone => arg.action(ArgAction::Count),
        }
    }
}

impl Args for Idle {
    fn augment_args(command: Command) -> Command {
        let opposite = |option: &Unused| match option.takes {
            Takes::Switch(no) => Some(Arg::new(no).long(no).hide(true).action(ArgAction::Count)),
            Takes::Lone | Takes::Value => None,
        };
        command.args(IDLE.iter().map(Unused::arg)).args(IDLE.iter().filter_map(opposite))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Idle {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        // The opposite of a switch is what mergekit-yaml does anyway, and so is not worth a note.
        let given = |option: &&Unused| matches.value_source(option.name) == Some(ValueSource::CommandLine);
        Ok(Self(IDLE.iter().filter(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl MergekitOptions {
    /// Puts into a recipe what is asked for beside it.
    pub fn settle(&self, stages: &mut [Stage]) {
        for MergeConfig { seed, policies, tokenizer_source, tokenizer, lora_merge_dtype, .. } in
            stages.iter_mut().map(|stage| &mut stage.config)
        {
            *seed = self.random_seed.unwrap_or(*seed);
            *lora_merge_dtype = self.lora_merge_dtype.clone().or(lora_merge_dtype.take());
            policies.allow_crimes |= self.allow_crimes;
            // Where rows are matched by token there is nothing to cut.
            policies.truncate_prefix |=
                self.unsafe_truncate_embeddings && tokenizer_source.is_none() && tokenizer.is_none();
        }
    }

    /// What is written beside the weights; the size of files is a limit of the whole program.
    pub const fn extras(&self) -> Extras {
        let (write_model_card, copy_tokenizer) = (!self.no_write_model_card, !self.no_copy_tokenizer);
        Extras { write_model_card, copy_tokenizer, out_shard_size: None }
    }

    /// The same as lines for the recipe's file.
    pub fn comments(&self) -> String {
        let seed = self.random_seed.map(|seed| format!("--random-seed {seed}"));
        let crimes = self.allow_crimes.then(|| "--allow-crimes".to_owned());
        let cut = self.unsafe_truncate_embeddings.then(|| "--unsafe-truncate-embeddings".to_owned());
        let adapted = self.lora_merge_dtype.as_ref().map(|dtype| format!("--lora-merge-dtype {dtype}"));
        seed.into_iter()
            .chain(crimes)
            .chain(cut)
            .chain(adapted)
            .map(|option| format!("# Merged with {option}.\n"))
            .collect()
    }

    /// What an option of mergekit's name does otherwise here.
    pub fn told(&self) -> Option<&'static str> {
        self.unsafe_truncate_embeddings.then_some(
            "note: --unsafe-truncate-embeddings is `truncate_prefix: true` here: tables of tokens are cut to the fewest rows \
             only where these are the same tokens in all tokenizers; rows that mean different tokens, tensors of other \
             shapes, and a tokenizer with tokens beyond the rows that are left are still refused",
        )
    }
}

impl Idle {
    /// A line that says what changes nothing, and why.
    pub fn told(&self) -> Option<String> {
        let each: Vec<_> =
            self.0.iter().map(|option| format!("--{} ({})", option.name, option.why)).collect();
        (!each.is_empty()).then(|| format!("note: changes nothing here: {}", each.join(", ")))
    }
}

/// Why `option` is refused, and what to do instead.
pub fn explained(option: &str) -> Option<&'static str> {
    let told = match option.split('=').next().unwrap_or(option) {
        "--no-safe-serialization" => "only safetensors are written",
        _ => return None,
    };
    Some(told)
}

/// A number format that weights can be computed in.
fn dtype(word: &str) -> Result<String, String> {
    let bare = word.trim_start_matches("torch.");
    let known = analysis::merge::dtype(bare).is_some();
    let refusal = || format!("expected float32, float16, bfloat16 or float64, found `{word}`");
    known.then(|| bare.to_owned()).ok_or_else(refusal)
}

/// A number of bytes as mergekit writes it: `5B` are 5 billion.
fn shard_size(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no size; use a number with k, M or B, e.g. 5B for 5 billion bytes");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "b" => 1_000_000_000,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(factor).filter(|&bytes| bytes > 0).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(words: &str) -> Result<MergekitOptions, clap::Error> {
        let words = format!("stemma merge recipe.yml out {words}");
        match Cli::try_parse_from(words.split_whitespace())?.command {
            Command::Merge(args) => Ok(args.mergekit),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_line_of_mergekit_runs_and_is_told_once_what_changes_nothing() {
        let words = "--cuda --device cpu -vv --low-cpu-memory --read-to-gpu --multi-gpu --gpu-rich --async-write \
                     --write-threads 3 -j 4 --clone-tensors --safe-serialization --lazy-unpickle --write-model-card \
                     --no-trust-remote-code --lora-merge-cache /tmp/c --transformers-cache /tmp/t --no-cuda --no-quiet \
                     --no-unsafe-truncate-embeddings";

        let options = parsed(words).expect("all are taken");

        let told = options.idle.told().expect("a note");
        for name in [
            "--cuda",
            "--device",
            "--verbose",
            "--lora-merge-cache",
            "--transformers-cache (no cache",
            "--no-quiet",
            "--no-unsafe-truncate-embeddings",
        ] {
            assert!(told.contains(name), "{name} in {told}");
        }
        assert!(!told.contains('\n') && !told.contains("--lazy-loader"), "{told}");
    }

    #[test]
    fn a_command_line_without_them_is_told_nothing() {
        assert_eq!(parsed("--random-seed 3").expect("parses").idle.told(), None);
    }

    #[test]
    fn an_option_whose_effect_would_differ_is_refused_with_its_reason() {
        assert!(parsed("--no-safe-serialization").is_err());
        assert!(explained("--no-safe-serialization").is_some());
        assert!(explained("--out").is_none());
        assert!(parsed("--lora-merge-dtype float8").is_err());
    }

    #[test]
    fn a_shard_size_has_mergekits_units() {
        assert_eq!(
            [shard_size("5B"), shard_size("20m"), shard_size("7")],
            [Ok(5_000_000_000), Ok(20_000_000), Ok(7)]
        );
        assert!(
            shard_size("0").is_err() && shard_size("5GiB").is_err() && shard_size("99999999999B").is_err()
        );
    }
}
