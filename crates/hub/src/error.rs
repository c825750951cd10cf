//! What can go wrong between here and the Hub.

use domain::{Class, Fault};
use reqwest::Response;

use crate::budget::retry_after;

/// A dump that cannot be opened or a Hub that does not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} cannot be read: {source}")]
    Io { path: String, source: std::io::Error },
    #[error(
        "{path} is no metadata dump by its name; expected .jsonl, .ndjson, .json, .csv or .parquet, the first four also with .zst or .gz"
    )]
    UnknownFormat { path: String },
    #[error("{path} holds no model metadata: found {found}; looked for {wanted}")]
    NotADump { path: String, found: String, wanted: &'static str },
    #[error("{path} is damaged: {reason}")]
    Damaged { path: String, reason: String },
    #[error("`{0}` is no Hub address; expected http:// or https:// and a host")]
    BadEndpoint(String),
    #[error("the token for the Hub holds what no header can; give it as it was printed")]
    BadToken,
    #[error("the Hub has no model `{0}`, or it is private")]
    NoSuchModel(String),
    #[error("the Hub's model `{model}` has no branch, tag or commit `{revision}`")]
    NoSuchRevision { model: String, revision: String },
    #[error("the Hub lists no model of `{0}`, or they are private")]
    NoSuchAuthor(String),
    #[error(
        "{url} answered {status}; expected 200{}", match .wait { Some(wait) => format!("; it asks for {wait} s of patience"), None => String::new() }
    )]
    Status { url: String, status: u16, wait: Option<u64> },
    #[error("{url} answered more than {max} bytes")]
    AnswerTooLarge { url: String, max: u64 },
    #[error("{url} answered what is not JSON: {reason}")]
    BadAnswer { url: String, reason: String },
    #[error("{url} answered a web page where a file was expected; the Hub may ask for a login")]
    WebPage { url: String },
    #[error("{url} answered the whole file to a request for a part; a Hub that serves ranges is needed")]
    NoRange { url: String },
    #[error("{url} answered {reason}")]
    BadPart { url: String, reason: String },
    #[error("{url} has changed while it was read: {reason}")]
    Changed { url: String, reason: String },
    #[error("{url} leads to {to}, which is not followed: {reason}")]
    Redirect { url: String, to: String, reason: &'static str },
    #[error("the Hub cannot be reached: {0}")]
    Unreachable(#[source] reqwest::Error),
}

impl Error {
    /// An answer of another status than was expected.
    pub(crate) fn status(url: &str, answer: &Response) -> Self {
        let (status, wait) = (answer.status().as_u16(), retry_after(answer.headers()));
        Self::Status { url: url.to_owned(), status, wait }
    }
}

impl Fault for Error {
    fn wait(&self) -> Option<u64> {
        match self {
            Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "dump_unreadable",
            Self::UnknownFormat { .. } => "dump_format",
            Self::NotADump { .. } => "not_a_dump",
            Self::Damaged { .. } => "dump_damaged",
            Self::BadEndpoint(_) => "bad_endpoint",
            Self::BadToken => "bad_hub_token",
            Self::NoSuchModel(_) => "hub_unknown_model",
            Self::NoSuchRevision { .. } => "hub_unknown_revision",
            Self::NoSuchAuthor(_) => "hub_unknown_author",
            Self::Status { .. } | Self::BadAnswer { .. } | Self::WebPage { .. } | Self::BadPart { .. } => {
                "hub_answer"
            }
            Self::NoRange { .. } => "hub_no_range",
            Self::Changed { .. } => "hub_changed",
            Self::Redirect { .. } => "hub_redirect",
            Self::AnswerTooLarge { .. } => "hub_answer_too_large",
            Self::Unreachable(_) => "hub_unreachable",
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Class::NotFound,
            Self::NoSuchModel(_) | Self::NoSuchRevision { .. } | Self::NoSuchAuthor(_) => Class::NotFound,
            Self::AnswerTooLarge { .. } => Class::TooLarge,
            Self::UnknownFormat { .. } => Class::Unsupported,
            Self::Changed { .. } => Class::Conflict,
            Self::Status { .. }
            | Self::BadAnswer { .. }
            | Self::WebPage { .. }
            | Self::NoRange { .. }
            | Self::BadPart { .. }
            | Self::Redirect { .. }
            | Self::Unreachable(_) => Class::Unavailable,
            _ => Class::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_makes_no_sense_is_worth_another_try_whatever_is_wrong_with_it() {
        let (url, reason) = (String::from("http://hub.example/x"), String::from("odd"));

        let all = [
            Error::Status { url: url.clone(), status: 500, wait: None },
            Error::BadAnswer { url: url.clone(), reason: reason.clone() },
            Error::WebPage { url: url.clone() },
            Error::BadPart { url, reason },
        ];

        for error in all {
            assert_eq!((error.code(), error.class()), ("hub_answer", Class::Unavailable), "{error}");
        }
    }
}
