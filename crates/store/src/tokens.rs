//! Personal access tokens: only their hashes are kept.

use domain::Digest;
use sea_orm::QueryResult;
use serde::Serialize;
use ulid::Ulid;

use crate::{
    Error, Result, Store,
    rows::get,
    sql::{self, Params, wall_clock},
};

/// What a token lets its bearer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Read,
    Write,
}

impl Scope {
    /// The stored word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
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
    let scope: String = get(row, "scope")?;
    Ok(TokenRow {
        id: get(row, "id")?,
        owner: get(row, "owner")?,
        label: get(row, "label")?,
        scope: if scope == "write" { Scope::Write } else { Scope::Read },
        created_at: get(row, "created_at")?,
        expires_at: get(row, "expires_at")?,
        last_used_on: get(row, "last_used_on")?,
    })
}

/// The label of an upload's key.
const UPLOAD: &str = "upload";
/// What the label of a browser's session begins with, before the number of the token that it stands for. No label that
/// somebody writes holds such a character.
const SESSION: &str = "\u{1f}session ";
/// Seconds a session lasts.
const SESSION_SECONDS: i64 = 30 * DAY;

const COLUMNS: &str = "id, owner, label, scope, created_at, expires_at, last_used_on";
/// Seconds of a day.
const DAY: i64 = 86_400;

impl Store {
    /// Keeps a token by the hash of its secret.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_token(&self, secret: &str, new: &TokenRow) -> Result<()> {
        let tx = self.begin_write().await?;
        let row = vec![
            sql::text(&new.owner).into(),
            sql::text(&new.label).into(),
            Digest::of(secret.as_bytes()).hex().into(),
            new.scope.word().into(),
            wall_clock().into(),
            new.expires_at.into(),
        ];
        let columns = ["owner", "label", "hash", "scope", "created_at", "expires_at"];
        sql::insert(&tx, "tokens", &columns, vec![row], "").await?;
        Ok(tx.commit().await?)
    }

    /// A key that lets one client upload for a day, for addresses that are asked without its token.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn upload_key(&self, owner: &str) -> Result<String> {
        // 160 random bits.
        let key = format!("{}{}", Ulid::generate(), Ulid::generate());
        let end = wall_clock() + DAY;
        let new = TokenRow {
            id: 0,
            owner: owner.to_owned(),
            label: UPLOAD.to_owned(),
            scope: Scope::Write,
            created_at: 0,
            expires_at: Some(end),
            last_used_on: None,
        };
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!(
            "DELETE FROM tokens WHERE label = {} AND expires_at < {}",
            params.add(UPLOAD),
            params.add(wall_clock())
        );
        sql::run(&tx, &sql, params).await?;
        tx.commit().await?;
        self.add_token(&key, &new).await?;
        Ok(key)
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

    /// The living token with this secret, also that of a browser's session; the day is noted as that of its last use.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn token(&self, secret: &str) -> Result<Option<TokenRow>> {
        let hash = Digest::of(secret.as_bytes()).hex();
        let Some(found) = self.living(|params| format!("hash = {}", params.add(hash))).await? else {
            return Ok(None);
        };
        let own = match found.label.strip_prefix(SESSION) {
            None => Some(found),
            Some(number) => {
                let number: i64 = number.parse().map_err(|error| Error::stored("session", error))?;
                let own = self.living(|params| format!("id = {}", params.add(number))).await?;
                own.filter(|own| own.owner == found.owner)
            }
        };
        if let Some(used) = own.as_ref().filter(|own| own.label != UPLOAD) {
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
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!(
            "UPDATE tokens SET last_used_on = {} WHERE id = {}",
            params.add(today),
            params.add(used.id)
        );
        sql::run(&tx, &sql, params).await?;
        Ok(tx.commit().await?)
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

    /// Every token, expired ones too, oldest first, without browsers' sessions.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>> {
        let mut params = Params::default();
        let session = params.add(format!("{SESSION}%"));
        let sql = format!("SELECT {COLUMNS} FROM tokens WHERE label NOT LIKE {session} ORDER BY id");
        sql::all(self.db(), &sql, params).await?.iter().map(token).collect()
    }

    /// A user's tokens, the latest first, without the keys of their uploads and their browsers' sessions.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tokens_of(&self, owner: &str) -> Result<Vec<TokenRow>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT {COLUMNS} FROM tokens WHERE lower(owner) = {} AND label <> {} AND label NOT LIKE {}
             ORDER BY id DESC",
            params.add(sql::text(owner).to_ascii_lowercase()),
            params.add(UPLOAD),
            params.add(format!("{SESSION}%"))
        );
        sql::all(self.db(), &sql, params).await?.iter().map(token).collect()
    }

    /// Ends a token and the sessions that stand for it; `false` when there is none of that number.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn revoke_token(&self, id: i64) -> Result<bool> {
        let ended = self.end_tokens(|params| {
            let (id, sessions) = (params.add(id), params.add(format!("{SESSION}{id}")));
            format!("id = {id} OR label = {sessions}")
        });
        Ok(ended.await? > 0)
    }
}
