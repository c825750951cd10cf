//! What a merge method declares about itself, and what it must be able to do.

use std::{collections::BTreeMap, sync::Arc};

use crate::computed::Stored;
use serde::Serialize;

/// A method as data: enough to draw its form, check a recipe and write its documentation.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MethodSpec {
    pub id: &'static str,
    pub name: &'static str,
    pub summary: &'static str,
    /// Address of the paper.
    pub reference: &'static str,
    pub base: BaseNeed,
    /// Models merged, the base of a delta method not counted.
    pub models: ModelCount,
    pub parameters: &'static [ParamSpec],
    /// Parameters that real recipes give this method although they mean nothing to it.
    #[serde(skip)]
    pub ignored: &'static [&'static str],
}

/// What `base_model` means to a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseNeed {
    /// Only says whose config and tokenizer the result gets.
    Unused,
    /// Deltas are taken against it.
    Delta,
    /// It is one of the two ends.
    Endpoint,
}

/// How many models a method takes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ModelCount {
    pub min: usize,
    pub max: Option<usize>,
}

/// One parameter.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ParamSpec {
    pub name: &'static str,
    pub kind: Kind,
    /// Set once a model rather than once a merge.
    pub per_model: bool,
    /// Used when the recipe does not say; a flag is 0 or 1. `null`: the recipe must say.
    pub default: Option<f64>,
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
}

/// A merge method; one file each in `methods/`.
pub trait Method: Send + Sync {
    /// The declaration.
    fn spec(&self) -> &'static MethodSpec;

    /// What is wrong with the parameters of one tensor, e.g. weights that sum to zero.
    fn fault(&self, _params: &Params) -> Option<String> {
        None
    }

    /// Computes the scalars of one tensor, reading the inputs in blocks.
    ///
    /// # Errors
    /// When an input cannot be read.
    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error>;
}

/// A method ready for one tensor. An element's value must not depend on the block it is asked in.
pub trait Combine: Send + Sync {
    /// Combines elements `start..` of all models; `base` is empty when the method takes no deltas.
    fn combine(&self, start: u64, models: &[&[f64]], base: &[f64], out: &mut [f64]);
}

/// Parameters resolved for one tensor; a flag is 0 or 1.
#[derive(Debug, Clone, Default)]
pub struct Params {
    pub global: BTreeMap<&'static str, f64>,
    /// In model order.
    pub models: Vec<BTreeMap<&'static str, f64>>,
}

impl Params {
    /// A parameter of the whole merge.
    pub fn number(&self, name: &str) -> f64 {
        self.global.get(name).copied().unwrap_or_default()
    }

    /// A flag of the whole merge.
    pub fn flag(&self, name: &str) -> bool {
        self.number(name) != 0.0
    }

    /// A parameter of each model.
    pub fn each(&self, name: &str) -> Vec<f64> {
        self.models.iter().map(|of| of.get(name).copied().unwrap_or_default()).collect()
    }
}

/// Everything a method gets for one tensor.
pub struct Operands {
    pub models: Vec<Stored>,
    /// Present when the method takes deltas.
    pub base: Option<Stored>,
    pub elements: u64,
    pub params: Params,
}
