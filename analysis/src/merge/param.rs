//! A parameter of a merge method as data.

use serde::Serialize;

/// One parameter.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ParamSpec {
    pub name: &'static str,
    pub kind: Kind,
    /// The words of a choice.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub choices: &'static [&'static str],
    /// Set once a model rather than once a merge.
    pub per_model: bool,
    /// Used when the recipe does not say. `null`: the recipe must say.
    pub default: Option<DefaultValue>,
    /// Usual range for forms; values outside are allowed.
    pub range: Option<(f64, f64)>,
    pub help: &'static str,
}

/// Type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Number,
    Flag,
    Choice,
    /// A model, folder or file with more tensors of the same names.
    File,
}

/// A default value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum DefaultValue {
    Flag(bool),
    Number(f64),
    /// Of a choice.
    Word(&'static str),
}

impl ParamSpec {
    const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, choices: &[], per_model: false, default: None, range: None, help }
    }

    /// A number that the recipe must give.
    pub const fn number(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Number, help)
    }

    /// A flag that is off.
    pub const fn flag(name: &'static str, help: &'static str) -> Self {
        Self { default: Some(DefaultValue::Flag(false)), ..Self::new(name, Kind::Flag, help) }
    }

    /// One of `words`, the first unless the recipe says.
    pub const fn choice(name: &'static str, words: &'static [&'static str], help: &'static str) -> Self {
        let first = Some(DefaultValue::Word(words[0]));
        Self { choices: words, default: first, ..Self::new(name, Kind::Choice, help) }
    }

    /// A file that the recipe must name for every model.
    pub const fn file(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::File, help).per_model()
    }

    /// With a default.
    pub const fn or(self, default: f64) -> Self {
        Self { default: Some(DefaultValue::Number(default)), ..self }
    }

    /// A flag that is on.
    pub const fn on(self) -> Self {
        Self { default: Some(DefaultValue::Flag(true)), ..self }
    }

    /// Set once a model.
    pub const fn per_model(self) -> Self {
        Self { per_model: true, ..self }
    }

    /// With its usual range.
    pub const fn usually(self, from: f64, to: f64) -> Self {
        Self { range: Some((from, to)), ..self }
    }

    /// The default as a resolved value: of a flag 0 or 1, of a choice the place of its word.
    pub(super) fn resolved_default(&self) -> Option<f64> {
        match self.default? {
            DefaultValue::Flag(on) => Some(if on { 1.0 } else { 0.0 }),
            DefaultValue::Number(value) => Some(value),
            DefaultValue::Word(word) => self.place(word).map(|place| place as f64),
        }
    }

    /// Place of a word among the choices.
    pub(super) fn place(&self, word: &str) -> Option<usize> {
        self.choices.iter().position(|choice| *choice == word)
    }
}
