//! What a merge method declares about itself, and what it must be able to do.

use std::sync::Arc;

use kernels::wide::Common;
use serde::Serialize;

use super::setting::figure;
pub use super::{
    operands::{Operands, Params},
    param::{DefaultValue, Kind, ParamSpec},
};

/// A method as data: enough to draw its form, check a recipe, test its laws and write its documentation.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MethodSpec {
    pub id: &'static str,
    pub name: &'static str,
    pub summary: &'static str,
    /// What an element of the result is: `b` of the base, `x` of a model, `δ` of its delta.
    pub formula: &'static str,
    /// Address of the paper.
    pub reference: &'static str,
    pub base: BaseNeed,
    /// Models merged, the base of a delta method not counted.
    pub models: ModelCount,
    pub parameters: &'static [ParamSpec],
    /// What always holds; tested for every method.
    #[serde(skip)]
    pub laws: &'static [Law],
}

/// A promise of a method beyond those that all keep: any range on any number of threads equals the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// Models that all equal the base are given back bit for bit, with any parameters.
    Identity,
    /// The order in which the models are listed means nothing.
    Symmetry,
    /// By default a model of weight 1 beside one of weight 0 is given back bit for bit.
    FirstWeight,
}

/// What `base_model` means to a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseNeed {
    /// Only says whose config and tokenizer the result gets.
    Unused,
    /// Deltas are taken against it.
    Delta,
    /// Deltas are taken against it when the recipe names one.
    Optional,
    /// It is one of the two ends.
    Endpoint,
}

/// How many models a method takes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ModelCount {
    pub min: usize,
    pub max: Option<usize>,
}

impl ModelCount {
    /// `min` models or more.
    pub const fn from(min: usize) -> Self {
        Self { min, max: None }
    }

    /// Whether `count` models can be merged.
    pub fn allows(&self, count: usize) -> bool {
        count >= self.min && self.max.is_none_or(|max| count <= max)
    }

    /// This many models, no more and no fewer.
    pub const fn exactly(count: usize) -> Self {
        Self { min: count, max: Some(count) }
    }
}

/// A merge method; one file each in `methods/`.
pub trait Method: Send + Sync {
    /// The declaration.
    fn spec(&self) -> &'static MethodSpec;

    /// What is wrong with the parameters of one tensor, e.g. weights that sum to zero. It is asked for a number of models
    /// that the declaration allows.
    fn faults(&self, _params: &Params) -> Vec<Refusal> {
        Vec::new()
    }

    /// What of the parameters of one tensor is allowed and seldom meant; asked like [`Self::faults`].
    fn caution(&self, _params: &Params) -> Option<Caution> {
        None
    }

    /// What the files named beside the models hold; a method that has them says so with a [`Kind::File`] parameter.
    fn beside(&self) -> Beside {
        Beside::Nothing
    }

    /// Numbers of 8 bytes that must be in memory at once for one tensor beside the blocks; with [`Self::scratch`]
    /// bounded by [`domain::Limits::merge_held`], alone by an eighth of it.
    fn held(&self, _operands: &Operands) -> u64 {
        0
    }

    /// Whether [`Self::survey`] looks at the same models in all tensors.
    fn surveys(&self, _params: &Params) -> bool {
        false
    }

    /// Numbers of 8 bytes that must be in [`Operands::scratch`] at once for one tensor, the result among them.
    fn scratch(&self, _operands: &Operands) -> u64 {
        0
    }

    /// Numbers of 8 bytes that stay there until the tensor is written.
    fn kept(&self, operands: &Operands) -> u64 {
        self.scratch(operands).min(operands.elements)
    }

    /// What has to be known of all tensors together, in their order, before the first is merged.
    ///
    /// # Errors
    /// When an input cannot be read.
    fn survey(&self, _tensors: &[&Operands]) -> Result<Option<Survey>, weights::Error> {
        Ok(None)
    }

    /// Computes the scalars of one tensor, reading the inputs in blocks.
    ///
    /// # Errors
    /// When an input cannot be read, or the tensors have no answer, e.g. opposite directions.
    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error>;
}

