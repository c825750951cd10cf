//! What a recipe asks of the tokenizer: whose tokens the result has, and where the rows of single tokens come from.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Item, json::pointed};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{keys, reference::reference, yaml};

/// Most tokens with a rule of their own.
const MOST_TOKENS: usize = 10_000;
/// Largest multiple that rows are padded to.
const MOST_MULTIPLE: u64 = 1 << 16;

/// `tokenizer` of a recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TokenizerChoice {
    /// `base`, `union` or a model, which need not be merged.
    pub source: String,
    /// By text of the token; a token that the tokenizer lacks is added to it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, TokenRule>,
    /// Rows of the result; none keeps those of the model that gives the tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pad_to_multiple_of: Option<u64>,
}

/// Where the row of one token comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TokenRule {
    /// For the models that lack it; none for the usual rules.
    pub source: Option<TokenSource>,
    /// Also for the models that have it.
    pub force: bool,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum TokenSource {
    /// The same token of this model.
    Model(String),
    Spelled(Spelled),
}

/// A row spelled out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Spelled {
    Zero,
    /// Another token of a model, by its text or by its row.
    ModelToken {
        model: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        token_id: Option<u32>,
    },
}

/// `tokenizer_source` and `tokenizer`, of which one at most is given; a `tokenizer` that holds only a source is a
/// `tokenizer_source`.
pub(super) fn read(
    top: &Map<String, Value>,
    models: &[String],
    faults: &mut Vec<Item>,
) -> (Option<String>, Option<TokenizerChoice>) {
    let given = |key| top.get(key).filter(|value: &&Value| !value.is_null());
    let mut reader = Reader { models: models.iter().map(String::as_str).collect(), faults };
    match (given("tokenizer_source"), given("tokenizer")) {
        (Some(_), Some(_)) => {
            reader.fault("/tokenizer", "it excludes `tokenizer_source`; keep one of the two");
            (None, None)
        }
        (Some(source), None) => (reader.source(source, "/tokenizer_source"), None),
        (None, Some(Value::Object(fields))) => match reader.choice(fields) {
            Some(choice) if choice.tokens.is_empty() && choice.pad_to_multiple_of.is_none() => {
                (Some(choice.source), None)
            }
            choice => (None, choice),
        },
        (None, Some(_)) => {
            reader.fault("/tokenizer", "expected a mapping, e.g. `source: base`");
            (None, None)
        }
        (None, None) => (None, None),
    }
}

struct Reader<'a> {
    models: BTreeSet<&'a str>,
    faults: &'a mut Vec<Item>,
}

