//! Reading columns back into the shared words.

use std::str::FromStr;

use domain::Digest;
use sea_orm::{QueryResult, TryGetable};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result};

/// One column.
pub fn get<T: TryGetable>(row: &QueryResult, column: &str) -> Result<T> {
    Ok(row.try_get("", column)?)
}

/// A count or length; never negative in the schema.
pub fn unsigned(row: &QueryResult, column: &str) -> Result<u64> {
    u64::try_from(get::<i64>(row, column)?).map_err(|error| Error::stored("length", error))
}

/// A word with a parser.
pub fn parsed<T: FromStr>(row: &QueryResult, column: &str, what: &'static str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    get::<String>(row, column)?.parse().map_err(|error| Error::stored(what, error))
}

/// A word with a parser, of a column that may be empty.
pub fn maybe_parsed<T: FromStr>(row: &QueryResult, column: &str, what: &'static str) -> Result<Option<T>>
where
    T::Err: std::fmt::Display,
{
    let text: Option<String> = get(row, column)?;
    text.map(|text| text.parse().map_err(|error| Error::stored(what, error))).transpose()
}

/// An optional digest.
pub fn maybe_digest(row: &QueryResult, column: &str) -> Result<Option<Digest>> {
    maybe_parsed(row, column, "digest")
}

/// A JSON column.
pub fn json<T: DeserializeOwned>(row: &QueryResult, column: &str) -> Result<T> {
    serde_json::from_str(&get::<String>(row, column)?).map_err(|error| Error::stored("JSON document", error))
}

/// A JSON column that may be empty.
pub fn maybe_json<T: DeserializeOwned>(row: &QueryResult, column: &str) -> Result<Option<T>> {
    let text: Option<String> = get(row, column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| Error::stored("JSON document", error)))
        .transpose()
}

/// A value as a JSON column.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::stored("JSON document", error))
}

/// A length as a column.
pub fn signed(value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|error| Error::stored("length", error))
}
