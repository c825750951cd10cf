//! JSON read strictly: a repeated key is an error at every level, because two readers would differ on it.

use std::{cell::RefCell, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{Error, Result};

/// Deepest nesting accepted.
const DEPTH: usize = domain::FIXED.json_depth;

/// Where a seed leaves the exact reason of a refusal, which serde's error type cannot carry.
#[derive(Debug, Default)]
pub(crate) struct Reason(RefCell<Option<(&'static str, String)>>);

impl Reason {
    /// Records a reason and gives the serde error that ends the parse.
    pub(crate) fn refuse<E: serde::de::Error>(&self, code: &'static str, message: String) -> E {
        let error = E::custom(&message);
        self.0.borrow_mut().get_or_insert((code, message));
        error
    }

    /// The error for a parse that failed with `error`.
    pub(crate) fn explain(&self, file: &str, fallback: &'static str, error: &serde_json::Error) -> Error {
        match self.0.borrow_mut().take() {
            Some((code, message)) => Error::malformed(code, file, message),
            None => Error::malformed(fallback, file, format!("it is not the JSON expected: {error}")),
        }
    }
}

/// A JSON file to parse.
pub(crate) struct Document<'a> {
    pub(crate) bytes: &'a [u8],
    /// Its name in errors.
    pub(crate) file: &'a str,
    /// The code of errors that have no other.
    pub(crate) fallback: &'static str,
}

/// Runs `seed` over all of a document.
pub(crate) fn parse<'de, S: DeserializeSeed<'de>>(
    document: &Document<'de>,
    reason: &Reason,
    seed: S,
) -> Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_str(utf8(document.bytes, document.file)?);
    seed.deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| reason.explain(document.file, document.fallback, &error))
}

fn utf8<'a>(bytes: &'a [u8], file: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|error| {
        Error::malformed("not_utf8", file, format!("it is not UTF-8 after byte {}", error.valid_up_to()))
    })
}

/// Parses a configuration such as config.json; `label` names it in errors. As [`config_document`].
///
/// # Errors
/// `file_too_large` above `limit` bytes; `not_utf8`, `duplicate_key`, `too_deep` or `invalid_json`.
pub fn config(bytes: &[u8], label: &str, limit: u64) -> Result<Value> {
    let size = bytes.len() as u64;
    if size > limit {
        return Err(Error::TooLarge { file: label.to_owned(), size, limit });
    }
    labelled(utf8(bytes, label)?, label)
}

/// Parses the text of a configuration strictly, but for Python's `NaN`, `Infinity` and `-Infinity`: real
/// configurations hold them, and they read as null.
///
/// # Errors
/// `duplicate_key`, `too_deep` or `invalid_json`.
pub fn config_document(text: &str) -> Result<Value> {
    labelled(text, "the configuration")
}

fn labelled(text: &str, label: &str) -> Result<Value> {
    let text = domain::json::without_bare_tokens(text);
    let document = Document { bytes: text.as_bytes(), file: label, fallback: "invalid_json" };
    let reason = Reason::default();
    parse(&document, &reason, Strict { reason: &reason, depth: 0 })
}

/// Builds a [`Value`], refusing repeated keys and deep nesting.
#[derive(Clone, Copy)]
struct Strict<'r> {
    reason: &'r Reason,
    depth: usize,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH {
            return Err(self
                .reason
                .refuse("too_deep", format!("it is nested more than {DEPTH} levels deep")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(repeated(self.reason, &key));
            }
            let value = map.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// The error for a key met twice.
pub(crate) fn repeated<E: serde::de::Error>(reason: &Reason, key: &str) -> E {
    reason.refuse("duplicate_key", format!("the key `{}` occurs twice in one object", shown(key)))
}

/// Foreign text made safe and short for a message.
pub(crate) fn shown(text: &str) -> String {
    let clean: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() { format!("{clean}…") } else { clean }
}

/// Reads an object of strings, refusing repeated keys; entries stay in the order written.
#[derive(Clone, Copy)]
pub(crate) struct Strings<'r>(pub(crate) &'r Reason);

impl<'de> DeserializeSeed<'de> for Strings<'_> {
    type Value = Vec<(String, String)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Strings<'_> {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut seen = HashSet::new();
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            if !seen.insert(key.clone()) {
                return Err(repeated(self.0, &key));
            }
            entries.push((key, value));
        }
        Ok(entries)
    }
}

/// Fails a parse that finds a second value for one field.
pub(crate) fn set_once<T, E: serde::de::Error>(
    reason: &Reason,
    slot: &mut Option<T>,
    key: &str,
    value: T,
) -> Result<(), E> {
    if slot.is_some() {
        return Err(repeated(reason, key));
    }
    *slot = Some(value);
    Ok(())
}

/// A field that must be there.
pub(crate) fn required<T, E: serde::de::Error>(
    reason: &Reason,
    slot: Option<T>,
    field: &str,
    of: &str,
) -> Result<T, E> {
    slot.ok_or_else(|| reason.refuse("missing_field", format!("`{field}` is missing from {of}")))
}

#[cfg(test)]
mod tests {
    use domain::Fault;

    use super::*;

    fn code(text: &str) -> &'static str {
        config(text.as_bytes(), "config.json", 1 << 20).unwrap_err().code()
    }

    #[test]
    fn documents_on_which_readers_differ_are_refused() {
        assert_eq!(code(r#"{"a": 1, "a": 2}"#), "duplicate_key");
        assert_eq!(code(r#"{"x": [{"b": 1, "\u0062": 1}]}"#), "duplicate_key");
        assert_eq!(code(&format!("{}{}", "[".repeat(65), "]".repeat(65))), "too_deep");
        assert_eq!(code("{\"a\": 1e999}"), "invalid_json");
        assert_eq!(code("{} {}"), "invalid_json");
        assert_eq!(code("\u{feff}{}"), "invalid_json");
        assert_eq!(config(b"\"\xff\"", "x", 9).unwrap_err().code(), "not_utf8");
        assert_eq!(config(b"{        }", "x", 9).unwrap_err().code(), "file_too_large");
    }

    #[test]
    fn the_numbers_only_python_writes_are_null() {
        let text = r#"{"time_step_limit": [0.0, Infinity], "x": {"y": -Infinity}, "NaN": NaN, "s": "a NaN"}"#;

        let value = config_document(text).unwrap();

        let expected = r#"{"time_step_limit": [0.0, null], "x": {"y": null}, "NaN": null, "s": "a NaN"}"#;
        assert_eq!(value, serde_json::from_str::<Value>(expected).unwrap());
        assert_eq!(config_document("{\"a\": NaN, \"a\": 1}").unwrap_err().code(), "duplicate_key");
        assert_eq!(config_document("{\"a\": nan}").unwrap_err().code(), "invalid_json");
    }

    #[test]
    fn a_plain_document_keeps_its_values() {
        let text = r#"{"a": [1, -2, 2.5, null, true], "b": {"c": "d"}}"#;
        assert_eq!(
            config(text.as_bytes(), "x", 1 << 20).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }
}
