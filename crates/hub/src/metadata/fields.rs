//! Reading single fields of a record, whatever type the source gave them.

use serde_json::{Map, Value};

use crate::{
    card::plain,
    literal::{self, is_missing},
};

/// Lookup by any of several names.
pub(crate) struct Fields<'a>(pub &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The first of `names` that is present, and neither null nor a word that says so.
    pub fn get(&self, names: &[&str]) -> Option<&'a Value> {
        let stated = |value: &&Value| !value.is_null() && !value.as_str().is_some_and(is_missing);
        names.iter().filter_map(|name| self.0.get(*name)).find(stated)
    }

    /// A non-empty text.
    pub fn text(&self, names: &[&str]) -> Option<&'a str> {
        self.get(names)?.as_str().filter(|text| !text.trim().is_empty())
    }

    /// A short text or a scalar as text.
    pub fn owned(&self, names: &[&str]) -> Option<String> {
        let text = scalar(self.get(names)?)?;
        let text = text.trim();
        (!text.is_empty() && text.len() <= 300).then(|| text.to_owned())
    }

    /// A whole number of zero or more.
    pub fn count(&self, names: &[&str]) -> Option<i64> {
        number(self.get(names)?).filter(|&number| number >= 0)
    }

    /// What stands under the first of `names` that is present, shortened, where `read` makes nothing of it.
    pub fn unread<T>(&self, names: &[&str], read: impl Fn(&Value) -> Option<T>) -> Option<String> {
        let value = self.get(names)?;
        let blank = value.as_str().is_some_and(|text| text.trim().is_empty());
        (!blank && read(value).is_none()).then(|| value.to_string().chars().take(60).collect())
    }

    /// Whether a field says yes, as JSON or as a table writes it.
    pub fn flag(&self, names: &[&str]) -> bool {
        match self.get(names) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    /// A text, a list of texts, or a list written as text.
    pub fn strings(&self, names: &[&str]) -> Vec<String> {
        self.get(names).map(strings).unwrap_or_default()
    }

    /// As [`Self::strings`], of a text without brackets the parts that a table puts into one cell.
    pub fn listed(&self, names: &[&str]) -> Vec<String> {
        self.get(names).map(listed).unwrap_or_default()
    }

    /// A value, or the one that a text holds as JSON or as Python prints it.
    pub fn json(&self, names: &[&str]) -> Option<Value> {
        match self.get(names)? {
            Value::String(text) => literal::read(text),
            other => Some(other.clone()),
        }
    }
}

/// A number without its fraction, also as text; none beyond what floats count exactly.
pub(crate) fn number(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let exact = |float: f64| (float.abs() <= EXACT).then_some(float as i64);
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(exact)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse().ok().and_then(exact))
        }
        _ => None,
    }
}

/// Texts of a scalar or list; nulls, maps, and texts that are empty or only say that nothing is stated are left out.
pub(crate) fn strings(value: &Value) -> Vec<String> {
    let clean = |text: &str| -> Option<String> {
        let text = text.trim();
        (!text.is_empty() && !is_missing(text)).then(|| text.to_owned())
    };
    let listed = |list: &[Value]| list.iter().filter_map(scalar).filter_map(|text| clean(&text)).collect();
    match value {
        Value::Array(list) => listed(list),
        Value::String(text) if text.trim_start().starts_with(['[', '(', '{']) => match literal::read(text) {
            Some(Value::Array(list)) => listed(&list),
            _ => match text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
                Some(inner) => {
                    inner.split(',').filter_map(|part| clean(part.trim().trim_matches(['"', '\'']))).collect()
                }
                None => clean(text).into_iter().collect(),
            },
        },
        other => scalar(other).and_then(|text| clean(&text)).into_iter().collect(),
    }
}

/// As [`strings`]; a text that is no list is split where tables join one.
pub(crate) fn listed(value: &Value) -> Vec<String> {
    let joined = |text: &&str| !text.trim_start().starts_with(['[', '(', '{']);
    match value.as_str().filter(joined) {
        Some(text) => text.split([',', ';', '|']).flat_map(|part| strings(&part.into())).collect(),
        None => strings(value),
    }
}

pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(plain(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
