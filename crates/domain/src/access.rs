//! Who may do what with a model: the one function that decides it. Knows no tokens, no tables and no HTTP.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How the secret of every access token begins.
pub const TOKEN_MARK: &str = "stemma_";

/// What somebody may do in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See private models and read gated ones.
    Read,
    /// That, and publish.
    Write,
    /// That, and delete, rename, hide and gate models, and decide who reads gated ones.
    Admin,
}

impl Role {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "admin" => Ok(Self::Admin),
            other => Err(format!("`{other}` is not one of read, write, admin")),
        }
    }
}

/// How a gated model lets people at its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gating {
    /// Whoever asks is let in.
    Auto,
    /// Somebody decides about each who asks.
    Manual,
}

impl Gating {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Manual => "manual",
        }
    }
}

impl FromStr for Gating {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "manual" => Ok(Self::Manual),
            other => Err(format!("`{other}` is not one of auto, manual")),
        }
    }
}

/// How whoever came without a token is written down.
pub const ANYBODY: &str = "anybody";

/// Whoever asks. The default is somebody without a name, who has no role anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Viewer {
    /// The user; none came without a token.
    pub name: Option<String>,
    /// Roles by namespace in lower case, the user's own included.
    pub roles: BTreeMap<String, Role>,
    /// A role in every namespace.
    pub everywhere: Option<Role>,
}

impl Viewer {
    /// The program itself: its commands and its workers.
    pub fn house() -> Self {
        Self { everywhere: Some(Role::Admin), ..Self::default() }
    }

    /// Whether no model is hidden from this viewer.
    pub const fn sees_everything(&self) -> bool {
        self.everywhere.is_some()
    }

    /// The role in a namespace; bare names such as `gpt2` have none.
    pub fn role_in(&self, namespace: Option<&str>) -> Option<Role> {
        let own = namespace.and_then(|name| self.roles.get(&name.to_ascii_lowercase())).copied();
        own.max(self.everywhere)
    }

    /// Decides.
    ///
    /// # Errors
    /// Why not.
    pub fn may(&self, act: Act, thing: &Thing<'_>) -> Result<(), Refusal> {
        let role = self.role_in(thing.namespace);
        let owned = thing.private || thing.gated || thing.claimed;
        let enough = |least| role >= Some(least);
        match act {
            _ if thing.private && role.is_none() => Err(Refusal::Hidden),
            Act::See => Ok(()),
            Act::Read if !thing.gated || thing.granted || role.is_some() => Ok(()),
            Act::Read => Err(Refusal::Gated),
            Act::Write | Act::Govern if !owned => Ok(()),
            Act::Write if enough(Role::Write) => Ok(()),
            Act::Govern | Act::Close if enough(Role::Admin) => Ok(()),
            Act::Write | Act::Govern | Act::Close => Err(Refusal::NotYours),
        }
    }
}

/// What somebody wants to do with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Know that it is there, and what is said of it.
    See,
    /// Get at its files and weights.
    Read,
    /// Publish it, or to it.
    Write,
    /// Delete it, rename it, open it, decide about those who ask.
    Govern,
    /// Make it private or gated: only where somebody could still see it.
    Close,
}

impl Act {
    /// Whether something is different afterwards.
    pub const fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Govern | Self::Close)
    }
}

/// A model as far as access depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thing<'a> {
    pub namespace: Option<&'a str>,
    pub private: bool,
    pub gated: bool,
    /// Whether this viewer was let at its files.
    pub granted: bool,
    /// Whether the namespace is a user's or an organisation's that is known here.
    pub claimed: bool,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As if it were not there.
    Hidden,
    /// Its files are only for those who were let in.
    Gated,
    /// Only members of its namespace with a higher role may.
    NotYours,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTS: [Act; 5] = [Act::See, Act::Read, Act::Write, Act::Govern, Act::Close];

    fn member(role: Role) -> Viewer {
        Viewer { name: Some("a".into()), roles: [("org".to_owned(), role)].into(), everywhere: None }
    }

    fn of(thing: Thing<'static>, viewer: &Viewer) -> String {
        let letter = |act| match viewer.may(act, &thing) {
            Ok(()) => 'y',
            Err(Refusal::Hidden) => 'h',
            Err(Refusal::Gated) => 'g',
            Err(Refusal::NotYours) => 'n',
        };
        ACTS.map(letter).iter().collect()
    }

    #[test]
    fn every_kind_of_model_is_open_to_whom_it_should_be() {
        let open = Thing { namespace: Some("Org"), ..Thing::default() };
        let claimed = Thing { claimed: true, ..open };
        let gated = Thing { gated: true, ..open };
        let granted = Thing { granted: true, ..gated };
        let private = Thing { private: true, ..open };
        let viewers = [
            Viewer::default(),
            member(Role::Read),
            member(Role::Write),
            member(Role::Admin),
            Viewer::house(),
        ];

        let told = |thing| viewers.each_ref().map(|viewer| of(thing, viewer));

        assert_eq!(told(open), ["yyyyn", "yyyyn", "yyyyn", "yyyyy", "yyyyy"]);
        assert_eq!(told(claimed), ["yynnn", "yynnn", "yyynn", "yyyyy", "yyyyy"]);
        assert_eq!(told(gated), ["ygnnn", "yynnn", "yyynn", "yyyyy", "yyyyy"]);
        assert_eq!(told(granted)[0], "yynnn");
        assert_eq!(told(private), ["hhhhh", "yynnn", "yyynn", "yyyyy", "yyyyy"]);
    }

    #[test]
    fn a_role_counts_in_its_own_namespace_only() {
        let other = Thing { namespace: Some("other"), private: true, ..Thing::default() };
        let bare = Thing { namespace: None, ..other };

        assert_eq!([of(other, &member(Role::Admin)), of(bare, &member(Role::Admin))], ["hhhhh", "hhhhh"]);
        assert_eq!(of(bare, &Viewer::house()), "yyyyy");
    }
}
