//! A query string, read as its type; a refusal names the parameter that is at fault.

use std::{
    future::{Ready, ready},
    ops::Deref,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use http::{Problem, Result};
use serde::de::DeserializeOwned;

/// The parameters of an address.
pub struct Query<T>(T);

impl<T> Query<T> {
    /// The parameters themselves.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request.query_string()).map(Self))
    }
}

/// The parameters in a query string.
///
/// # Errors
/// 400 naming the parameter that cannot be read.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    let fault = |text: &str| {
        web::Query::<T>::from_query(text).map(web::Query::into_inner).map_err(|error| error.to_string())
    };
    let told = match fault(text) {
        Ok(parameters) => return Ok(parameters),
        Err(told) => told.trim_start_matches("Query deserialize error: ").to_owned(),
    };
    // The parameter without which something else is said is the one that this is said of.
    let pairs: Vec<&str> = text.split('&').collect();
    let without = |at: usize| [&pairs[..at], &pairs[at + 1..]].concat().join("&");
    let guilty =
        (0..pairs.len()).find(|at| fault(&without(*at)).err().is_none_or(|other| !other.contains(&told)));
    let name = guilty.and_then(|at| pairs[at].split_once('=')).map(|(name, value)| {
        let clip = |text: &str| text.chars().take(80).collect::<String>();
        format!("`{}={}`: ", clip(name), clip(value))
    });
    let hint = match told.as_str() {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "expected a whole number, 0 or more"
        }
        "number too large to fit in target type" => "the number is too large",
        "provided string was not `true` or `false`" => "expected true or false",
        other => other,
    };
    Err(Problem::bad_request(format!("the query string cannot be read: {}{hint}", name.unwrap_or_default())))
}
