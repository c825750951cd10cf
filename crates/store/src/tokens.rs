//! Personal access tokens: only their hashes are kept.

use std::str::FromStr;

use domain::Digest;
use sea_orm::{DatabaseTransaction, QueryResult};
use serde::Serialize;

use crate::{
    Error, Page, Result, Slice, Store,
    rows::{get, parsed},
    sql::{self, Params, wall_clock},
};

/// What a token lets its bearer do; a greater one lets them do what a lesser one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Read,
    /// Send the bytes of files that a later commit names: nothing else, though it may stand in an address.
    Upload,
    Write,
}

impl Scope {
    /// The stored word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Upload => "upload",
            Self::Write => "write",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = [Self::Read, Self::Upload, Self::Write];
        known.into_iter().find(|scope| scope.word() == word).ok_or_else(|| format!("`{word}` is no scope"))
    }
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenRow {
    pub id: i64,
    /// The user it speaks for.
    pub owner: String,
    pub label: String,
    pub scope: Scope,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds; none lasts until it is revoked.
    pub expires_at: Option<i64>,
    /// When the day began, by UTC, on which it was last used, in Unix seconds; none where no use is known.
    pub last_used_on: Option<i64>,
}

fn token(row: &QueryResult) -> Result<TokenRow> {
    Ok(TokenRow {
        id: get(row, "id")?,
        owner: get(row, "owner")?,
        label: get(row, "label")?,
        scope: parsed(row, "scope", "scope")?,
        created_at: get(row, "created_at")?,
        expires_at: get(row, "expires_at")?,
        last_used_on: get(row, "last_used_on")?,
    })
}

/// What the label of a browser's session begins with, before the number of the token that it stands for. No label that
/// somebody writes holds such a character.
const SESSION: &str = "\u{1f}session ";
/// The same of an upload's key.
pub(crate) const UPLOAD: &str = "\u{1f}upload ";
/// The labels of all that stand for a token.
const DERIVED: &str = "\u{1f}%";
/// Seconds a session lasts.
const SESSION_SECONDS: i64 = 30 * DAY;

/// The condition for a token that a user made.
fn own(owner: &str, params: &mut Params) -> String {
    format!(
        "lower(owner) = {} AND label NOT LIKE {}",
        params.add(sql::text(owner).to_ascii_lowercase()),
        params.add(DERIVED)
    )
}

fn number(cursor: &str) -> Result<i64> {
    cursor.parse().map_err(|_| Error::bad_cursor(cursor))
}

/// Keeps a token by the hash of its secret; refuses one that is kept already.
pub async fn insert(tx: &DatabaseTransaction, secret: &str, new: &TokenRow) -> Result<()> {
    write(tx, (secret, new), "").await
}

/// As [`insert`], but one that is kept already stays as it is.
pub(crate) async fn ensure(tx: &DatabaseTransaction, secret: &str, new: &TokenRow) -> Result<()> {
    write(tx, (secret, new), "ON CONFLICT (hash) DO NOTHING").await
}

async fn write(
    tx: &DatabaseTransaction,
    (secret, new): (&str, &TokenRow),
    conflict: &'static str,
) -> Result<()> {
    let row = vec![
        sql::text(&new.owner).into(),
        sql::text(&new.label).into(),
        Digest::of(secret.as_bytes()).hex().into(),
        new.scope.word().into(),
        wall_clock().into(),
        new.expires_at.into(),
    ];
    let columns = ["owner", "label", "hash", "scope", "created_at", "expires_at"];
    sql::insert(tx, ("tokens", &columns), vec![row], conflict).await?;
    Ok(())
}

const COLUMNS: &str = "id, owner, label, scope, created_at, expires_at, last_used_on";
/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

