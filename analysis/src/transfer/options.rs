//! What of a diff is carried over, and how much of it: presets, λ and patterns.

use std::fmt;

use domain::Fault as _;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weights::TensorInfo;

use super::Sparsify;
use crate::{
    Error,
    kinship::Module,
    lowrank::ExtractOptions,
    merge::{Behind, Depths, ParamSpec, Setting},
};

static LAMBDA: ParamSpec = ParamSpec::number("lambda", "Share of the diff that is added.").or(1.0);

/// A published way of transferring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Every tensor; the result has the fine-tune's tokenizer (arXiv 2503.20110).
    #[default]
    DiffVector,
    /// Only the projections of attention and MLP; everything else is the target's (arXiv 2505.12716).
    ShadowFt,
    /// As `diff_vector` with λ from 0.5 to 1: an instruction residual for a base that was trained further.
    ChatVector,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 3] = [Self::DiffVector, Self::ShadowFt, Self::ChatVector];

    /// As recipes write it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::DiffVector => "diff_vector",
            Self::ShadowFt => "shadow_ft",
            Self::ChatVector => "chat_vector",
        }
    }

    /// Whether the result speaks the fine-tune's tokens, not the target's.
    pub const fn takes_tokenizer(self) -> bool {
        !matches!(self, Self::ShadowFt)
    }

    fn wants(self, info: &TensorInfo) -> bool {
        use Module::{Down, Expert, Gate, GateUp, K, Kv, O, Q, Qkv, Up, V};
        let projection = [Q, K, V, Kv, Qkv, O, Gate, Up, GateUp, Down, Expert];
        self != Self::ShadowFt
            || (info.shape.len() > 1
                && !info.name.ends_with("bias")
                && projection.contains(&Module::of(&info.name)))
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What becomes of a tensor that not all models of a transfer have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The transfer is refused.
    #[default]
    Error,
    /// What the target has stays as it is; what it lacks is not carried over.
    Base,
    /// The result does not have it.
    Skip,
}

impl Missing {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Error, Self::Base, Self::Skip];

    /// As recipes write it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Base => "base",
            Self::Skip => "skip",
        }
    }

    fn is_error(&self) -> bool {
        *self == Self::Error
    }
}

/// Options of a transfer, as a request and a recipe write them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    #[serde(default)]
    pub preset: Preset,
    /// A number, a list of numbers from the first layer to the last, or a list of `{filter, value}`; 1 where no
    /// filter matches.
    #[serde(default = "whole")]
    pub lambda: Value,
    /// Only tensors in whose name this regular expression is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<String>,
    /// No tensor in whose name this regular expression is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<String>,
    /// For tensors that not all models have.
    #[serde(default, skip_serializing_if = "Missing::is_error")]
    pub missing: Missing,
    /// Which elements of the diff are carried over; all of them where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparsify: Option<Sparsify>,
}

fn whole() -> Value {
    json!(1.0)
}

impl Default for Options {
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            lambda: whole(),
            include: None,
            exclude: None,
            missing: Missing::Error,
            sparsify: None,
        }
    }
}

impl Options {
    /// The same options with λ in the one form that a recipe's digest is taken of.
    ///
    /// # Errors
    /// Every fault of λ and the patterns at once.
    pub fn canonical(&self) -> Result<Self, Error> {
        let rule = self.rule(&[])?;
        let mut lambda = serde_json::to_value(&rule.lambda).unwrap_or_default();
        if let Value::Array(cases) = &mut lambda
            && let [case] = &mut cases[..]
            && case["filter"].is_null()
        {
            lambda = case["value"].take();
        }
        Ok(Self { lambda, ..self.clone() })
    }

    /// The options as a rule for the tensors of a model.
    pub(crate) fn rule(&self, tensors: &[TensorInfo]) -> Result<Rule, Error> {
        let mut faults = Vec::new();
        let lambda = Setting::read(&self.lambda, &LAMBDA, "/lambda", &mut faults);
        let mut pattern = |text: &Option<String>, pointer: &str| {
            let built = text.as_deref().map(|text| ExtractOptions::pattern(text, pointer)).transpose();
            built.unwrap_or_else(|error| {
                faults.extend(error.items());
                None
            })
        };
        let (include, exclude) = (pattern(&self.include, "/include"), pattern(&self.exclude, "/exclude"));
        faults.extend(self.sparsify.iter().flat_map(Sparsify::faults));
        let Some(lambda) = lambda.filter(|_| faults.is_empty()) else { return Err(Error::faults(faults)) };
        let depths = Depths::of(tensors.iter().map(|info| info.name.as_str()));
        let rule = Rule { preset: self.preset, lambda, include, exclude, depths };
        let beyond = |info: &&TensorInfo| rule.of(info).is_some_and(|lambda| !(0.5..=1.0).contains(&lambda));
        match tensors.iter().find(beyond).filter(|_| self.preset == Preset::ChatVector) {
            Some(info) => Err(Error::fault(
                "/lambda",
                format!(
                    "chat_vector takes λ from 0.5 to 1, here it is {} for `{}`; diff_vector takes any number",
                    rule.of(info).unwrap_or_default(),
                    info.name
                ),
            )),
            None => Ok(rule),
        }
    }
}

/// Which tensors receive how much of the diff.
pub(crate) struct Rule {
    preset: Preset,
    lambda: Setting,
    include: Option<Regex>,
    exclude: Option<Regex>,
    depths: Depths,
}

impl Rule {
    /// Whether the result speaks the fine-tune's tokens.
    pub(super) fn takes_tokenizer(&self) -> bool {
        self.preset.takes_tokenizer()
    }

    /// λ of a tensor; `None` for one that stays the target's.
    pub(crate) fn of(&self, info: &TensorInfo) -> Option<f64> {
        let name = &info.name;
        let wanted = self.preset.wants(info)
            && self.include.as_ref().is_none_or(|include| include.is_match(name))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.is_match(name));
        wanted.then(|| self.lambda.of(name, self.depths.position(name, Behind::First)).unwrap_or(1.0))
    }
}