/// Parameters of one tensor that a method cannot work with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The parameter it is about; none where it is about several.
    pub parameter: Option<&'static str>,
    /// Place among the models that are merged, for a parameter that each has.
    pub model: Option<usize>,
    pub message: String,
}

impl Refusal {
    /// About several parameters together.
    pub fn of_all(message: impl Into<String>) -> Self {
        Self { parameter: None, model: None, message: message.into() }
    }

    /// About one parameter of the merge.
    pub fn of(parameter: &'static str, message: impl Into<String>) -> Self {
        Self { parameter: Some(parameter), ..Self::of_all(message) }
    }

    /// About one parameter of the model at `place`.
    pub fn of_model(place: usize, parameter: &'static str, message: impl Into<String>) -> Self {
        Self { model: Some(place), ..Self::of(parameter, message) }
    }

    /// For each of `parameters` that is below 0.
    pub fn below_zero(params: &Params, parameters: &[&'static str]) -> Vec<Self> {
        let below = parameters.iter().filter(|name| params.number(name) < 0.0);
        let told = |name: &&'static str| {
            Self::of(name, format!("`{name}` is {}; it must be 0 or more", figure(params.number(name))))
        };
        below.map(told).collect()
    }
}

/// Something about parameters that whoever chose them should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caution {
    /// One word for what it is: `signed_divisor` or `extrapolation`.
    pub code: &'static str,
    pub message: String,
}

impl Caution {
    /// A result that lies beyond the models: a share of one of them is not from 0 to 1.
    pub fn of_shares(shares: &[f64]) -> Option<Self> {
        const ROUNDING: f64 = 1e-12;
        let beyond = |share: &f64| !(-ROUNDING..=1.0 + ROUNDING).contains(share);
        let (at, share) = shares.iter().enumerate().find(|(_, share)| beyond(share))?;
        let message =
            format!("the share of model {} is {share}; shares outside 0 to 1 lead beyond the models", at + 1);
        Some(Self { code: "extrapolation", message })
    }
}

/// What [`Method::survey`] found, for each tensor in its order.
pub type Survey = Vec<Found>;

/// What is known of one tensor, or of all of them together.
#[derive(Clone)]
pub enum Found {
    /// The elements kept of each model.
    Trims(Arc<[crate::trim::Trim]>),
    /// A factor of what is added.
    Scale(f64),
}

/// What a file named beside a model must hold for one of its tensors, under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Nothing is looked for.
    Nothing,
    /// A tensor of the same shape, read along with the model.
    Alike,
    /// For a matrix a square one with a side of its columns, in the files of all models or of none.
    Gram,
}

/// A method ready for one tensor. An element's value must not depend on the block it is asked in.
pub trait Combine: Send + Sync {
    /// Combines elements `start..` of all models; `base` is empty when the method takes no deltas.
    fn combine(&self, start: u64, models: &[&[f64]], base: &[f64], out: &mut [f64]);

    /// Does the same from elements as they are stored, the base last, and rounds to a dtype; gives how many results are not
    /// finite or left its range. `None` where it cannot, as where an input is not finite, and then what was written means
    /// nothing.
    fn encode(
        &self,
        _start: u64,
        _inputs: &[kernels::Encoded<'_>],
        _out: (kernels::Dtype, &mut [u8]),
    ) -> Option<u64> {
        None
    }

    /// What is worth a record of how this tensor is combined.
    fn account(&self) -> weights::Account {
        weights::Account::new()
    }

    /// The same as one weighted sum, where all elements have the same factors: it is taken from the stored bytes.
    fn sum(&self) -> Option<Sum> {
        None
    }
}

/// `Σ c·x`, or `b + Σ c·(x − b)` with a base.
#[derive(Debug, Clone)]
pub struct Sum {
    /// Of all models.
    pub factors: Vec<f64>,
    /// What is given where all inputs agree; with a base always that.
    pub common: Common,
}
