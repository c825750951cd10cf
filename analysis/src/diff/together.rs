//! Several fine-tunes of one base, paired by tensor: what a difference that they share is taken of.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::Item;
use kernels::Dtype;
use serde_json::json;
use weights::{TensorInfo, TensorSource};

use super::{
    origin::Told,
    source::{NAMED, float_only},
};
use crate::{
    Error,
    computed::{other_vocabulary, read_f64, refused},
    room::Room,
};

/// A model with what a file says of it.
#[derive(Clone)]
pub struct Origin {
    pub told: Told,
    pub source: Arc<dyn TensorSource>,
}

/// Two or more fine-tunes and their base.
pub struct Together {
    base: Origin,
    members: Vec<Origin>,
    infos: Vec<TensorInfo>,
    /// Of each tensor its place in the base, then in every member.
    places: Vec<Vec<usize>>,
    left_out: Vec<String>,
}

impl Together {
    /// Pairs the float tensors by name. What only some of the models hold, or hold as integers, is left out.
    ///
    /// # Errors
    /// Fewer than two members; a member that is listed twice or is the base; every tensor of another shape than in the
    /// base; and when no float tensor is in all models.
    pub fn new(base: Origin, members: Vec<Origin>) -> Result<Self, Error> {
        if members.len() < 2 {
            return Err(Error::TooFewModels { needed: 2, given: members.len() });
        }
        let mut faults = repeated(&base, &members);
        let mut names = BTreeSet::new();
        for model in members.iter().chain([&base]) {
            names.extend(model.source.tensors().iter().map(|info| info.name.clone()));
        }
        let (mut infos, mut places, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for name in names {
            let held = [&base].into_iter().chain(&members).map(|model| model.source.position(&name));
            let Some(held) = held.collect::<Option<Vec<usize>>>() else {
                left_out.push(name);
                continue;
            };
            let info = |at: usize| {
                let model = if at == 0 { &base } else { &members[at - 1] };
                &model.source.tensors()[held[at]]
            };
            let all: Vec<&TensorInfo> = (0..held.len()).map(info).collect();
            if !all.iter().all(|info| info.dtype.is_float()) {
                left_out.push(name);
                continue;
            }
            let other = all.iter().zip([&base].into_iter().chain(&members));
            faults.extend(other.filter_map(|(info, model)| mismatch(all[0], info, &model.told.name)));
            infos.push(TensorInfo { dtype: common(&all), ..all[0].clone() });
            places.push(held);
        }
        if !faults.is_empty() {
            return Err(Error::faults(faults));
        }
        if infos.is_empty() {
            let hint = format!("{} names in {} models", left_out.len(), members.len() + 1);
            return Err(Error::NothingInCommon { hint });
        }
        Ok(Self { base, members, infos, places, left_out })
    }

    /// The same, with every tensor to be stored as `dtype`.
    ///
    /// # Errors
    /// A dtype that is no float.
    pub fn stored_as(mut self, dtype: Dtype) -> Result<Self, Error> {
        float_only(dtype)?;
        self.infos.iter_mut().for_each(|info| info.dtype = dtype);
        Ok(self)
    }

    /// The tensors that all models hold, with the number format that they are stored in: BF16 or F16 where all models store
    /// a tensor so, else F32.
    pub fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    /// The fine-tunes, in the order given.
    pub fn members(&self) -> &[Origin] {
        &self.members
    }

    /// Tensors that only some models hold, or that are integers in one.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Of every member `x − b` at elements `start..start + len` of tensor `index`.
    pub(super) fn deltas(&self, index: usize, (start, len): (u64, usize)) -> Result<Vec<Room>, Error> {
        let places = &self.places[index];
        let mut base = Room::of(len);
        read_f64(&*self.base.source, places[0], start, &mut base)?;
        let delta = |(member, place): (&Origin, &usize)| {
            let mut delta = Room::of(len);
            read_f64(&*member.source, *place, start, &mut delta)?;
            delta.iter_mut().zip(base.iter()).for_each(|(value, base)| *value -= base);
            match delta.iter().position(|value| !value.is_finite()) {
                None => Ok(delta),
                Some(at) => {
                    let (of, tensor) = (&member.told.name, &self.infos[index].name);
                    let (value, at) = (delta[at], start + at as u64);
                    Err(Error::from(refused(format!(
                        "the difference of `{of}` in tensor `{tensor}` is {value} at element {at}; only finite \
                         values have one that is shared"
                    ))))
                }
            }
        };
        self.members.iter().zip(&places[1..]).map(delta).collect()
    }

    /// What a file says of the models and of what it leaves out.
    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("content".into(), "difference".into()),
            ("base".into(), json!(self.base.told).to_string()),
            ("left_out".into(), self.left_out.iter().take(NAMED).cloned().collect::<Vec<_>>().join(" ")),
            ("left_out_count".into(), self.left_out.len().to_string()),
        ])
    }
}

/// Members that are the base, or one before them.
fn repeated(base: &Origin, members: &[Origin]) -> Vec<Item> {
    let same = |a: &Origin, b: &Origin| !a.told.content.is_empty() && a.told.content == b.told.content;
    let fault = |(at, member): (usize, &Origin)| {
        let message = if same(member, base) {
            "it is the base itself; only its fine-tunes are stored".to_owned()
        } else {
            let first = members[..at].iter().find(|other| same(other, member))?;
            format!("it is the same model as `{}`; each is stored once", first.told.name)
        };
        let pointer = at.checked_sub(1).map_or("/tuned".to_owned(), |at| format!("/with/{at}"));
        Some(Item { pointer, message })
    };
    members.iter().enumerate().filter_map(fault).collect()
}

fn mismatch(base: &TensorInfo, info: &TensorInfo, model: &str) -> Option<Item> {
    let differs = info.shape != base.shape;
    differs.then(|| {
        let vocabularies = other_vocabulary(&base.name, &base.shape, &info.shape);
        let hint = if vocabularies { "; their vocabularies differ" } else { "" };
        let message = format!("has shape {:?} in `{model}`, in the base {:?}{hint}", info.shape, base.shape);
        Item { pointer: base.name.clone(), message }
    })
}

/// The half format that all of them have, else F32.
fn common(all: &[&TensorInfo]) -> Dtype {
    let half = [Dtype::Bf16, Dtype::F16].into_iter().find(|half| all.iter().all(|info| info.dtype == *half));
    half.unwrap_or(Dtype::F32)
}
