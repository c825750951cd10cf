//! One member of a stored difference that several fine-tunes share (EMR, arXiv 2405.17461), read as its own dense one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::Limits;
use kernels::Dtype;
use serde_json::Value;

use crate::{
    Result, TensorInfo, TensorSource,
    difference::{LABEL, read_f64, refused, shape},
    is_difference, json,
    range::{decode_range, encode_range, slice_of},
};

/// The version of the form that is read.
const VERSION: &str = "1";
const SCALES: &str = "scales";

/// `s·m·U` of one member: names and shapes of the tensors that all members share, F32, or F64 where U is.
pub struct Unified {
    file: Arc<dyn TensorSource>,
    infos: Vec<TensorInfo>,
    stored: Vec<Columns>,
    member: u64,
    scale: f64,
}

/// Positions of the shared difference and of the bits of all members.
struct Columns {
    shared: usize,
    masks: usize,
}

impl Unified {
    /// Names of the members, in the order of their bits; none where `file` is no difference that several share.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] `bad_difference` for another version, fewer than two members, or a name that is empty or there
    /// twice.
    pub fn members(file: &dyn TensorSource, limits: &Limits) -> Result<Option<Vec<String>>> {
        let metadata = file.metadata();
        if !is_difference(file) || metadata.get("form").is_none_or(|form| form != "emr") {
            return Ok(None);
        }
        let version = metadata.get("version").map_or("(none)", String::as_str);
        if version != VERSION {
            return Err(refused(format!("it has version {version} of the form emr; {VERSION} is read")));
        }
        let text = metadata.get("members").map_or("[]", String::as_str);
        let members = json::config(text.as_bytes(), LABEL, limits.header_bytes)?;
        let name = |member: &Value| {
            let name = member.get("name")?.as_str()?;
            (!name.is_empty() && !name.chars().any(char::is_control)).then(|| name.to_owned())
        };
        let names: Option<Vec<String>> = members.as_array().and_then(|of| of.iter().map(name).collect());
        let names = names.ok_or_else(|| refused("`members` must be a list of objects with a `name`"))?;
        let distinct: BTreeSet<&String> = names.iter().collect();
        if names.len() < 2 || distinct.len() != names.len() {
            return Err(refused("`members` must name two or more, each once"));
        }
        Ok(Some(names))
    }

    /// Reads member `index` of `count`; its tensors are checked against the description, not read.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] `bad_difference` when the tensors are not those described, a scale is not finite, or no member has
    /// this index; read errors.
    pub fn new(file: Arc<dyn TensorSource>, (index, count): (usize, usize), limits: &Limits) -> Result<Self> {
        let scale = scale(&*file, (index, count))?;
        let metadata = file.metadata();
        let described = metadata.get("tensors").map_or("{}", String::as_str);
        let described = json::config(described.as_bytes(), LABEL, limits.header_bytes)?;
        let described = described.as_object().ok_or_else(|| refused("`tensors` must be a JSON object"))?;
        let mut found = BTreeMap::new();
        for (name, about) in described {
            let shape =
                shape(about, limits).ok_or_else(|| refused(format!("`{name}` has no usable shape")))?;
            let parts = ["unified", "masks"].map(|end| file.position(&format!("{name}.{end}")));
            let [Some(shared), Some(masks)] = parts else {
                return Err(refused(format!("`{name}` needs a unified difference and masks")));
            };
            check(&*file, &shape, ([shared, masks], count as u64))?;
            let dtype = match file.tensors()[shared].dtype {
                Dtype::F64 => Dtype::F64,
                _ => Dtype::F32,
            };
            let info = TensorInfo { name: name.clone(), dtype, shape };
            found.insert(name.clone(), (info, Columns { shared, masks }));
        }
        if file.tensors().len() != 2 * found.len() + 1 {
            return Err(refused("it holds tensors that are not described"));
        }
        let (infos, stored) = found.into_values().unzip();
        Ok(Self { file, infos, stored, member: index as u64, scale })
    }

    fn values(&self, index: usize, start: u64, out: &mut [f64]) -> Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let Columns { shared, masks } = self.stored[index];
        read_f64(&*self.file, shared, start, out)?;
        let row = self.infos[index].elements().div_ceil(8);
        let end = (start + out.len() as u64).div_ceil(8);
        let mut bits = vec![0; (end - start / 8) as usize];
        self.file.read_bytes(masks, self.member * row + start / 8, &mut bits)?;
        for (at, value) in (start as usize % 8..).zip(out) {
            let agrees = (bits[at / 8] >> (at % 8)) & 1 == 1;
            *value = if agrees { *value * self.scale } else { 0.0 };
        }
        Ok(())
    }
}

/// The scale of one member.
fn scale(file: &dyn TensorSource, (index, count): (usize, usize)) -> Result<f64> {
    let place = file.position(SCALES).ok_or_else(|| refused("it has no `scales`"))?;
    let scales = &file.tensors()[place];
    if scales.dtype != Dtype::F64 || scales.shape != [count as u64] || index >= count {
        let (dtype, shape) = (scales.dtype, &scales.shape);
        return Err(refused(format!("`scales` is {dtype} {shape:?}; F64 [{count}] is expected")));
    }
    let mut scale = [0.0];
    read_f64(file, place, index as u64, &mut scale)?;
    match scale[0] {
        scale if scale.is_finite() => Ok(scale),
        scale => Err(refused(format!("the scale of member {} is {scale}", index + 1))),
    }
}

/// Whether there is a float for every element, and a bit for every element of every member.
fn check(file: &dyn TensorSource, shape: &[u64], ([shared, masks], count): ([usize; 2], u64)) -> Result<()> {
    let (shared, masks) = (&file.tensors()[shared], &file.tensors()[masks]);
    let bits = [count, shape.iter().product::<u64>().div_ceil(8)];
    if shared.dtype.is_float() && shared.shape == shape && masks.dtype == Dtype::U8 && masks.shape == bits {
        return Ok(());
    }
    Err(refused(format!(
        "`{}` is {} {:?} and `{}` {} {:?}; a float {shape:?} and U8 {bits:?} are expected",
        shared.name, shared.dtype, shared.shape, masks.name, masks.dtype, masks.shape
    )))
}

impl TensorSource for Unified {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<()> {
        let info = slice_of(&self.infos, index, offset, out.len())?;
        encode_range(info, offset, out, |first, values| self.values(index, first, values)).map(drop)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<()> {
        decode_range(self, index, start, out)
    }

    fn read_unrounded(&self, index: usize, start: u64, out: &mut [f64]) -> Option<Result<()>> {
        let end = start.saturating_add(out.len() as u64);
        let inside = self.infos.get(index).is_some_and(|info| end <= info.elements());
        inside.then(|| self.values(index, start, out))
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.file.metadata()
    }
}
