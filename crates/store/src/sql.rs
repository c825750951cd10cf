//! Small helpers over raw statements: numbered parameters, value rows, the database's clock.

use std::fmt::Write as _;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, QueryResult, Statement, Value};

use crate::{Result, rows::get};

/// Collects parameters and hands out their `$n`.
#[derive(Default)]
pub struct Params(Vec<Value>);

impl Params {
    /// Adds a value; gives its placeholder.
    pub fn add(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }

    /// `($1, $2, …)` over many values of one type.
    pub fn list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> String {
        let marks: Vec<String> = values.into_iter().map(|value| self.add(value)).collect();
        format!("({})", marks.join(", "))
    }

    /// As [`Self::list`], in a statement whose parameters are all added this way and stand in the order in which they
    /// are added. SQLite numbers them itself then: it would look up every name among all others, so that the time of
    /// a statement with thousands of them grows with their square.
    pub fn in_order<V: Into<Value>>(
        &mut self,
        db: &impl ConnectionTrait,
        values: impl IntoIterator<Item = V>,
    ) -> String {
        if db.get_database_backend() != DbBackend::Sqlite {
            return self.list(values);
        }
        let before = self.0.len();
        self.0.extend(values.into_iter().map(Into::into));
        format!("({})", vec!["?"; self.0.len() - before].join(", "))
    }

    /// The finished statement.
    pub fn statement(self, backend: DbBackend, sql: impl Into<String>) -> Statement {
        Statement::from_sql_and_values(backend, sql, self.0)
    }
}

/// All rows of a query with parameters.
pub async fn all<C: ConnectionTrait>(db: &C, sql: &str, params: Params) -> Result<Vec<QueryResult>> {
    Ok(db.query_all_raw(params.statement(db.get_database_backend(), sql)).await?)
}

/// The first row of a query with parameters.
pub async fn one<C: ConnectionTrait>(db: &C, sql: &str, params: Params) -> Result<Option<QueryResult>> {
    Ok(db.query_one_raw(params.statement(db.get_database_backend(), sql)).await?)
}

/// Runs a statement; gives the number of rows it touched.
pub async fn run<C: ConnectionTrait>(db: &C, sql: &str, params: Params) -> Result<u64> {
    Ok(db.execute_raw(params.statement(db.get_database_backend(), sql)).await?.rows_affected())
}

/// Parameters one statement may carry; SQLite stops at 32,766.
const MOST_PARAMETERS: usize = 16_000;

/// Keys one `IN (…)` may list.
pub const MOST_KEYS: usize = 1_000;

/// What `read` makes of the rows that `sql` finds by keys, however many these are; `sql` is given the list of some of them and has
/// no other parameters.
pub async fn by_keys<C, K, T>(
    db: &C,
    keys: &[K],
    sql: impl Fn(&str) -> String,
    mut read: impl FnMut(&QueryResult) -> Result<T>,
) -> Result<Vec<T>>
where
    C: ConnectionTrait,
    K: Clone + Into<Value>,
{
    let mut found = Vec::with_capacity(keys.len());
    for keys in keys.chunks(MOST_KEYS) {
        let mut params = Params::default();
        let sql = sql(&params.in_order(db, keys.iter().cloned()));
        for row in all(db, &sql, params).await? {
            found.push(read(&row)?);
        }
    }
    Ok(found)
}

/// Inserts `rows` with as few statements as the parameter limit allows. `tail` is the conflict clause.
pub async fn insert(
    tx: &DatabaseTransaction,
    (table, columns): (&str, &[&str]),
    rows: Vec<Vec<Value>>,
    tail: &str,
) -> Result<()> {
    let per_statement = (MOST_PARAMETERS / columns.len()).max(1);
    let mut rows = rows.into_iter();
    let mut next = || {
        let part: Vec<Vec<Value>> = rows.by_ref().take(per_statement).collect();
        let count = part.len();
        (count, Params(part.into_iter().flatten().collect()))
    };
    let (mut count, mut params) = next();
    let (mut written, mut sql) = (0, String::new());
    while count > 0 {
        if written != count {
            sql = format!("INSERT INTO {table} ({}) VALUES ", columns.join(", "));
            marks(&mut sql, tx.get_database_backend(), (count, columns.len()));
            let _ = write!(sql, " {tail}");
            written = count;
        }
        // The values of the next statement are put together while this one runs.
        let (done, following) = futures::join!(run(tx, &sql, params), async { next() });
        done?;
        (count, params) = following;
    }
    Ok(())
}

/// Placeholders of rows of values; see [`Params::in_order`].
fn marks(sql: &mut String, backend: DbBackend, (rows, columns): (usize, usize)) {
    for at in 0..rows * columns {
        sql.push_str(match (at % columns, at) {
            (0, 0) => "(",
            (0, _) => "), (",
            _ => ", ",
        });
        match backend {
            DbBackend::Sqlite => sql.push('?'),
            _ => {
                let _ = write!(sql, "${}", at + 1);
            }
        }
    }
    sql.push(')');
}

/// Numbers for new rows of a table, ascending; the caller holds the writers' lock.
pub async fn numbers(tx: &DatabaseTransaction, table: &str, count: usize) -> Result<Vec<i64>> {
    if tx.get_database_backend() == DbBackend::Postgres {
        let mut params = Params::default();
        let sql = format!(
            "SELECT nextval('{table}_id_seq') AS id FROM generate_series(1, {})",
            params.add(i64::try_from(count).unwrap_or(i64::MAX))
        );
        return all(tx, &sql, params).await?.iter().map(|row| get(row, "id")).collect();
    }
    let sql = format!("SELECT seq FROM sqlite_sequence WHERE name = '{table}'");
    let row = one(tx, &sql, Params::default()).await?;
    let last: i64 = row.as_ref().map_or(Ok(0), |row| get(row, "seq"))?;
    Ok((last + 1..).take(count).collect())
}

/// The database's clock in unix seconds; leases never depend on a worker's own clock.
pub fn now(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp())) AS BIGINT)",
        _ => "CAST(strftime('%s', 'now') AS INTEGER)",
    }
}

/// A count or a span as a parameter; one beyond what a column holds counts as the most that it does.
pub fn capped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// This machine's clock in unix seconds, for times that are only shown.
pub fn wall_clock() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

/// Text as both databases accept it: PostgreSQL has no NUL in text.
pub fn text(value: &str) -> String {
    if value.contains('\0') { value.replace('\0', "") } else { value.to_owned() }
}

/// As [`text`], for optional columns.
pub fn maybe_text(value: Option<&String>) -> Value {
    value.map(|value| text(value)).into()
}

/// A pattern for `LIKE … ESCAPE '\'` that finds `needle` literally anywhere.
pub fn contains_pattern(needle: &str) -> String {
    let mut pattern = String::with_capacity(needle.len() + 2);
    pattern.push('%');
    for c in needle.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::contains_pattern;

    #[test]
    fn wildcards_in_a_search_text_are_literal() {
        assert_eq!(contains_pattern(r"a_b%c\"), r"%a\_b\%c\\%");
    }
}
