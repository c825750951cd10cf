//! A fine-tune of whose change only some elements are left, as the sparse merge methods choose them.

use std::{collections::BTreeMap, sync::Arc};

use domain::{Fault as _, Item, Limits};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weights::{Account, TensorInfo, TensorSource};

use crate::{
    Error,
    merge::{self, Input, Inputs},
};

/// Which elements of a change are carried over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sparsify {
    pub kind: SparseKind,
    /// Share of the elements of each tensor that is kept, 0 to 1.
    pub density: f64,
    /// Of `middle`: share of the largest elements that is dropped first; 0.01 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma: Option<f64>,
    /// Of `magprune`: how far probabilities reach from the density; 0.15 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Of `random` and `magprune`: chooses the masks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seed: u64,
}

fn is_zero(seed: &u64) -> bool {
    *seed == 0
}

/// How elements are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SparseKind {
    /// The largest, as TIES.
    Magnitude,
    /// The largest but for the very largest, as Model Breadcrumbs.
    Middle,
    /// At random, what is kept divided by the density, as DARE.
    Random,
    /// At random, large ones more often, what is kept divided by its probability, as DELLA.
    Magprune,
}

impl SparseKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Magnitude, Self::Middle, Self::Random, Self::Magprune];

    /// As recipes write it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Magnitude => "magnitude",
            Self::Middle => "middle",
            Self::Random => "random",
            Self::Magprune => "magprune",
        }
    }

    const fn method(self) -> &'static str {
        match self {
            Self::Magnitude => "ties",
            Self::Middle => "breadcrumbs",
            Self::Random => "dare_linear",
            Self::Magprune => "della_linear",
        }
    }

    const fn is_random(self) -> bool {
        matches!(self, Self::Random | Self::Magprune)
    }
}

const BASE: &str = "source base";
const TUNED: &str = "tuned model";

impl Sparsify {
    /// What is wrong with it, whatever the models.
    pub(crate) fn faults(&self) -> Vec<Item> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, message: String| {
            faults.push(Item { pointer: format!("/sparsify/{field}"), message });
        };
        if !(0.0..=1.0).contains(&self.density) {
            fault("density", format!("it is a share from 0 to 1, not {}", self.density));
        }
        for (field, value, kind) in
            [("gamma", self.gamma, SparseKind::Middle), ("epsilon", self.epsilon, SparseKind::Magprune)]
        {
            if let Some(value) = value.filter(|value| !(0.0..=1.0).contains(value)) {
                fault(field, format!("it is a share from 0 to 1, not {value}"));
            }
            if value.is_some() && self.kind != kind {
                let (own, kind) = (self.kind.label(), kind.label());
                fault(field, format!("it goes with `{kind}`, not with `{own}`"));
            }
        }
        faults
    }

    /// `tuned` with what is kept of its change from `base`. Tables that have other rows than the base's, and what the base has
    /// not, stay as they are. `content` pins what the tuned model is: random masks are drawn from it.
    ///
    /// # Errors
    /// Every fault of the options at once.
    pub fn thinned(
        &self,
        base: &Arc<dyn TensorSource>,
        (tuned, content): (&Arc<dyn TensorSource>, String),
        limits: &Limits,
    ) -> Result<Arc<dyn TensorSource>, Error> {
        let faults = self.faults();
        if !faults.is_empty() {
            return Err(Error::faults(faults));
        }
        let named = crate::renamed::like(tuned, &**base);
        let input = |source: &Arc<dyn TensorSource>, content: String| Input {
            source: Arc::clone(source),
            content,
            config: None,
        };
        let inputs = Inputs::from([
            (BASE.to_owned(), input(base, String::new())),
            (TUNED.to_owned(), input(&named, content)),
        ]);
        let recipe = merge::parse(&self.recipe().to_string())?;
        let sparse = merge::check(&recipe, &inputs, limits).map_err(placed)?;
        let merged: Vec<String> =
            sparse.explain().filter(|told| told.made == "merged").map(|told| told.tensor).collect();
        let sparse: Arc<dyn TensorSource> = Arc::new(sparse);
        let place = |(at, info): (usize, &TensorInfo)| {
            let own = merged.binary_search(&info.name).ok().and_then(|_| sparse.position(&info.name));
            match own {
                Some(index) => (sparse.tensors()[index].clone(), (Arc::clone(&sparse), index)),
                None => (info.clone(), (Arc::clone(&named), at)),
            }
        };
        let (infos, places) = named.tensors().iter().enumerate().map(place).unzip();
        Ok(Arc::new(Thinned { infos, places, tuned: named }))
    }

    /// The merge of one model that keeps as much of its change, in numbers that are not rounded.
    fn recipe(&self) -> Value {
        let shared = match self.kind.is_random() {
            true => json!({ "normalize": false, "rescale": true, "rescale_mode": "inverse_p" }),
            false => json!({ "normalize": false, "rescale": false }),
        };
        let mut own = json!({ "weight": 1, "density": self.density });
        for (name, value) in [("gamma", self.gamma), ("epsilon", self.epsilon)] {
            if let Some(value) = value {
                own[name] = json!(value);
            }
        }
        json!({
            "merge_method": self.kind.method(),
            "base_model": BASE,
            "models": [{ "model": TUNED, "parameters": own }],
            "parameters": shared,
            "dtype": "float64",
            "seed": self.seed,
            "allow_crimes": true,
        })
    }
}

/// The faults of the merge as those of the request.
fn placed(error: Error) -> Error {
    let Error::Faults(_) = &error else { return error };
    let place = |item: Item| match item.pointer.rsplit_once("/parameters/") {
        Some((_, name)) => Item { pointer: format!("/sparsify/{name}"), ..item },
        None => item,
    };
    Error::faults(error.items().into_iter().map(place).collect())
}

struct Thinned {
    infos: Vec<TensorInfo>,
    places: Vec<(Arc<dyn TensorSource>, usize)>,
    tuned: Arc<dyn TensorSource>,
}

impl Thinned {
    fn own(&self, index: usize) -> Result<&(Arc<dyn TensorSource>, usize), weights::Error> {
        let none = || crate::computed::refused(format!("tensor {index} was asked for, which is not there"));
        self.places.get(index).ok_or_else(none)
    }
}

impl TensorSource for Thinned {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        let (source, at) = self.own(index)?;
        source.read_bytes(*at, offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        let (source, at) = self.own(index)?;
        source.read_f32(*at, start, out)
    }

    fn ready(&self, index: usize) -> Result<(), weights::Error> {
        let (source, at) = self.own(index)?;
        source.ready(*at)
    }

    fn view(&self, index: usize, offset: u64, len: usize) -> Option<&[u8]> {
        let (source, at) = self.places.get(index)?;
        source.view(*at, offset, len)
    }

    fn read_unrounded(
        &self,
        index: usize,
        start: u64,
        out: &mut [f64],
    ) -> Option<Result<(), weights::Error>> {
        let (source, at) = self.places.get(index)?;
        source.read_unrounded(*at, start, out)
    }

    fn account(&self, index: usize) -> Account {
        self.places.get(index).map(|(source, at)| source.account(*at)).unwrap_or_default()
    }

    fn cautions(&self) -> Vec<Item> {
        self.tuned.cautions()
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.tuned.metadata()
    }
}
