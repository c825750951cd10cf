//! Reading YAML as mergekit does, and what is wrong with a text that is none, in the words of this registry.

use serde_json::Value;
use serde_saphyr::Options;

use crate::Error;

/// Scalars as PyYAML reads them, and so mergekit: a bare `y` or `n` is a text, `010` is 8. `yes`, `no`, `on` and `off` are
/// texts here too, which [`flag`] knows.
fn options() -> Options {
    serde_saphyr::options! {
        strict_booleans: true,
        legacy_octal_numbers: true,
    }
}

/// The documents of a recipe.
///
/// # Errors
/// [`Error::Yaml`].
pub fn documents(text: &str) -> Result<Vec<Value>, Error> {
    serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| Error::Yaml(told(&error)))
}

/// A flag as YAML 1.1 writes it, also within quotes.
pub fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::String(word) => match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// What the reader calls faults that have nothing to do with how YAML is written, and what they are.
const WORDS: [(&str, &str); 4] = [
    ("non-finite float", "a number is not finite; write a finite one instead of `.nan` or `.inf`"),
    ("duplicate mapping key", "a mapping holds the same key twice; write it once"),
    (
        "budget breached",
        "the text holds more values, aliases or levels than are read; a recipe is far smaller",
    ),
    ("recursion", "the text is nested too deep"),
];

/// The fault and where it is; lines and columns begin with 1.
pub fn told(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let place = error.location().filter(|place| place.line() > 0);
    let word = match WORDS.iter().find(|(theirs, _)| text.contains(theirs)) {
        Some((_, word)) => word,
        None => {
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let theirs = place.map(|place| format!("line {} column {}: ", place.line(), place.column()));
            return match theirs.and_then(|theirs| text.strip_prefix(&theirs)).zip(place) {
                Some((rest, place)) => format!("line {}, column {}: {rest}", place.line(), place.column()),
                None => text.to_owned(),
            };
        }
    };
    match place {
        Some(place) => format!("line {}, column {}: {word}", place.line(), place.column()),
        None => (*word).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{documents, told};

    #[test]
    fn scalars_are_read_as_by_mergekit() {
        let read = &documents("{filter: y, token: n, weight: 010, plain: 10, on: yes}").unwrap()[0];

        assert_eq!(
            *read,
            serde_json::json!({"filter": "y", "token": "n", "weight": 8, "plain": 10, "on": "yes"})
        );
    }

    #[test]
    fn a_fault_says_its_place_once_and_first() {
        let fault = told(&serde_saphyr::from_str::<Value>("a: 1\nb: {c: 1\n").unwrap_err());

        assert!(fault.starts_with("line ") && fault.contains(", column "), "{fault}");
        assert!(!fault.contains("error:"), "{fault}");
    }

    #[test]
    fn faults_that_the_reader_names_after_its_settings_are_told_in_other_words() {
        let fault = |text: &str| told(&serde_saphyr::from_str::<Value>(text).unwrap_err());
        let many = format!("[{}]", "1,".repeat(260_000));

        let infinite = fault("a: 1\nb: .nan\n");
        assert!(infinite.contains("not finite") && infinite.starts_with("line 2"), "{infinite}");
        assert!(fault("a: 1\na: 2\n").contains("same key twice"));
        assert!(fault(&many).contains("more values"), "{}", fault(&many));
        for text in [infinite, fault("a: 1\na: 2\n"), fault(&many)] {
            assert!(!["policy", "Options", "budget"].iter().any(|word| text.contains(word)), "{text}");
        }
    }
}
