//! Lists page by page: what part is asked for, and where the next one begins.

use sea_orm::QueryResult;
use serde::Serialize;

use crate::{
    Result, Store,
    sql::{self, Params},
};

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Cursor of the next page; none on the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The first `limit` of rows that were read one beyond it.
    pub(crate) fn of(mut items: Vec<T>, limit: u64, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() as u64 > limit;
        items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }

    /// The same with other items.
    pub fn map<U>(self, to: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(to).collect(), next: self.next }
    }
}

/// Which part of a list: after the cursor of the page before, and how many at most.
pub type Slice<'a> = (Option<&'a str>, u64);

impl Store {
    /// The rows of a question after a cursor in `column`, by which they are sorted, one beyond the limit where there are
    /// more.
    pub(crate) async fn part_of(
        &self,
        (mut sql, mut params): (String, Params),
        column: &str,
        (after, limit): Slice<'_>,
    ) -> Result<Vec<QueryResult>> {
        if let Some(after) = after {
            sql.push_str(&format!(" AND {column} > {}", params.add(sql::text(after))));
        }
        sql.push_str(&format!(" ORDER BY {column} LIMIT {}", limit.saturating_add(1)));
        sql::all(self.db(), &sql, params).await
    }
}
