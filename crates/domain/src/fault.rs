//! What every error of the house can say about itself, so HTTP and the CLI map it in one place each.

use serde::Serialize;

use crate::{digest::BadDigest, id::BadRepoId, path::BadPath};

/// The broad kind of a failure; HTTP turns it into a status, the CLI into an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request or file is malformed or contradicts itself (422, exit 1).
    Invalid,
    /// The named thing does not exist (404, exit 3).
    NotFound,
    /// Only others may do it (403, exit 4).
    Forbidden,
    /// The state of the registry forbids it (409, exit 4).
    Conflict,
    /// A limit was exceeded (413, exit 5).
    TooLarge,
    /// Understood but not supported, e.g. an opaque dtype (422, exit 5).
    Unsupported,
    /// A dependency is down; trying again may help (503, exit 6).
    Unavailable,
    /// What is stored is not what was stored (502, exit 1).
    Damaged,
    /// Whoever asks has had as much as they may for now (429, exit 6).
    TooMany,
    /// There is no room for it (507, exit 6).
    Full,
    /// Our own fault (500, exit 1).
    Internal,
}

/// One of several faults found at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Where: a JSON pointer into the request, a file name or a tensor name.
    pub pointer: String,
    /// What was wrong and what would be right.
    pub message: String,
}

/// An error with a stable code. Messages say what was wrong, where, and what would be right.
pub trait Fault: std::error::Error {
    /// Stable snake_case code; part of the public contract.
    fn code(&self) -> &'static str;
    /// The broad kind of failure.
    fn class(&self) -> Class;
    /// Seconds after which another try may go better, where whoever refused said so.
    fn wait(&self) -> Option<u64> {
        None
    }
    /// All faults found, when a check finds several at once.
    fn items(&self) -> Vec<Item> {
        Vec::new()
    }
    /// What has the faults, where there are several.
    fn subject(&self) -> &'static str {
        "the request"
    }
    /// One sentence to stand over the list of [`Self::items`]: the one fault, or how many there are.
    fn headline(&self) -> String {
        headline(self)
    }
}

/// What [`Fault::headline`] says unless an error knows better.
pub fn headline<F: Fault + ?Sized>(fault: &F) -> String {
    match fault.items().len() {
        0 | 1 => fault.to_string(),
        count => format!("{} has {count} faults", fault.subject()),
    }
}

/// Faults of the texts that name things.
macro_rules! malformed {
    ($($error:ty => $code:literal),+ $(,)?) => {$(
        impl Fault for $error {
            fn code(&self) -> &'static str {
                $code
            }

            fn class(&self) -> Class {
                Class::Invalid
            }
        }
    )+};
}

malformed!(BadRepoId => "bad_id", BadPath => "bad_path", BadDigest => "bad_digest");
