//! Users, organisations and their members.

use std::str::FromStr;

use domain::Role;
use sea_orm::{DatabaseTransaction, QueryResult};
use serde::Serialize;

use crate::{
    Error, Page, Result, Slice, Store,
    connect::bump,
    jobs::cancelling,
    pins,
    rows::{get, parsed},
    sql::{self, Params, wall_clock},
    tokens::{self, TokenRow},
};

/// Whose a namespace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    User,
    Org,
}

impl AccountKind {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Org => "org",
        }
    }
}

impl FromStr for AccountKind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = [Self::User, Self::Org].into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| format!("`{word}` is no kind of account"))
    }
}

/// A user or an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountRow {
    pub name: String,
    pub kind: AccountKind,
    /// Whether the user has every role everywhere.
    pub admin: bool,
    /// Unix seconds.
    pub created_at: i64,
}

/// A member of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberRow {
    pub org: String,
    /// The user, in lower case.
    pub person: String,
    pub role: Role,
}

fn kind(row: &QueryResult) -> Result<AccountKind> {
    parsed(row, "kind", "kind of account")
}

fn account(row: &QueryResult) -> Result<AccountRow> {
    Ok(AccountRow {
        name: get(row, "name")?,
        kind: kind(row)?,
        admin: get(row, "admin")?,
        created_at: get(row, "created_at")?,
    })
}

fn member(row: &QueryResult) -> Result<MemberRow> {
    Ok(MemberRow { org: get(row, "org")?, person: get(row, "person")?, role: parsed(row, "role", "role")? })
}

const MEMBERS: &str = "SELECT accounts.name AS org, members.person AS person, members.role AS role
    FROM members JOIN accounts ON accounts.key = members.org";

impl Store {
    /// Adds a user or an organisation; its namespace is theirs from now on.
    ///
    /// # Errors
    /// [`Error::NameTaken`] when an account, or for an organisation the owner of a token, is called so.
    pub async fn add_account(&self, new: &AccountRow) -> Result<()> {
        let tx = self.begin_write().await?;
        insert(&tx, new).await?;
        Ok(tx.commit().await?)
    }

    /// Adds a user together with a token, kept by the hash of its secret.
    ///
    /// # Errors
    /// As [`Self::add_account`]; then neither is there.
    pub async fn add_user(&self, new: &AccountRow, (secret, token): (&str, &TokenRow)) -> Result<()> {
        let tx = self.begin_write().await?;
        insert(&tx, new).await?;
        tokens::insert(&tx, secret, token).await?;
        Ok(tx.commit().await?)
    }

