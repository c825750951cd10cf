//! A search as a document that nobody has checked: every field is looked at on its own, so that all faults are told.

use std::collections::BTreeSet;

use domain::Item;
use serde_json::{Map, Value};

use super::SearchConfig;
use crate::merge::unknown_word;

/// A search as far as it could be read, and what is wrong with the rest.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What could not be read stands as its default.
    pub config: SearchConfig,
    /// Fields that are missing, unknown or of another kind.
    pub faults: Vec<Item>,
}

/// What a field may hold.
#[derive(Clone, Copy)]
enum Holds {
    Words(&'static [&'static str]),
    Text,
    Texts,
    Count,
    Number,
    Flag,
}

const METHODS: &[&str] = &["linear", "slerp", "task_arithmetic", "ties", "dare_ties"];
const FIELDS: [(&str, Holds); 19] = [
    ("strategy", Holds::Words(&["greedy", "cma_es"])),
    ("method", Holds::Words(METHODS)),
    ("models", Holds::Texts),
    ("base", Holds::Text),
    ("better", Holds::Words(&["higher", "lower"])),
    ("budget", Holds::Count),
    ("seed", Holds::Count),
    ("dtype", Holds::Text),
    ("output", Holds::Text),
    ("k", Holds::Count),
    ("t", Holds::Number),
    ("tau", Holds::Number),
    ("epsilon", Holds::Number),
    ("generations", Holds::Count),
    ("layer_granularity", Holds::Count),
    ("smooth", Holds::Flag),
    ("filters", Holds::Texts),
    ("allow_negative_weights", Holds::Flag),
    ("normalize", Holds::Flag),
];
/// Fields without a default, and what stands for them while the others are looked at.
const REQUIRED: [(&str, &str); 3] = [("strategy", "\"greedy\""), ("method", "\"slerp\""), ("models", "[]")];

impl Draft {
    /// Reads `document`. The value of a misspelt field is looked at as that of the field it is nearest to.
    ///
    /// # Errors
    /// What is wrong with a document that is no search at all.
    pub fn read(document: Value) -> Result<Self, Vec<Item>> {
        let one = |message: String| vec![item("", message)];
        let Value::Object(given) = document else {
            return Err(one(
                "expected the fields of a search: strategy, method, models and others".to_owned()
            ));
        };
        let (mut faults, mut fields) = (Vec::new(), Map::new());
        let mut misspelt = Vec::new();
        let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
        for (name, value) in given {
            if known.contains(&name.as_str()) {
                fields.insert(name, value);
            } else {
                faults.push(item(&pointer(&name), unknown_word(&name, &known)));
                misspelt.extend(domain::nearest(&name, &known).map(|near| (near.to_owned(), value)));
            }
        }
        for (near, value) in misspelt {
            fields.entry(near).or_insert(value);
        }
        for (name, holds) in FIELDS {
            let wrong = fields.get(name).map(|value| holds.faults(&pointer(name), value)).unwrap_or_default();
            if !wrong.is_empty() {
                fields.shift_remove(name);
                faults.extend(wrong);
            }
        }
        for (name, stand_in) in REQUIRED {
            let told = faults.iter().any(|fault| top(fault) == name);
            if !fields.contains_key(name) {
                fields.insert(name.to_owned(), serde_json::from_str(stand_in).unwrap_or_default());
                if !told {
                    faults.push(item(&pointer(name), "is missing".to_owned()));
                }
            }
        }
        let config = serde_json::from_value(Value::Object(fields)).map_err(|error| one(error.to_string()))?;
        Ok(Self { config, faults })
    }

    /// Its faults with those among `found` that do not rest on a field that could not be read.
    pub fn with(&self, found: Vec<Item>) -> Vec<Item> {
        let unread: BTreeSet<&str> = self.faults.iter().map(top).collect();
        let open = |name: &str| unread.contains(name);
        // What a field may hold depends on the first two.
        let blind = open("strategy") || open("method");
        let more = found.into_iter().filter(|item| !blind && !open(top(item)));
        self.faults.iter().cloned().chain(more).collect()
    }
}

impl Holds {
    /// Why `value` is none of these; nothing stands for the default.
    fn faults(self, at: &str, value: &Value) -> Vec<Item> {
        let wanted = match (self, value) {
            (_, Value::Null) => return Vec::new(),
            (Self::Words(words), Value::String(word)) if !words.contains(&word.as_str()) => {
                return vec![item(at, unknown_word(word, words))];
            }
            (Self::Texts, Value::Array(items)) => {
                let each = items.iter().enumerate().filter(|(_, item)| !item.is_string());
                return each.map(|(n, found)| expected(&format!("{at}/{n}"), "a text", found)).collect();
            }
            (Self::Count, Value::Number(number)) if number.is_u64() => return Vec::new(),
            (Self::Words(_) | Self::Text, Value::String(_))
            | (Self::Number, Value::Number(_))
            | (Self::Flag, Value::Bool(_)) => return Vec::new(),
            (Self::Words(_), _) => "a word",
            (Self::Text, _) => "a text",
            (Self::Texts, _) => "a list of texts",
            (Self::Count, _) => "a whole number from 0 on",
            (Self::Number, _) => "a number",
            (Self::Flag, _) => "true or false",
        };
        vec![expected(at, wanted, value)]
    }
}

fn expected(at: &str, wanted: &str, found: &Value) -> Item {
    let found: String = found.to_string().chars().take(60).collect();
    item(at, format!("expected {wanted}, found {found}"))
}

fn item(pointer: &str, message: String) -> Item {
    Item { pointer: pointer.to_owned(), message }
}

fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The field that a fault is about.
fn top(fault: &Item) -> &str {
    fault.pointer.split('/').nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use domain::Limits;
    use serde_json::json;

    use super::*;

    fn told(document: Value) -> Vec<String> {
        let draft = Draft::read(document).unwrap();
        let found = draft.config.faults(&Limits::default());
        draft.with(found).into_iter().map(|item| format!("{}: {}", item.pointer, item.message)).collect()
    }

    #[test]
    fn every_fault_of_a_document_is_told_at_once_and_a_misspelt_field_with_the_nearest() {
        let faults = told(json!({
            "stratgy": "greedy", "method": "ties", "models": ["a", "b", "a"], "base": "c",
            "k": 0, "budget": -3, "better": "best",
        }));

        let wanted = [
            "/stratgy: `stratgy` is not known here; did you mean `strategy`?",
            "/better: `best` is not known here; expected one of higher, lower",
            "/budget: expected a whole number from 0 on, found -3",
            "/models/2: `a` is listed already, at 0",
            "/method: a greedy search merges pairs by `slerp` or `linear`",
            "/k: 2 to 16 of the best can be merged, 0 given",
        ];
        assert_eq!(faults, wanted);
    }

    #[test]
    fn what_is_missing_is_told_and_nothing_that_would_rest_on_it() {
        assert_eq!(told(json!({ "models": ["a", 3], "k": 1 })).len(), 3);
        assert!(Draft::read(json!(["strategy"])).is_err());
    }

    #[test]
    fn a_document_without_faults_is_read_as_it_stands() {
        let document = json!({ "strategy": "cma_es", "method": "linear", "models": ["a", "b"], "seed": 4 });

        let draft = Draft::read(document.clone()).unwrap();

        assert!(draft.faults.is_empty());
        assert_eq!(draft.config, serde_json::from_value(document).unwrap());
    }
}
