//! Reading single fields of a record, whatever type the source gave them.

use serde_json::{Map, Number, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Lookup by any of several names.
pub(crate) struct Fields<'a>(pub &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The first of `names` that is present and not null.
    pub fn get(&self, names: &[&str]) -> Option<&'a Value> {
        names.iter().filter_map(|name| self.0.get(*name)).find(|value| !value.is_null())
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
        let number = match self.get(names)? {
            Value::Number(number) => whole(number),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|&number| number >= 0)
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

    /// A value, or the JSON a text holds.
    pub fn json(&self, names: &[&str]) -> Option<Value> {
        match self.get(names)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            other => Some(other.clone()),
        }
    }
}

/// A number without its fraction; none beyond what floats count exactly.
fn whole(number: &Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = || number.as_f64().filter(|float| float.abs() <= EXACT).map(|float| float as i64);
    number.as_i64().or_else(float)
}

/// Texts of a scalar or list; nulls, maps and empty texts are left out.
pub(crate) fn strings(value: &Value) -> Vec<String> {
    let clean = |text: &str| -> Option<String> {
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    match value {
        Value::Array(list) => list.iter().filter_map(scalar).filter_map(|text| clean(&text)).collect(),
        Value::String(text) if text.trim_start().starts_with('[') && text.trim_end().ends_with(']') => {
            let inner = text.trim();
            inner[1..inner.len() - 1]
                .split(',')
                .filter_map(|part| clean(part.trim().trim_matches(['"', '\''])))
                .collect()
        }
        other => scalar(other).and_then(|text| clean(&text)).into_iter().collect(),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Unix seconds of an RFC 3339 text, of Python's and SQL's spellings of it, or of a number.
pub(crate) fn timestamp(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => {
            let number = whole(number)?;
            // Seconds reach 10^11 in the year 5138; what is larger counts milli-, micro- or nanoseconds.
            Some(match number.unsigned_abs() {
                0..100_000_000_000 => number,
                100_000_000_000..100_000_000_000_000 => number.div_euclid(1_000),
                100_000_000_000_000..100_000_000_000_000_000 => number.div_euclid(1_000_000),
                _ => number.div_euclid(1_000_000_000),
            })
        }
        Value::String(text) => date_text(text.trim()),
        _ => None,
    }
}

fn date_text(text: &str) -> Option<i64> {
    if !text.is_ascii() || text.len() < 10 || text.len() > 40 {
        return None;
    }
    let (date, rest) = text.split_at(10);
    let clock = rest.trim_start_matches(['T', 't', ' ']);
    let clock = if clock.is_empty() { "00:00:00" } else { clock };
    let zoned = clock.ends_with(['Z', 'z']) || clock.contains(['+', '-']);
    let zone = if zoned { "" } else { "Z" };
    let clock = clock.strip_suffix(" UTC").unwrap_or(clock);
    OffsetDateTime::parse(&format!("{date}T{clock}{zone}"), &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
}
