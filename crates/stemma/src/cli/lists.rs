//! Arguments of lists: models and jobs.

use analysis::catalogue::{Order, SIZES};
use clap::Args;
use domain::Relation;

/// Models of the registry, all or those that are looked for.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Words that all occur in the name.
    pub text: Vec<String>,
    /// Only of this user or organisation.
    #[arg(long)]
    pub author: Option<String>,
    /// Only finetune, adapter, quantized, merge or transfer.
    #[arg(long)]
    pub relation: Option<Relation>,
    /// Only with this licence.
    #[arg(long)]
    pub license: Option<String>,
    /// Only of this architecture.
    #[arg(long)]
    pub architecture: Option<String>,
    /// Only under-100m, 100m-1b, 1b-4b, 4b-10b, 10b-40b or over-40b.
    #[arg(long, value_parser = size)]
    pub size: Option<String>,
    /// Only for this task.
    #[arg(long)]
    pub task: Option<String>,
    /// Only with this tag; several are all needed.
    #[arg(long)]
    pub tag: Vec<String>,
    /// Only with weights stored here.
    #[arg(long)]
    pub weights: bool,
    /// downloads, created, modified, likes, parameters or name [default: downloads].
    #[arg(long, value_parser = order)]
    pub sort: Option<Order>,
    /// How many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub limit: u64,
    /// Where the page before ended.
    #[arg(long)]
    pub cursor: Option<String>,
}

/// Jobs, newest first, or one of them with its log.
#[derive(Debug, Args)]
pub struct JobsArgs {
    /// One job by its id.
    pub id: Option<String>,
    /// Only queued, running, succeeded, failed or cancelled.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(store::JOB_STATES))]
    pub state: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub limit: u64,
    /// Where the page before ended.
    #[arg(long)]
    pub cursor: Option<String>,
}

fn size(text: &str) -> Result<String, String> {
    let known = SIZES.map(|(word, _)| word);
    match known.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("there are {}", known.join(", "))),
    }
}

fn order(text: &str) -> Result<Order, String> {
    let known = || Order::ALL.map(Order::as_str).join(", ");
    Order::ALL
        .into_iter()
        .find(|order| order.as_str() == text)
        .ok_or_else(|| format!("there are {}", known()))
}
