//! Arguments of trees, and of what is measured.

use analysis::kinship::Parity;
use clap::Args;

use super::{LineageFormat, TreeFilter, TreeFormat, named::model};

/// A tree.
#[derive(Debug, Args)]
pub struct TreeArgs {
    /// A model of the registry, org/name, or a checkpoint folder, as it would hang there.
    #[arg(value_parser = model)]
    pub id: String,
    /// Generations below the model [default: all].
    #[arg(long)]
    pub down: Option<usize>,
    /// Generations above [default: all].
    #[arg(long)]
    pub up: Option<usize>,
    /// Most models shown, up to 50,000 [default: 5000].
    #[arg(long)]
    pub limit: Option<usize>,
    #[command(flatten)]
    pub filter: TreeFilter,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = TreeFormat::Text)]
    pub format: TreeFormat,
}

/// Descent recovered from weights.
#[derive(Debug, Args)]
pub struct LineageArgs {
    /// Checkpoint folders, folders of them, or ids.
    #[arg(required_unless_present = "refresh", value_name = "DIR", value_parser = model)]
    pub models: Vec<String>,
    /// Instead, compare stored models with their nearest relatives again and write down what that says: those named,
    /// or all.
    #[arg(long)]
    pub refresh: bool,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = LineageFormat::Text)]
    pub format: LineageFormat,
    /// Also every pair of models of one shape without a common origin.
    #[arg(long)]
    pub unrelated: bool,
}

/// A matrix of kinship.
#[derive(Debug, Args)]
pub struct KinshipArgs {
    /// Ids, checkpoint folders, or recipes of merges (.yml).
    #[arg(required = true, num_args = 2.., value_parser = model)]
    pub models: Vec<String>,
    /// Base the deltas are taken against, or auto for the nearest model from which all of them descend; without it only the
    /// Euclidean distance is defined.
    #[arg(long, value_parser = model)]
    pub base: Option<String>,
    /// Also a matrix for every layer.
    #[arg(long)]
    pub per_layer: bool,
    /// Also a matrix for every kind of module: q, k, v, o, gate, up, down, norm, …
    #[arg(long)]
    pub per_module: bool,
    /// Of two models: also the values of every kind of module in every layer.
    #[arg(long)]
    pub per_part: bool,
    /// Also a matrix for every tensor.
    #[arg(long)]
    pub per_tensor: bool,
    /// Estimate from stored sketches, with standard errors, without reading weights.
    #[arg(long)]
    pub estimate: bool,
    /// Only these measures: cosine (cs), pearson (pcc), euclidean (ed).
    #[arg(long, value_delimiter = ',')]
    pub measure: Vec<String>,
    /// Compare what there is, even where that is less than 90 % of the weights.
    #[arg(long)]
    pub partial: bool,
    /// reference (the cosine without its sign) or reference_split (also the mean of the tensors' values).
    #[arg(long)]
    pub parity: Option<Parity>,
}
