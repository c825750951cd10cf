//! Arguments of searches for a merge recipe.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum SearchCommand {
    /// Begin a search as a YAML file says.
    New {
        /// Models, base, method, strategy and budget, as docs/searching.md describes them.
        #[arg(value_name = "CONFIG.yml")]
        wanted: PathBuf,
    },
    /// Searches, newest first.
    List {
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// How far a search is, and its best candidate.
    Show {
        /// The search.
        id: String,
        /// Every candidate instead, in the order of proposal.
        #[arg(long)]
        history: bool,
    },
    /// The recipes that wait for a score, one document each; with a candidate's number its recipe alone, for `stemma merge`.
    Ask {
        /// The search.
        id: String,
        /// The candidate.
        candidate: Option<u64>,
    },
    /// Tell scores.
    Tell {
        /// The search.
        id: String,
        /// Candidates by number, with what they scored; whether more is better says `better` of the search.
        #[arg(required = true, value_name = "CANDIDATE=SCORE", value_parser = score)]
        scores: Vec<(u64, f64)>,
    },
    /// End a search that has found enough.
    Finish {
        /// The search.
        id: String,
    },
    /// Give a search up; what it found is kept.
    Cancel {
        /// The search.
        id: String,
    },
}

fn score(text: &str) -> Result<(u64, f64), String> {
    let parsed =
        text.split_once('=').and_then(|(number, score)| Some((number.parse().ok()?, score.parse().ok()?)));
    parsed.ok_or_else(|| "expected CANDIDATE=SCORE, e.g. 3=0.71".to_owned())
}
