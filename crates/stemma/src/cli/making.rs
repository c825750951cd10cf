//! Arguments of what makes models: merges, transfers, transplants, and where their results go.

use std::path::{Path, PathBuf};

use analysis::{
    transfer::{Missing, Preset, Sparsify},
    transplant::Fill,
};
use clap::Args;
use serde_json::Value;

use super::{MergekitOptions, named::model};

/// Where a result goes.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Folder to write.
    #[arg(required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
    /// Only look: every fault, or what it needs and gives; nothing is written.
    #[arg(long, alias = "check")]
    pub dry_run: bool,
    /// Also publish the result in the registry under this id.
    #[arg(long)]
    pub register: Option<String>,
}

impl Target {
    /// The folder to write; none of a dry run.
    pub fn folder(&self) -> Option<&Path> {
        self.out.as_deref().filter(|_| !self.dry_run)
    }
}

/// Where a model goes whose weights may be cut into several files.
#[derive(Debug, Args)]
pub struct Writing {
    #[command(flatten)]
    pub target: Target,
    /// Largest file of weights, e.g. 5GB or 500MiB; more is cut into shards with an index [default: 5GB].
    #[arg(long, value_parser = size)]
    pub max_shard_size: Option<u64>,
}

/// A merge.
#[derive(Debug, Args)]
#[command(mut_arg("out", |arg| arg.required_unless_present("explain")))]
pub struct MergeArgs {
    /// mergekit's YAML; models are ids or checkpoint folders.
    #[arg(value_name = "CONFIG.yml")]
    pub recipe: PathBuf,
    #[command(flatten)]
    pub writing: Writing,
    /// Only tell which values every tensor gets, or every one with PART in its name; nothing is written.
    #[arg(long, value_name = "PART", num_args = 0..=1, require_equals = true)]
    pub explain: Option<Option<String>>,
    /// Make the result of the document with this `name`, of a recipe of several [default: every one that no other uses, each
    /// in a folder of its name within OUT; registered as ORG/NAME with `--register ORG/`].
    #[arg(long, value_name = "NAME")]
    pub document: Option<String>,
    #[command(flatten)]
    pub mergekit: MergekitOptions,
}

/// A transfer.
#[derive(Debug, Args)]
#[command(mut_arg("dry_run", |arg| arg.help("Only look at the weights: is it likely to work? Nothing is written")))]
pub struct TransferArgs {
    /// What was tuned: an id or a checkpoint folder [default: what the lineage of the fine-tune says].
    #[arg(long, value_parser = model)]
    pub from_base: Option<String>,
    /// What it became.
    #[arg(long, required_unless_present = "diff", value_parser = model)]
    pub from_tuned: Option<String>,
    /// A stored difference in any form, in the place of the two models it was taken of.
    #[arg(long, conflicts_with_all = ["from_base", "from_tuned"], value_parser = model)]
    pub diff: Option<String>,
    /// What the difference is added to.
    #[arg(long, value_parser = model)]
    pub to_base: String,
    #[command(flatten)]
    pub options: TransferOptions,
    #[command(flatten)]
    pub writing: Writing,
}

/// The two models of a transplant, and how rows are made.
#[derive(Debug, Args)]
pub struct TransplantArgs {
    /// Whose weights: an id or a checkpoint folder.
    #[arg(value_parser = model)]
    pub recipient: String,
    /// Whose tokenizer.
    #[arg(value_parser = model)]
    pub donor: String,
    #[command(flatten)]
    pub options: TransplantOptions,
    #[command(flatten)]
    pub writing: Writing,
}

/// What of a diff is carried over.
#[derive(Debug, Clone, Args)]
pub struct TransferOptions {
    /// diff_vector: all tensors, and the fine-tune's tokenizer; shadow_ft: only projections; chat_vector: as diff_vector
    /// with lambda from 0.5 to 1.
    #[arg(long, value_parser = preset, default_value = "diff_vector")]
    pub preset: Preset,
    /// A number, a list from the first layer to the last such as [0.5,1], or [{"filter":"mlp","value":0.5}].
    #[arg(long, value_parser = lambda, default_value = "1.0", allow_hyphen_values = true)]
    pub lambda: Value,
    /// Only tensors in whose name this regular expression is found.
    #[arg(long)]
    pub include: Option<String>,
    /// No tensor in whose name this regular expression is found.
    #[arg(long)]
    pub exclude: Option<String>,
    /// Tensors that not all models have: error, base (what the target has stays as it is) or skip (left out).
    #[arg(long, value_parser = missing, default_value = "error")]
    pub missing: Missing,
    /// Carry over only some elements of the diff: {"kind": "magnitude", "density": 0.2}, or middle with gamma, random with seed,
    /// magprune with epsilon and seed.
    #[arg(long, value_parser = sparsify, value_name = "JSON", conflicts_with = "diff")]
    pub sparsify: Option<Sparsify>,
}

fn missing(text: &str) -> Result<Missing, String> {
    Missing::ALL.into_iter().find(|missing| missing.label() == text).ok_or_else(|| {
        let known = Missing::ALL.map(Missing::label).join(", ");
        format!("there are {known}")
    })
}

fn sparsify(text: &str) -> Result<Sparsify, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("expected {{\"kind\": \"magnitude\", \"density\": 0.2}}: {error}"))
}

fn preset(text: &str) -> Result<Preset, String> {
    Preset::ALL.into_iter().find(|preset| preset.label() == text).ok_or_else(|| {
        let known = Preset::ALL.map(Preset::label).join(", ");
        format!("there are {known}")
    })
}

fn lambda(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map_err(|_| "expected a number, a list of numbers or a list of {\"filter\", \"value\"}".to_owned())
}

/// How a transplant makes the rows of tokens that the recipient lacks.
#[derive(Debug, Clone, Args)]
pub struct TransplantOptions {
    /// omp: put together from shared tokens; mean: the mean of their rows; zero.
    #[arg(long, default_value = "omp")]
    pub fill: Fill,
    /// Most shared tokens that one row is put together from.
    #[arg(long, default_value_t = analysis::transplant::TERMS)]
    pub k: usize,
    /// Shared tokens looked at for a row [default: all]; fewer take less time and may give another result.
    #[arg(long)]
    pub candidates: Option<usize>,
}

/// A number of bytes with a unit: B, KB, MB, GB, TB in thousands, KiB, MiB, GiB, TiB in 1,024.
fn size(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no size; use a number above 0 with a unit, e.g. 5GB or 500MiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let base: u64 = if unit.contains('i') { 1_024 } else { 1_000 };
    let power = match unit.as_str() {
        "" | "b" => 0,
        "kb" | "kib" => 1,
        "mb" | "mib" => 2,
        "gb" | "gib" => 3,
        "tb" | "tib" => 4,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(base.pow(power)).filter(|&bytes| bytes > 0).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        for (text, bytes) in [("5GB", 5_000_000_000), ("500MiB", 500 << 20), ("7 kb", 7_000), ("12", 12)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "GB", "0GB", "-5GB", "5 pigs", "99999999999TB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
