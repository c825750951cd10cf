//! Authors of the Hub whose new and changed models are brought in.

use sea_orm::QueryResult;
use serde::Serialize;

use crate::{
    Page, Result, Slice, Store,
    rows::{get, unsigned},
    sql::{self, Params, wall_clock},
};

/// An author who is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WatchRow {
    pub author: String,
    /// How much of a model is brought in, in the words of the import.
    pub take: String,
    /// Generations of declared parents that come with it.
    pub parents: u64,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds; none before the first look.
    pub checked_at: Option<i64>,
}

fn watch(row: &QueryResult) -> Result<WatchRow> {
    Ok(WatchRow {
        author: get(row, "author")?,
        take: get(row, "take")?,
        parents: unsigned(row, "parents")?,
        created_at: get(row, "created_at")?,
        checked_at: get(row, "checked_at")?,
    })
}

const COLUMNS: &str = "author, take, parents, created_at, checked_at";

impl Store {
    /// Watches an author, or changes what is brought in; the next look is due at once.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_watch(&self, new: &WatchRow) -> Result<()> {
        let tx = self.begin_write().await?;
        let row = vec![
            sql::text(&new.author).to_ascii_lowercase().into(),
            sql::text(&new.author).into(),
            new.take.as_str().into(),
            sql::capped(new.parents).into(),
            wall_clock().into(),
        ];
        let tail = "ON CONFLICT (key) DO UPDATE SET take = excluded.take, parents = excluded.parents,
                    checked_at = NULL";
        let columns = ["key", "author", "take", "parents", "created_at"];
        sql::insert(&tx, ("watches", &columns), vec![row], tail).await?;
        Ok(tx.commit().await?)
    }

    /// Stops watching an author; `false` when nobody did.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn remove_watch(&self, author: &str) -> Result<bool> {
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!("DELETE FROM watches WHERE key = {}", params.add(key(author)));
        let removed = sql::run(&tx, &sql, params).await?;
        tx.commit().await?;
        Ok(removed > 0)
    }

    /// The watch on an author.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn watch_of(&self, author: &str) -> Result<Option<WatchRow>> {
        let mut params = Params::default();
        let sql = format!("SELECT {COLUMNS} FROM watches WHERE key = {}", params.add(key(author)));
        sql::one(self.db(), &sql, params).await?.as_ref().map(watch).transpose()
    }

    /// One page of those who are watched, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn watches(&self, part: Slice<'_>) -> Result<Page<WatchRow>> {
        let sql = format!("SELECT {COLUMNS} FROM watches WHERE TRUE");
        let rows = self.part_of((sql, Params::default()), "key", part).await?;
        let rows = rows.iter().map(watch).collect::<Result<_>>()?;
        Ok(Page::of(rows, part.1, |row: &WatchRow| key(&row.author)))
    }

    /// The authors who were not looked at for `every` seconds, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn due_watches(&self, every: i64) -> Result<Vec<WatchRow>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT {COLUMNS} FROM watches WHERE checked_at IS NULL OR checked_at <= {} - {} ORDER BY key",
            sql::now(self.backend()),
            params.add(every)
        );
        sql::all(self.db(), &sql, params).await?.iter().map(watch).collect()
    }

    /// Counts an author as looked at from now on; `false` where another worker did, or another look was asked for, since
    /// `due` was read.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn take_watch(&self, due: &WatchRow) -> Result<bool> {
        let mut params = Params::default();
        let sql = format!(
            "UPDATE watches SET checked_at = {} WHERE key = {} AND COALESCE(checked_at, -1) = {}",
            sql::now(self.backend()),
            params.add(key(&due.author)),
            params.add(due.checked_at.unwrap_or(-1))
        );
        Ok(sql::run(self.db(), &sql, params).await? > 0)
    }

    /// Makes an author due again, whose look could not be asked for.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn give_watch_back(&self, due: &WatchRow) -> Result<()> {
        let mut params = Params::default();
        let sql = format!(
            "UPDATE watches SET checked_at = {} WHERE key = {}",
            params.add(due.checked_at),
            params.add(key(&due.author))
        );
        sql::run(self.db(), &sql, params).await.map(drop)
    }
}

fn key(author: &str) -> String {
    sql::text(author).to_ascii_lowercase()
}