    /// The account of this name, in any case.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn account(&self, name: &str) -> Result<Option<AccountRow>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT name, kind, admin, created_at FROM accounts WHERE key = {}",
            params.add(sql::text(name).to_ascii_lowercase())
        );
        sql::one(self.db(), &sql, params).await?.as_ref().map(account).transpose()
    }

    /// One page of the users, of the organisations, or of both, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn accounts(&self, only: Option<AccountKind>, part: Slice<'_>) -> Result<Page<AccountRow>> {
        let mut params = Params::default();
        let mut sql = "SELECT name, kind, admin, created_at FROM accounts WHERE TRUE".to_owned();
        if let Some(kind) = only {
            sql.push_str(&format!(" AND kind = {}", params.add(kind.as_str())));
        }
        let rows = self.part_of((sql, params), "key", part).await?;
        let rows = rows.iter().map(account).collect::<Result<_>>()?;
        Ok(Page::of(rows, part.1, |row: &AccountRow| row.name.to_ascii_lowercase()))
    }

    /// Removes an account with its memberships, tokens and grants: who comes by the same name later is somebody else.
    /// Models stay, and jobs and searches as nobody's; those that have not ended are cancelled. `false` when there is none.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn remove_account(&self, name: &str) -> Result<bool> {
        let tx = self.begin_write().await?;
        let key = sql::text(name).to_ascii_lowercase();
        let now = sql::now(self.backend());
        let mut removed = 0;
        for sql in [
            "DELETE FROM members WHERE org = $1 OR person = $1",
            "DELETE FROM grants WHERE person = $1",
            "DELETE FROM tokens WHERE lower(owner) = $1",
            // The rights of a job are its owner's: one without an owner must not run with those of the program.
            &format!("{} AND owner = $1", cancelling(self.backend())),
            "UPDATE jobs SET owner = NULL WHERE owner = $1",
            &format!(
                "UPDATE searches SET state = 'cancelled', finished_at = {now}, reason = 'the account was removed'
                 WHERE owner = $1 AND state = 'running'"
            ),
            "UPDATE searches SET owner = NULL WHERE owner = $1",
            "DELETE FROM accounts WHERE key = $1",
        ] {
            let mut params = Params::default();
            params.add(key.as_str());
            removed = sql::run(&tx, sql, params).await?;
        }
        pins::disown(&tx, &key).await?;
        bump(&tx, &[]).await?;
        tx.commit().await?;
        Ok(removed > 0)
    }

    /// Makes a user a member of an organisation, or gives a member another role.
    ///
    /// # Errors
    /// [`Error::NoOrg`]; when the database refuses.
    pub async fn set_member(&self, new: &MemberRow) -> Result<()> {
        let tx = self.begin_write().await?;
        let org = new.org.to_ascii_lowercase();
        if of_name(&tx, &org).await? != Some(AccountKind::Org) {
            return Err(Error::NoOrg(new.org.clone()));
        }
        let row = vec![org.into(), new.person.to_ascii_lowercase().into(), new.role.as_str().into()];
        let tail = "ON CONFLICT (org, person) DO UPDATE SET role = excluded.role";
        sql::insert(&tx, ("members", &["org", "person", "role"]), vec![row], tail).await?;
        bump(&tx, &[]).await?;
        Ok(tx.commit().await?)
    }

    /// Takes a member out of an organisation; `false` when they are none.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn remove_member(&self, org: &str, person: &str) -> Result<bool> {
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!(
            "DELETE FROM members WHERE org = {} AND person = {}",
            params.add(sql::text(org).to_ascii_lowercase()),
            params.add(sql::text(person).to_ascii_lowercase())
        );
        let removed = sql::run(&tx, &sql, params).await?;
        bump(&tx, &[]).await?;
        tx.commit().await?;
        Ok(removed > 0)
    }

    /// One page of the members of an organisation, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn members_of(&self, org: &str, part: Slice<'_>) -> Result<Page<MemberRow>> {
        let mut params = Params::default();
        let key = params.add(sql::text(org).to_ascii_lowercase());
        let sql = format!("{MEMBERS} WHERE members.org = {key}");
        let rows = self.part_of((sql, params), "members.person", part).await?;
        let rows = rows.iter().map(member).collect::<Result<_>>()?;
        Ok(Page::of(rows, part.1, |row: &MemberRow| row.person.clone()))
    }

    /// One page of a user's memberships, by organisation.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn memberships(&self, person: &str, part: Slice<'_>) -> Result<Page<MemberRow>> {
        let mut params = Params::default();
        let key = params.add(sql::text(person).to_ascii_lowercase());
        let sql = format!("{MEMBERS} WHERE members.person = {key}");
        let rows = self.part_of((sql, params), "members.org", part).await?;
        let rows = rows.iter().map(member).collect::<Result<_>>()?;
        Ok(Page::of(rows, part.1, |row: &MemberRow| row.org.to_ascii_lowercase()))
    }
}

async fn insert(tx: &DatabaseTransaction, new: &AccountRow) -> Result<()> {
    let key = new.name.to_ascii_lowercase();
    if of_name(tx, &key).await?.is_some() || (new.kind == AccountKind::Org && has_tokens(tx, &key).await?) {
        return Err(Error::NameTaken(new.name.clone()));
    }
    let row = vec![
        key.into(),
        new.name.as_str().into(),
        new.kind.as_str().into(),
        new.admin.into(),
        wall_clock().into(),
    ];
    sql::insert(tx, ("accounts", &["key", "name", "kind", "admin", "created_at"]), vec![row], "").await?;
    Ok(())
}

/// What an account in lower case is.
pub async fn of_name(tx: &DatabaseTransaction, key: &str) -> Result<Option<AccountKind>> {
    let mut params = Params::default();
    let sql = format!("SELECT kind FROM accounts WHERE key = {}", params.add(key));
    sql::one(tx, &sql, params).await?.as_ref().map(kind).transpose()
}

async fn has_tokens(tx: &DatabaseTransaction, key: &str) -> Result<bool> {
    let mut params = Params::default();
    let sql = format!("SELECT id FROM tokens WHERE lower(owner) = {}", params.add(key));
    Ok(sql::one(tx, &sql, params).await?.is_some())
}
