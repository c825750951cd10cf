//! What something was computed on, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What was used and why, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// `cpu`, `gpu`, or `gpu and cpu`.
    pub used: String,
    /// The card's name, or why it was the processor.
    pub why: String,
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.used, self.why)
    }
}
