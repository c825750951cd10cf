//! Tensors that do not exist yet: element arithmetic in f64, one rounding, any byte range in bounded memory.

use std::{
    cell::Cell,
    io,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

use kernels::Dtype;
use rayon::prelude::*;
use weights::{TensorInfo, TensorSource};

use crate::{Error, excess::Excess, merge::is_table, room::Room};

/// Elements computed at a time; also the unit of parallel work.
pub const BLOCK: usize = 65_536;

/// Elements read at a time where several inputs are combined: all of them stay in the second-level cache.
pub const CHUNK: usize = 16_384;

/// A tensor source whose elements are computed. `fill` must give an element the same value in any block.
pub trait Computed: Sync {
    /// All tensors, sorted by name.
    fn infos(&self) -> &[TensorInfo];

    /// Does what is done once a tensor before the parallel reading of its elements.
    fn ready(&self, _index: usize) -> Result<(), weights::Error> {
        Ok(())
    }

    /// Computes elements `start..start + out.len()` of tensor `index`; gives how many are not finite although all that they
    /// were computed from are.
    fn fill(&self, index: usize, start: u64, out: &mut [f64]) -> Result<u64, weights::Error>;

    /// Computes what [`Self::fill`] does, rounded to the tensor's dtype; gives how many left its range or were made not finite.
    fn encode(
        &self,
        index: usize,
        start: u64,
        (dtype, out): (Dtype, &mut [u8]),
    ) -> Result<u64, weights::Error> {
        let mut values = vec![0.0; out.len() / (dtype.bits() / 8) as usize];
        let made = self.fill(index, start, &mut values)?;
        Ok(made + kernels::encode_f64(dtype, &values, out))
    }

    /// Does what [`Self::encode`] does on a device; `None` where none does.
    fn encode_elsewhere(
        &self,
        _index: usize,
        _start: u64,
        _out: (Dtype, &mut [u8]),
    ) -> Option<Result<u64, weights::Error>> {
        None
    }

    /// What is at fault when values leave the range of their number format.
    fn excess(&self) -> Excess {
        Excess::Format
    }

    /// Reads stored bytes of a tensor that is copied; `None` when it is computed.
    fn copied(&self, index: usize, offset: u64, out: &mut [u8]) -> Option<Result<(), weights::Error>>;
}

/// An input or request that cannot be honoured while streaming.
pub fn refused(message: String) -> weights::Error {
    io::Error::new(io::ErrorKind::InvalidData, message).into()
}

fn in_range(
    infos: &[TensorInfo],
    index: usize,
    end: impl Fn(&TensorInfo) -> Option<bool>,
) -> Result<&TensorInfo, weights::Error> {
    let Some(info) = infos.get(index) else {
        return Err(refused(format!("tensor {index} was asked for, there are {}", infos.len())));
    };
    match end(info) {
        Some(true) => Ok(info),
        _ => Err(refused(format!("a range past the end of tensor `{}` was asked for", info.name))),
    }
}

/// The tensors of a stored form with what belongs to each, sorted by name.
///
/// # Errors
/// When a tensor is called like the part that another is stored as.
pub fn by_name<P>(mut tensors: Vec<(TensorInfo, P)>) -> Result<Vec<(TensorInfo, P)>, Error> {
    tensors.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    match tensors.windows(2).find(|pair| pair[0].0.name == pair[1].0.name) {
        None => Ok(tensors),
        Some(twice) => Err(Error::fault(
            "/form",
            format!(
                "two tensors would be called `{}`: one of the model and a part of another",
                twice[0].0.name
            ),
        )),
    }
}

/// [`TensorSource::read_bytes`] of a computed source.
pub fn read_bytes<C: Computed + ?Sized>(
    source: &C,
    index: usize,
    offset: u64,
    out: &mut [u8],
) -> Result<(), weights::Error> {
    let len = out.len() as u64;
    let info = in_range(source.infos(), index, |info| Some(offset.checked_add(len)? <= info.bytes()))?;
    if out.is_empty() {
        return Ok(());
    }
    if let Some(outcome) = source.copied(index, offset, out) {
        return outcome;
    }
    let width = info.dtype.bits() / 8;
    let (first, lead) = (offset / width, (offset % width) as usize);
    let elements = (offset + len).div_ceil(width) - first;
    let width = width as usize;
    if lead == 0 && out.len().is_multiple_of(width) {
        return encode_blocks(source, (index, info.dtype), first, out);
    }
    let mut whole = vec![0; elements as usize * width];
    encode_blocks(source, (index, info.dtype), first, &mut whole)?;
    out.copy_from_slice(&whole[lead..lead + out.len()]);
    Ok(())
}

fn encode_blocks<C: Computed + ?Sized>(
    source: &C,
    (index, dtype): (usize, Dtype),
    first: u64,
    out: &mut [u8],
) -> Result<(), weights::Error> {
    let width = (dtype.bits() / 8) as usize;
    source.ready(index)?;
    let within = |beyond| match beyond {
        0 => Ok(()),
        beyond => {
            let info = in_range(source.infos(), index, |_| Some(true))?;
            Err(source.excess().refusal(info, beyond))
        }
    };
    if let Some(outcome) = source.encode_elsewhere(index, first, (dtype, out)) {
        return outcome.and_then(within);
    }
    out.par_chunks_mut(BLOCK * width).enumerate().try_for_each(|(at, bytes)| {
        within(source.encode(index, first + (at * BLOCK) as u64, (dtype, bytes))?)
    })
}

thread_local! {
    /// Bytes of one read, kept for the next: memory fresh from the system costs more than what is read into it.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Reads elements exactly: f64 tensors keep their precision, all other floats widen.
pub fn read_f64(
    source: &dyn TensorSource,
    index: usize,
    start: u64,
    out: &mut [f64],
) -> Result<(), weights::Error> {
    read_checked((source, index), start, out).map(drop)
}

/// As [`read_f64`]; tells whether all elements are finite.
pub fn read_checked(
    (source, index): (&dyn TensorSource, usize),
    start: u64,
    out: &mut [f64],
) -> Result<bool, weights::Error> {
    let mut buffer = SPARE.take();
    let finite = stored(source, index, (start, out.len()), &mut buffer)
        .map(|values| kernels::wide::widen(values, out));
    SPARE.set(buffer);
    finite
}

/// Stored elements `start..start + len` of a float tensor: in place where they lie in memory, else read into `buffer`. What a
/// source computes comes as f64, not rounded yet.
pub fn stored<'a>(
    source: &'a dyn TensorSource,
    index: usize,
    (start, len): (u64, usize),
    buffer: &'a mut Vec<u8>,
) -> Result<kernels::Encoded<'a>, weights::Error> {
    let info =
        in_range(source.tensors(), index, |info| Some(start.checked_add(len as u64)? <= info.elements()))?;
    let dtype = info.dtype;
    if !dtype.is_float() {
        return Err(refused(format!("tensor `{}` is {dtype}, not a float tensor", info.name)));
    }
    let width = dtype.bits() / 8;
    let (offset, size) = (start * width, len * width as usize);
    if let Some(bytes) = source.view(index, offset, size) {
        return Ok(kernels::Encoded { dtype, bytes });
    }
    if is_unrounded(source, index) {
        let mut values = Room::of(len);
        if let Some(outcome) = source.read_unrounded(index, start, &mut values) {
            outcome?;
            buffer.clear();
            values.iter().for_each(|value| buffer.extend(value.to_le_bytes()));
            return Ok(kernels::Encoded { dtype: Dtype::F64, bytes: buffer });
        }
    }
    buffer.resize(size, 0);
    source.read_bytes(index, offset, buffer)?;
    Ok(kernels::Encoded { dtype, bytes: buffer })
}

