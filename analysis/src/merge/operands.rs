//! What a merge method gets for one tensor: the stored inputs, read in blocks, and resolved parameters.

use std::collections::BTreeMap;

use domain::Digest;
use rayon::prelude::*;
use weights::Scratch;

use super::{nonfinite::NonFinite, param::ParamSpec, spec::Found};
use crate::{
    computed::{CHUNK, SourceTensor, read_checked},
    room::Room,
};

/// Parameters resolved for one tensor; a flag is 0 or 1, a choice the place of its word.
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

    /// Whether a choice of the whole merge fell on `word`; a choice the method does not have falls on none.
    pub fn chose(&self, choice: &ParamSpec, word: &str) -> bool {
        let place = self.global.get(choice.name).copied();
        place.is_some() && place == choice.place(word).map(|place| place as f64)
    }

    /// A parameter of each model.
    pub fn each(&self, name: &str) -> Vec<f64> {
        self.models.iter().map(|of| of.get(name).copied().unwrap_or_default()).collect()
    }
}

/// Everything a method gets for one tensor.
#[derive(Clone)]
pub struct Operands {
    /// Name of the merged tensor.
    pub name: String,
    pub shape: Vec<u64>,
    /// The models, and after them what is read along with each of them, such as its importances.
    pub models: Vec<SourceTensor>,
    /// What each model's content is, the same wherever it is stored.
    pub contents: Vec<String>,
    /// Present when the method takes deltas.
    pub base: Option<SourceTensor>,
    pub elements: u64,
    pub params: Params,
    pub seed: u64,
    pub nonfinite: NonFinite,
    /// This tensor's part of the method's survey.
    pub survey: Option<Found>,
    /// Of each model the Gram matrix that a file holds beside this tensor; empty without.
    pub grams: Vec<SourceTensor>,
    /// Where matrices that must be held whole are.
    pub scratch: Scratch,
}

/// Consecutive elements of every input.
pub struct Block {
    /// Flat index of the first.
    pub start: u64,
    pub models: Vec<Room>,
    /// Empty without a base.
    pub base: Room,
    /// What the models are, less the base; empty without one.
    deltas: Vec<Room>,
}

impl Block {
    fn new(start: u64, models: Vec<Room>, base: Room) -> Self {
        let delta = |model: &Room| {
            let mut delta = Room::of(model.len());
            kernels::wide::subtract(model, &base, &mut delta);
            delta
        };
        let deltas = if base.is_empty() { Vec::new() } else { models.iter().map(delta).collect() };
        Self { start, models, base, deltas }
    }

    /// Elements of the block.
    pub fn len(&self) -> usize {
        self.models.first().map_or(0, |first| first.len())
    }

    /// What model `at` is, less the base if there is one.
    pub fn delta(&self, at: usize) -> &[f64] {
        if self.deltas.is_empty() { &self.models[at] } else { &self.deltas[at] }
    }

    /// [`Self::delta`] of every model.
    pub fn deltas(&self) -> Vec<&[f64]> {
        (0..self.models.len()).map(|at| self.delta(at)).collect()
    }
}

impl Operands {
    /// The inputs: the models, then the base.
    pub fn inputs(&self) -> impl Iterator<Item = &SourceTensor> {
        self.models.iter().chain(&self.base)
    }

    /// Fails once nobody wants the result any more; asked between steps that take long.
    pub fn go_on(&self) -> Result<(), weights::Error> {
        self.inputs().try_for_each(|stored| stored.source.ready(stored.index))
    }

    /// Length of the last axis; a scalar is a row of one.
    pub fn columns(&self) -> u64 {
        self.shape.last().copied().unwrap_or(1).max(1)
    }

    /// One result a block, in the order of the blocks.
    pub fn each_block<T: Send>(&self, of: impl Fn(&Block) -> T + Sync) -> Result<Vec<T>, weights::Error> {
        self.each_run(CHUNK as u64, of)
    }

    /// One result a block of whole rows; a row longer than a block is a block.
    pub fn each_rows<T: Send>(&self, of: impl Fn(&Block) -> T + Sync) -> Result<Vec<T>, weights::Error> {
        self.each_run(self.whole_rows(), of)
    }

    /// Elements of as many rows as a block holds, at least one.
    pub fn whole_rows(&self) -> u64 {
        let columns = self.columns();
        columns * (CHUNK as u64 / columns).max(1)
    }

    /// Reads elements `start..start + len` of every input, 0 for what is not finite: such an element is kept or
    /// refused as it is, and must not spoil what is computed from the others.
    pub fn read_finite(&self, start: u64, len: usize) -> Result<Block, weights::Error> {
        let read = |stored: &SourceTensor| -> Result<(Room, bool), weights::Error> {
            let mut values = Room::of(len);
            let finite = read_checked((&*stored.source, stored.index), start, &mut values)?;
            Ok((values, finite))
        };
        let read: Vec<(Room, bool)> = self.inputs().map(read).collect::<Result<_, _>>()?;
        let finite = read.iter().all(|(_, finite)| *finite);
        let mut models: Vec<Room> = read.into_iter().map(|(values, _)| values).collect();
        if !finite {
            models.iter_mut().for_each(|values| kernels::wide::zero_nonfinite(values));
        }
        let base = if self.base.is_some() { models.pop() } else { None };
        Ok(Block::new(start, models, base.unwrap_or_default()))
    }

    /// One result a run of `step` elements, in the order of the runs.
    pub fn each_run<T: Send>(
        &self,
        step: u64,
        of: impl Fn(&Block) -> T + Sync,
    ) -> Result<Vec<T>, weights::Error> {
        self.runs(step).map(|(start, len)| self.read_finite(start, len).map(|block| of(&block))).collect()
    }

    /// Runs of `step` elements, the last one perhaps shorter: first element and length of each.
    pub fn runs(&self, step: u64) -> impl ParallelIterator<Item = (u64, usize)> {
        let elements = self.elements;
        let run = move |at: u64| (at * step, (elements - at * step).min(step) as usize);
        (0..elements.div_ceil(step)).into_par_iter().map(run)
    }

    /// Key of the random numbers that `method` draws for model `at`: it depends on nothing but the method, the
    /// seed, the model's content and the tensor's name.
    pub fn key(&self, method: &str, at: usize) -> u64 {
        let mut text = format!("mask/v1\0{method}\0").into_bytes();
        text.extend(self.seed.to_le_bytes());
        text.extend(self.contents.get(at).map_or("", String::as_str).bytes());
        text.push(0);
        text.extend(weights::canonical_name(&self.name).bytes());
        // The hex digits spell the bytes from the first; the key takes the first as its lowest.
        u64::from_str_radix(&Digest::of(&text).hex()[..16], 16).unwrap_or_default().swap_bytes()
    }
}