impl Store {
    /// Keeps a token by the hash of its secret.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_token(&self, secret: &str, new: &TokenRow) -> Result<()> {
        let tx = self.begin_write().await?;
        insert(&tx, secret, new).await?;
        Ok(tx.commit().await?)
    }

    /// Begins a browser's session, which `secret` is of: it is as good as `token` for 30 days, and as long as that one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn open_session(&self, secret: &str, token: &TokenRow) -> Result<()> {
        let end = wall_clock() + SESSION_SECONDS;
        let expires_at = Some(token.expires_at.map_or(end, |own| own.min(end)));
        let session = TokenRow { label: format!("{SESSION}{}", token.id), expires_at, ..token.clone() };
        self.end_tokens(|params| {
            let (old, now) = (params.add(format!("{SESSION}%")), params.add(wall_clock()));
            format!("label LIKE {old} AND expires_at < {now}")
        })
        .await?;
        self.add_token(secret, &session).await
    }

    /// Ends a browser's session; a token itself stays.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_session(&self, secret: &str) -> Result<()> {
        let hash = Digest::of(secret.as_bytes()).hex();
        let ended = self
            .end_tokens(|params| {
                let (hash, session) = (params.add(hash), params.add(format!("{SESSION}%")));
                format!("hash = {hash} AND label LIKE {session}")
            })
            .await;
        ended.map(drop)
    }

    /// Deletes the tokens of a condition; gives their number.
    async fn end_tokens(&self, which: impl FnOnce(&mut Params) -> String) -> Result<u64> {
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!("DELETE FROM tokens WHERE {}", which(&mut params));
        let ended = sql::run(&tx, &sql, params).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// The living token with this secret; for that of a browser's session, or the key of an upload, the token that it
    /// stands for, with no more than its own scope. The day is noted as that of its last use.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn token(&self, secret: &str) -> Result<Option<TokenRow>> {
        let hash = Digest::of(secret.as_bytes()).hex();
        let Some(found) = self.living(|params| format!("hash = {}", params.add(hash))).await? else {
            return Ok(None);
        };
        let number = [SESSION, UPLOAD].iter().find_map(|mark| found.label.strip_prefix(mark));
        let own = match number {
            None => Some(found),
            Some(number) => {
                let number: i64 = number.parse().map_err(|error| Error::stored("token", error))?;
                let own = self.living(|params| format!("id = {}", params.add(number))).await?;
                let own = own.filter(|own| own.owner == found.owner);
                own.map(|own| TokenRow { scope: own.scope.min(found.scope), ..own })
            }
        };
        if let Some(used) = &own {
            // Who may come in does not depend on whether that can be written down.
            let _ = self.note_use(used).await.inspect_err(|error| {
                tracing::warn!(%error, "the use of token {} is not noted: {error}", used.id);
            });
        }
        Ok(own)
    }

    /// Writes down that a token is used today; nothing where that is written already.
    async fn note_use(&self, used: &TokenRow) -> Result<()> {
        let now = wall_clock();
        let today = now - now.rem_euclid(DAY);
        if used.last_used_on.is_some_and(|day| day >= today) {
            return Ok(());
        }
        let mut params = Params::default();
        let sql = format!(
            "UPDATE tokens SET last_used_on = {} WHERE id = {}",
            params.add(today),
            params.add(used.id)
        );
        // One statement, which waits for no writer's turn.
        sql::run(self.db(), &sql, params).await.map(drop)
    }

    async fn living(&self, which: impl FnOnce(&mut Params) -> String) -> Result<Option<TokenRow>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT {COLUMNS} FROM tokens WHERE {} AND (expires_at IS NULL OR expires_at > {})",
            which(&mut params),
            params.add(wall_clock())
        );
        sql::one(self.db(), &sql, params).await?.as_ref().map(token).transpose()
    }

    /// One page of all tokens, expired ones too, oldest first, without the keys of uploads and browsers' sessions.
    ///
    /// # Errors
    /// [`Error::BadCursor`]; when the database cannot be read.
    pub async fn tokens(&self, (cursor, limit): Slice<'_>) -> Result<Page<TokenRow>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT {COLUMNS} FROM tokens WHERE label NOT LIKE {} AND id > {} ORDER BY id LIMIT {}",
            params.add(DERIVED),
            params.add(cursor.map_or(Ok(0), number)?),
            limit.saturating_add(1)
        );
        let rows = sql::all(self.db(), &sql, params).await?.iter().map(token).collect::<Result<_>>()?;
        Ok(Page::of(rows, limit, |row: &TokenRow| row.id.to_string()))
    }

    /// One page of a user's tokens, the latest first, without the keys of their uploads and their browsers' sessions.
    ///
    /// # Errors
    /// [`Error::BadCursor`]; when the database cannot be read.
    pub async fn tokens_of(&self, owner: &str, (cursor, limit): Slice<'_>) -> Result<Page<TokenRow>> {
        let mut params = Params::default();
        let own = own(owner, &mut params);
        let before = params.add(cursor.map_or(Ok(i64::MAX), number)?);
        let sql = format!(
            "SELECT {COLUMNS} FROM tokens WHERE {own} AND id < {before} ORDER BY id DESC LIMIT {}",
            limit.saturating_add(1)
        );
        let rows = sql::all(self.db(), &sql, params).await?.iter().map(token).collect::<Result<_>>()?;
        Ok(Page::of(rows, limit, |row: &TokenRow| row.id.to_string()))
    }

    /// Whether one of these tokens of a user has this number.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn owns_token(&self, owner: &str, id: i64) -> Result<bool> {
        let mut params = Params::default();
        let own = own(owner, &mut params);
        let sql = format!("SELECT id FROM tokens WHERE {own} AND id = {}", params.add(id));
        Ok(sql::one(self.db(), &sql, params).await?.is_some())
    }

    /// Ends a token with the sessions and keys that stand for it; `false` when there is none of that number.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn revoke_token(&self, id: i64) -> Result<bool> {
        let ended = self.end_tokens(|params| {
            let derived = params.list([SESSION, UPLOAD].map(|mark| format!("{mark}{id}")));
            format!("id = {} OR label IN {derived}", params.add(id))
        });
        Ok(ended.await? > 0)
    }
}
