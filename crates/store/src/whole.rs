//! Whole tables read at once: many rows come as one JSON text, as each row on its own costs the driver more than its
//! columns do.

use futures::{Stream, StreamExt as _, stream};
use sea_orm::DbBackend;
use serde::de::{Deserialize as _, DeserializeOwned, Deserializer};

use crate::{
    Error, Result, Store,
    rows::get,
    sql::{self, Params},
    trouble::Trouble,
};

/// Numbers of one part.
const PART: i64 = 4_000;
/// Parts that are read side by side.
const ABREAST: usize = 3;

/// What to read of a table.
#[derive(Clone, Copy)]
pub struct Whole {
    pub table: &'static str,
    /// The number that the parts are ranges of.
    pub key: &'static str,
    pub columns: &'static str,
    /// The condition of a row to be read.
    pub only: &'static str,
}

impl Store {
    /// The largest number in a table.
    pub(crate) async fn last(&self, table: &str) -> Result<i64> {
        let sql = format!("SELECT COALESCE(MAX(id), 0) AS last FROM {table}");
        let row = sql::one(self.db(), &sql, Params::default()).await?;
        row.as_ref().map_or(Ok(0), |row| get(row, "last"))
    }

    /// Ranges of numbers up to `last`, read by `read` some at a time, in their order.
    pub(crate) fn in_parts<'a, T, F>(
        &'a self,
        last: i64,
        read: impl Fn(&'a Self, (i64, i64)) -> F + 'a,
    ) -> impl Stream<Item = Result<T>> + 'a
    where
        F: Future<Output = Result<T>> + 'a,
    {
        let ranges = (0..=last / PART).map(|part| (part * PART, (part + 1) * PART));
        stream::iter(ranges).map(move |range| read(self, range)).buffered(ABREAST)
    }

    /// The rows with a number above the first and up to the second of `range`.
    pub(crate) async fn part<R: DeserializeOwned + Send + 'static>(
        &self,
        of: Whole,
        range: (i64, i64),
    ) -> Result<Vec<R>> {
        let (mut rows, mut open) = (Vec::new(), vec![range]);
        while let Some((after, to)) = open.pop() {
            match self.part_text(of, (after, to)).await {
                Ok(text) => {
                    let read = move || serde_json::from_str(&text);
                    let part: Vec<R> = tokio::task::spawn_blocking(read)
                        .await
                        .map_err(|error| Error::stored("table", error))?
                        .map_err(|error| Error::stored("row", error))?;
                    rows.extend(part);
                }
                Err(error) if to - after > 1 && too_long(&error) => {
                    let middle = after + (to - after) / 2;
                    open.extend([(middle, to), (after, middle)]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }

    async fn part_text(&self, of: Whole, (after, to): (i64, i64)) -> Result<String> {
        let Whole { table, key, columns, only } = of;
        let rows = match self.backend() {
            DbBackend::Postgres => format!("COALESCE(json_agg(json_build_array({columns}))::text, '[]')"),
            _ => format!("json_group_array(json_array({columns}))"),
        };
        let mut params = Params::default();
        let (after, to) = (params.add(after), params.add(to));
        let sql =
            format!("SELECT {rows} AS part FROM {table} WHERE {key} > {after} AND {key} <= {to} AND {only}");
        let row = sql::one(self.db(), &sql, params).await?;
        row.as_ref().map_or_else(|| Ok("[]".to_owned()), |row| get(row, "part"))
    }
}

/// Whether the rows are more than one text holds: it ends at a billion bytes.
fn too_long(error: &Error) -> bool {
    matches!(error, Error::Database(error) if Trouble::of(error) == Trouble::TooLong)
}

/// A truth value: a number in SQLite, a word in PostgreSQL.
pub fn truth<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<bool, D::Error> {
    Ok(match serde_json::Value::deserialize(from)? {
        serde_json::Value::Bool(truth) => truth,
        number => number.as_i64() == Some(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_text_over_what_the_database_holds_is_read_in_smaller_parts() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open("sqlite::memory:", folder.path().to_str().unwrap()).await.unwrap();
        store.migrate().await.unwrap();
        let refused =
            async |sql: &str| -> Error { sql::one(store.db(), sql, Params::default()).await.err().unwrap() };

        assert!(too_long(&refused("SELECT zeroblob(2000000000) AS part").await));
        assert!(!too_long(&refused("SELECT part FROM nowhere").await));
        assert!(!too_long(&Error::Silent { part: "the database", seconds: 1 }));
    }
}