impl Reader<'_> {
    fn fault(&mut self, pointer: &str, message: impl Into<String>) {
        self.faults.push(Item { pointer: pointer.to_owned(), message: message.into() });
    }

    fn keys(&mut self, fields: &Map<String, Value>, pointer: &str, known: &[&str]) {
        for key in fields.keys().filter(|key| !known.contains(&key.as_str())) {
            self.fault(&format!("{pointer}/{}", pointed(key)), keys::unknown(key, known));
        }
    }

    /// `base`, `union` or a model, which older recipes write `model:org/name`.
    fn source(&mut self, value: &Value, pointer: &str) -> Option<String> {
        let marked = value.as_str().and_then(|word| word.strip_prefix("model:"));
        let bare = marked.map(|name| Value::String(name.trim().to_owned()));
        let value = bare.as_ref().unwrap_or(value);
        let word = value.as_str().unwrap_or_default();
        if matches!(word, "base" | "union") {
            return Some(word.to_owned());
        }
        let named = reference(value, pointer, &mut Vec::new());
        let near = |name: &String| !name.contains('/') && domain::nearest(name, &["base", "union"]).is_some();
        match named {
            Some(name) if self.models.contains(name.as_str()) || !near(&name) => Some(name),
            Some(name) => {
                self.fault(pointer, keys::unknown(&name, &["base", "union"]));
                None
            }
            None => {
                let found: String = value.to_string().chars().take(60).collect();
                self.fault(pointer, format!("expected `base`, `union` or a model, found {found}"));
                None
            }
        }
    }

    /// A model of the recipe.
    fn model(&mut self, value: &Value, pointer: &str) -> Option<String> {
        let named = reference(value, pointer, self.faults)?;
        if self.models.contains(named.as_str()) {
            return Some(named);
        }
        self.fault(pointer, format!("`{named}` is not one of the models of this recipe"));
        None
    }

    fn choice(&mut self, fields: &Map<String, Value>) -> Option<TokenizerChoice> {
        self.keys(fields, "/tokenizer", keys::TOKENIZER);
        let given = |key| fields.get(key).filter(|value: &&Value| !value.is_null());
        let source = match given("source") {
            Some(source) => self.source(source, "/tokenizer/source"),
            None => Some("union".to_owned()),
        };
        let pad_to_multiple_of = given("pad_to_multiple_of").and_then(|value| {
            let multiple = value.as_u64().filter(|multiple| (1..=MOST_MULTIPLE).contains(multiple));
            if multiple.is_none() {
                let message = format!("expected a number of rows from 1 to {MOST_MULTIPLE}");
                self.fault("/tokenizer/pad_to_multiple_of", message);
            }
            multiple
        });
        let mut tokens = BTreeMap::new();
        match given("tokens") {
            None => {}
            Some(Value::Object(named)) if named.len() > MOST_TOKENS => {
                let message = format!("{} tokens have a rule; at most {MOST_TOKENS} are read", named.len());
                self.fault("/tokenizer/tokens", message);
            }
            Some(Value::Object(named)) => {
                for (text, rule) in named {
                    let pointer = format!("/tokenizer/tokens/{}", pointed(text));
                    tokens.extend(self.rule(rule, &pointer).map(|rule| (text.clone(), rule)));
                    if text.is_empty() {
                        self.fault(&pointer, "a token has a text");
                    }
                }
            }
            Some(_) => self.fault("/tokenizer/tokens", "expected tokens, each with a `source`"),
        }
        Some(TokenizerChoice { source: source?, tokens, pad_to_multiple_of })
    }

    fn rule(&mut self, value: &Value, pointer: &str) -> Option<TokenRule> {
        let fields = match value {
            Value::Null => return Some(TokenRule::default()),
            Value::Object(fields) => fields,
            _ => {
                self.fault(pointer, "expected a mapping, e.g. `source: org/name`");
                return None;
            }
        };
        self.keys(fields, pointer, keys::TOKEN);
        let known = self.faults.len();
        let at = format!("{pointer}/source");
        let source = fields.get("source").filter(|source| !source.is_null());
        let source = source.and_then(|source| self.token_source(source, &at));
        let force = match fields.get("force") {
            None | Some(Value::Null) => false,
            Some(word) => yaml::flag(word).unwrap_or_else(|| {
                self.fault(&format!("{pointer}/force"), "expected true or false");
                false
            }),
        };
        if force && source.is_none() && self.faults.len() == known {
            self.fault(pointer, "`force` replaces rows, so it needs a `source`");
        }
        (self.faults.len() == known).then_some(TokenRule { source, force })
    }

    fn token_source(&mut self, value: &Value, pointer: &str) -> Option<TokenSource> {
        let Some((fields, kind)) = value.as_object().and_then(|fields| Some((fields, fields.get("kind")?)))
        else {
            return self.model(value, pointer).map(TokenSource::Model);
        };
        self.keys(fields, pointer, keys::TOKEN_SOURCE);
        match kind.as_str() {
            Some("zero") => Some(TokenSource::Spelled(Spelled::Zero)),
            Some("model_token") => {
                let model =
                    self.model(fields.get("model").unwrap_or(&Value::Null), &format!("{pointer}/model"))?;
                let token = fields.get("token").and_then(Value::as_str).map(str::to_owned);
                let token_id =
                    fields.get("token_id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
                if token.is_some() == token_id.is_some() {
                    self.fault(pointer, "expected either `token`, a text, or `token_id`, a row");
                    return None;
                }
                Some(TokenSource::Spelled(Spelled::ModelToken { model, token, token_id }))
            }
            _ => {
                self.fault(&format!("{pointer}/kind"), "expected `model_token` or `zero`");
                None
            }
        }
    }
}
