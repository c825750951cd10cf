//! A query string, read as its type; a refusal names every parameter that is at fault.

use std::{
    collections::BTreeSet,
    future::{Ready, ready},
    ops::Deref,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use domain::Item;
use http::{Problem, Result};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use utoipa::{
    IntoParams,
    openapi::{
        Required,
        path::{Parameter, ParameterIn},
    },
};

use crate::schema;

/// Characters of a name or a value in a fault.
const SHOWN: usize = 80;

/// No parameter: one that is given would ask for something else than what is done.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl IntoParams for Nothing {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        Vec::new()
    }
}

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

impl<T: DeserializeOwned + IntoParams> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request.query_string()).map(Self))
    }
}

/// The parameters in a query string.
///
/// # Errors
/// 400 naming every parameter that cannot be read.
pub fn read<T: DeserializeOwned + IntoParams>(text: &str) -> Result<T> {
    let parsed = web::Query::<T>::from_query(text).map(web::Query::into_inner);
    let faults = match (&parsed, text) {
        (Ok(_), "") => Vec::new(),
        _ => faults::<T>(text),
    };
    if !faults.is_empty() {
        return Err(Problem::misasked(faults));
    }
    parsed.map_err(|error| {
        let told = error.to_string();
        let told = told.trim_start_matches("Query deserialize error: ");
        Problem::bad_request(format!("the query string cannot be read: {told}"))
    })
}

/// What is wrong with each parameter, by its name.
fn faults<T: DeserializeOwned + IntoParams>(text: &str) -> Vec<Item> {
    let Ok(pairs) = web::Query::<Vec<(String, String)>>::from_query(text) else { return Vec::new() };
    let known = T::into_params(|| Some(ParameterIn::Query));
    // Questions in SPARQL may come with parameters of other endpoints.
    let closed =
        web::Query::<T>::from_query("?=").is_err_and(|error| error.to_string().contains("unknown field"));
    let names: Vec<&str> = known.iter().map(|parameter| parameter.name.as_str()).collect();
    let (mut faults, mut seen) = (Vec::new(), BTreeSet::new());
    let clip = |text: &str| text.chars().take(SHOWN).collect::<String>();
    for (name, value) in pairs.iter() {
        if schema::enough(&faults) {
            return faults;
        }
        let mut fault = |message: String| faults.push(Item { pointer: clip(name), message });
        let Some(parameter) = known.iter().find(|parameter| parameter.name == *name) else {
            if closed {
                let told = schema::unknown("parameter", name, &names);
                fault(format!("`{}={}`: {told}", clip(name), clip(value)));
            }
            continue;
        };
        if !seen.insert(name.as_str()) {
            fault("it is given twice".to_owned());
            continue;
        }
        let wanted = serde_json::to_value(&parameter.schema).unwrap_or_default();
        for found in schema::faults(&wanted, &typed(&wanted, value), "") {
            fault(format!("`{}={}`: {}", clip(name), clip(value), found.message));
        }
    }
    let missing =
        known.iter().filter(|one| one.required == Required::True && !seen.contains(one.name.as_str()));
    faults.extend(
        missing.map(|one| Item { pointer: one.name.clone(), message: format!("`{}` is missing", one.name) }),
    );
    faults
}

/// The text of a parameter as a value of the type that it should have, where it can be one.
fn typed(schema: &Value, text: &str) -> Value {
    let kinds = schema["type"].to_string();
    let parsed = match text {
        "true" | "false" if kinds.contains("boolean") => Some(json!(text == "true")),
        _ if kinds.contains("integer") || kinds.contains("number") => {
            text.parse::<serde_json::Number>().ok().map(Value::Number)
        }
        _ => {
            // Words are read in either case.
            let word = json!(text.trim().to_ascii_lowercase());
            schema["enum"].as_array().filter(|known| known.contains(&word)).map(|_| word)
        }
    };
    parsed.unwrap_or_else(|| json!(text))
}
