//! Arguments of what concerns people: tokens, users, organisations, and who may do what with a model.

use clap::{Args, Subcommand, ValueEnum};
use domain::{Gating, Role};
use store::GrantState;

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make one and print it; it cannot be shown again.
    Create {
        /// Who it speaks for.
        user: String,
        /// What people recognise it by.
        #[arg(long)]
        label: Option<String>,
        /// Let it read only.
        #[arg(long)]
        read_only: bool,
        /// Days until it ends [default: never].
        #[arg(long)]
        days: Option<u32>,
    },
    /// All of them, without their secrets.
    List,
    /// End one by its number.
    Revoke {
        /// Its number in `stemma token list`.
        id: i64,
    },
}

/// What to do with users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add one, whose namespace is theirs from now on, and print their first token; it cannot be shown again.
    Add {
        /// What they are called, which is their namespace too.
        name: String,
        /// Let them do everything everywhere.
        #[arg(long)]
        admin: bool,
    },
    /// Users and organisations.
    List,
    /// Take one away with their tokens; their models stay.
    Remove {
        /// The user.
        name: String,
    },
}

/// What to do with organisations.
#[derive(Debug, Subcommand)]
pub enum OrgCommand {
    /// Create one; its namespace is its members' from now on.
    Create {
        /// What it is called, which is its namespace too.
        name: String,
    },
    /// Its members.
    Member {
        #[command(subcommand)]
        command: MemberCommand,
    },
    /// Take the organisation away; its models stay.
    #[command(alias = "delete")]
    Remove {
        /// The organisation.
        name: String,
        /// Who is taken out instead, as `org member remove` does.
        #[arg(hide = true)]
        member: Option<String>,
    },
    /// As `org member list`.
    #[command(hide = true)]
    Members {
        /// The organisation.
        org: String,
    },
    /// As `org member add`.
    #[command(hide = true)]
    Add(MemberArgs),
}

/// What to do with an organisation's members.
#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// Add one, or give one another role.
    Add(MemberArgs),
    /// All of them and their roles.
    List {
        /// The organisation.
        org: String,
    },
    /// Take one out.
    Remove {
        /// The organisation.
        org: String,
        /// The member.
        user: String,
    },
}

/// Who becomes a member.
#[derive(Debug, Args)]
pub struct MemberArgs {
    /// The organisation.
    pub org: String,
    /// Who becomes a member, added by `stemma user add` or known by a token.
    pub user: String,
    /// read: see private models and read gated ones; write: publish too; admin: delete, hide and gate too.
    #[arg(long, default_value_t = Role::Read)]
    pub role: Role,
}

/// How a model lets people at its files.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Gate {
    /// Everybody who sees it.
    Open,
    /// Whoever asks with a token.
    Auto,
    /// Whoever was granted it.
    Manual,
}

impl Gate {
    /// As it is stored.
    pub const fn gating(self) -> Option<Gating> {
        match self {
            Self::Open => None,
            Self::Auto => Some(Gating::Auto),
            Self::Manual => Some(Gating::Manual),
        }
    }
}

/// What to do about access to models.
#[derive(Debug, Subcommand)]
pub enum AccessCommand {
    /// Open or close a model.
    Set {
        /// The model, org/name.
        id: String,
        /// Only members of its namespace see it.
        #[arg(long, conflicts_with = "public")]
        private: bool,
        /// Everybody sees it.
        #[arg(long)]
        public: bool,
        /// Who gets at its files.
        #[arg(long, value_enum)]
        gate: Option<Gate>,
    },
    /// Who asked for the files of a gated model.
    List {
        /// The model, org/name.
        id: String,
        /// pending, accepted or rejected.
        #[arg(long, default_value = "pending", value_parser = state)]
        state: GrantState,
    },
    /// Let a user at the files of a gated model.
    Grant {
        /// The model, org/name.
        id: String,
        /// Who is let in.
        user: String,
    },
    /// Take that back.
    Revoke {
        /// The model, org/name.
        id: String,
        /// Who is not let in any more.
        user: String,
    },
}

/// What to do with watches.
#[derive(Debug, Subcommand)]
pub enum WatchCommand {
    /// Watch a user or an organisation of the configured Hub.
    Add {
        /// Their name on the Hub.
        author: String,
        /// none: what the card and the Hub say; headers: shapes too; full: all files.
        #[arg(long, default_value = "full")]
        weights: jobs::Take,
        /// Generations of declared parents to bring in too, as far as they are not here.
        #[arg(long, default_value_t = 0)]
        parents: u32,
    },
    /// Everybody who is watched.
    List,
    /// Stop; what was brought in stays.
    Remove {
        /// Their name on the Hub.
        author: String,
    },
}

fn state(text: &str) -> Result<GrantState, String> {
    GrantState::of(text).ok_or_else(|| format!("`{text}` is not one of pending, accepted, rejected"))
}