/// Whether a source computes a tensor, and gives it before it is rounded.
pub fn is_unrounded(source: &dyn TensorSource, index: usize) -> bool {
    source.read_unrounded(index, 0, &mut []).is_some()
}

/// Reads stored bytes of a tensor for a device, which keeps them in memory of its own. A failure is left in `failed`.
pub fn read_for_device<E: From<weights::Error>>(
    (source, index): (&dyn TensorSource, usize),
    start: u64,
    out: &mut [u8],
    failed: &Mutex<Option<E>>,
) -> ControlFlow<()> {
    let offset = start * (source.tensors()[index].dtype.bits() / 8);
    let outcome = match source.view(index, offset, out.len()) {
        Some(bytes) => {
            out.copy_from_slice(bytes);
            Ok(())
        }
        None => source.read_bytes(index, offset, out),
    };
    match outcome {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.into());
            ControlFlow::Break(())
        }
    }
}

/// A value as a tensor of this float format gives it back.
pub fn as_stored(dtype: Dtype, value: f64) -> f64 {
    let (mut bytes, mut stored) = (vec![0; dtype.bits() as usize / 8], [0.0]);
    kernels::encode_f64(dtype, &[value], &mut bytes);
    kernels::decode_f64(dtype, &bytes, &mut stored);
    stored[0]
}

