//! Who somebody is here: tokens, organisations, and how they stand to a closed model.

use super::{When, when};

/// Somebody who is signed in.
#[derive(Debug, Clone, Default)]
pub struct AccountPage {
    pub name: String,
    /// Whether they have every role everywhere.
    pub admin: bool,
    /// Whether the token they came with may write, and so make and end tokens.
    pub writes: bool,
    pub tokens: Vec<TokenLine>,
    /// Organisations with the role in each.
    pub orgs: Vec<(String, &'static str)>,
    /// Addresses under `/api/v1/` of the lists that go on beyond what is shown.
    pub cut: Vec<&'static str>,
}

/// A token, without its secret.
#[derive(Debug, Clone, Default)]
pub struct TokenLine {
    pub id: i64,
    pub label: String,
    /// read or write.
    pub scope: &'static str,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds; none lasts until it is revoked.
    pub expires_at: Option<i64>,
}

impl TokenLine {
    pub(crate) fn created(&self) -> When {
        when(&self.created_at)
    }
}

/// The fields of the form for a new token, as they were filled in.
#[derive(Debug, Clone, Default)]
pub struct TokenForm {
    pub label: String,
    pub read_only: String,
    pub days: String,
}

/// How a model is closed, and how the reader stands to it.
#[derive(Debug, Clone, Default)]
pub struct Closure {
    pub private: bool,
    /// auto or manual; none is not gated.
    pub gate: Option<&'static str>,
    /// Whether the reader has a name.
    pub signed_in: bool,
    /// Whether the reader may get at the files.
    pub reads: bool,
    /// What became of the reader's request: pending, accepted or rejected.
    pub asked: Option<&'static str>,
    /// Whether the reader decides who gets at the files.
    pub decides: bool,
    /// Requests of others, for whoever decides.
    pub requests: Vec<RequestLine>,
}

/// Somebody's request for a model's files.
#[derive(Debug, Clone, Default)]
pub struct RequestLine {
    pub person: String,
    /// pending, accepted or rejected.
    pub state: &'static str,
    /// Unix seconds.
    pub asked_at: i64,
}
