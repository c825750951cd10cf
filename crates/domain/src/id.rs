//! Repository ids: `org/name`, or a legacy bare `name`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A Hub repository id. Displayed as written, compared case-insensitively through [`RepoId::key`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoId(String);

/// A string that cannot name a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a model id; expected `org/name` of letters, digits, `-`, `_` and `.`, at most 96 characters a part"
)]
pub struct BadRepoId(pub String);

/// First segments of the addresses that this service needs itself: no organisation or bare name is called so.
pub const RESERVED: &[&str] = &[
    "about",
    "advisories",
    "api",
    "atlas",
    "compare",
    "contradictions",
    "docs",
    "edges",
    "families",
    "healthz",
    "jobs",
    "kinship",
    "licences",
    "lineage",
    "livez",
    "login",
    "logout",
    "merges",
    "metrics",
    "models",
    "readyz",
    "reports",
    "search",
    "settings",
    "static",
    "transfers",
];

impl RepoId {
    /// Whether a model of this name would hide behind an address of our own.
    pub fn is_reserved(&self) -> bool {
        let first = self.key();
        let first = first.split('/').next().unwrap_or_default();
        RESERVED.contains(&first)
    }

    /// Parses an id exactly; no trimming, no URL handling (that is `hub`'s work).
    ///
    /// # Errors
    /// [`BadRepoId`] when a part is empty, longer than 96 bytes, starts with anything but a letter or
    /// digit, or holds other characters than letters, digits, `-`, `_`, `.`.
    pub fn parse(text: &str) -> Result<Self, BadRepoId> {
        let parts: Vec<&str> = text.split('/').collect();
        let fine = (1..=2).contains(&parts.len()) && parts.iter().all(|part| is_part(part));
        if fine { Ok(Self(text.to_owned())) } else { Err(BadRepoId(clip(text))) }
    }

    /// The id as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The organisation or user; `None` for legacy bare ids such as `gpt2`.
    pub fn org(&self) -> Option<&str> {
        self.0.split_once('/').map(|(org, _)| org)
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// Lower-case form: two ids with one key are one repository.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

fn is_part(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=96).contains(&part.len())
        && part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && part.chars().all(allowed)
        && !part.contains("..")
}

fn clip(text: &str) -> String {
    crate::printable(&text.chars().take(120).collect::<String>())
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepoId {
    type Err = BadRepoId;

    fn from_str(text: &str) -> Result<Self, BadRepoId> {
        Self::parse(text)
    }
}

impl Serialize for RepoId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RepoId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_climb_or_carry_markup_are_refused() {
        for bad in ["", "a/b/c", "../x", "a/..", "a/<b>", "a b", "/x", "x/", "-a/b", &"x".repeat(97)] {
            assert!(RepoId::parse(bad).is_err(), "{bad}");
        }
        for good in ["gpt2", "meta-llama/Llama-3.1-8B", "a/_b", "01-ai/Yi-6B"] {
            assert!(RepoId::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn case_does_not_make_another_repository() {
        let [a, b] = ["Org/Name", "org/name"].map(|id| RepoId::parse(id).unwrap());
        assert_eq!(a.key(), b.key());
        assert_ne!(a, b);
    }
}