/// Buffers a model can do without: recomputed from the config, absent from many checkpoints.
pub fn is_buffer(name: &str) -> bool {
    [".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", "position_ids"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// A tensor of an opened checkpoint.
#[derive(Clone)]
pub struct SourceTensor {
    pub label: String,
    pub source: Arc<dyn TensorSource>,
    pub index: usize,
}

/// Whether tensors that must be equal were found to be: they are compared whole, so once and not with every block.
#[derive(Default)]
pub struct Equal(Mutex<bool>);

impl Equal {
    /// Compares `held`, the same at every call, unless they were found equal before.
    ///
    /// # Errors
    /// When one differs from the first, or cannot be read.
    pub fn require(&self, held: &[SourceTensor]) -> Result<(), weights::Error> {
        let mut equal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !*equal {
            must_be_equal(held)?;
            *equal = true;
        }
        Ok(())
    }
}

/// Integer tensors are never computed with: they must have the same bytes in every model.
pub fn must_be_equal(held: &[SourceTensor]) -> Result<(), weights::Error> {
    let (first, others) = held.split_first().ok_or_else(|| refused("a tensor without inputs".into()))?;
    let Some(other) = differing(first, others)? else { return Ok(()) };
    let info = &first.source.tensors()[first.index];
    let (name, dtype, a, b) = (&info.name, info.dtype, &first.label, &other.label);
    Err(refused(format!(
        "{dtype} tensor `{name}` differs between `{a}` and `{b}`; it cannot be computed with"
    )))
}

/// The first of `others`, which have as many bytes, that holds others.
pub fn differing<'a>(
    first: &SourceTensor,
    others: &'a [SourceTensor],
) -> Result<Option<&'a SourceTensor>, weights::Error> {
    for (start, len) in blocks(first.source.tensors()[first.index].bytes()) {
        let (mut ours, mut theirs) = (vec![0; len], vec![0; len]);
        first.source.read_bytes(first.index, start, &mut ours)?;
        for other in others {
            other.source.read_bytes(other.index, start, &mut theirs)?;
            if ours != theirs {
                return Ok(Some(other));
            }
        }
    }
    Ok(None)
}

/// How many elements of `out` are not finite although all `values` that they were computed from are.
pub fn made_nonfinite(values: &[&[f64]], out: &[f64]) -> u64 {
    if kernels::wide::nonfinite(out) == 0 {
        return 0;
    }
    let of_finite = |at: usize| values.iter().all(|of| of[at].is_finite());
    out.iter().enumerate().filter(|(at, value)| !value.is_finite() && of_finite(*at)).count() as u64
}

/// Infinity passes when all inputs agree on it, e.g. a mask, and is an error otherwise, as NaN always is.
pub fn keep_or_refuse_nonfinite<'l>(
    tensor: &str,
    start: u64,
    (values, labels): (&[&[f64]], impl Iterator<Item = &'l str>),
    out: &mut [f64],
) -> Result<(), weights::Error> {
    let infinite = |value: &&f64| !value.is_finite();
    if values.iter().all(|of| of.iter().filter(infinite).count() == 0) {
        return Ok(());
    }
    let labels: Vec<&str> = labels.collect();
    for (at, out) in out.iter_mut().enumerate() {
        let Some(who) = values.iter().position(|of| !of[at].is_finite()) else { continue };
        let first = values[0][at];
        if first.is_nan() || values.iter().any(|of| of[at] != first) {
            let (place, found) = (start + at as u64, values[who][at]);
            return Err(refused(format!(
                "`{}` holds {found} in tensor `{tensor}` at element {place}",
                labels[who]
            )));
        }
        *out = first;
    }
    Ok(())
}

/// Whether two shapes of a tensor differ because the vocabularies do: in the rows of a table of tokens alone.
pub fn other_vocabulary(name: &str, ours: &[u64], theirs: &[u64]) -> bool {
    let rest = |shape: &[u64]| shape.split_first().map(|(_, rest)| rest.to_vec());
    is_table(name) && ours != theirs && !ours.is_empty() && rest(ours) == rest(theirs)
}

/// The blocks of a tensor: first element and length of each.
pub fn blocks(elements: u64) -> impl Iterator<Item = (u64, usize)> {
    let step = BLOCK as u64;
    (0..elements.div_ceil(step)).map(move |at| (at * step, (elements - at * step).min(step) as usize))
}
