//! A stored difference, sparse, of low rank, packed or as signs, read as the dense one it stands for.

use std::{collections::BTreeMap, sync::Arc};

use domain::Limits;
use kernels::Dtype;
use serde_json::Value;

use crate::{
    Error, Packing, Result, TensorInfo, TensorSource,
    baked::{Delta, Held},
    fitting::FREE_RANK,
    json,
    range::{decode_range, encode_range, read_whole, slice_of},
};

/// Entries of a sparse tensor read at a time.
const CHUNK: u64 = 65_536;
pub(crate) const LABEL: &str = "the stored difference";

/// Whether a checkpoint is the difference of two.
pub fn is_difference(source: &dyn TensorSource) -> bool {
    source.metadata().get("content").is_some_and(|content| content == "difference")
}

/// How one tensor is stored.
enum StoredAs {
    Whole(usize),
    /// Positions of the indices, ascending, and of the values.
    Sparse {
        indices: usize,
        values: usize,
    },
    /// Positions of the signs, a bit each, and of their one size.
    Signs {
        signs: usize,
        scale: usize,
    },
    /// The factors, held in memory like an adapter's.
    LowRank(Delta),
}

/// The dense difference: names and shapes of the tensors it was taken of. What a sparse form left out is zero.
pub struct Difference {
    file: Arc<dyn TensorSource>,
    infos: Vec<TensorInfo>,
    stored: Vec<StoredAs>,
}

impl Difference {
    /// `file` as it is, unless its metadata says that it is a difference in a smaller form.
    ///
    /// # Errors
    /// As [`Self::new`], and for a difference that several models share, which is read by member: [`crate::Unified`].
    pub fn dense(file: Arc<dyn TensorSource>, limits: &Limits) -> Result<Arc<dyn TensorSource>> {
        let form = file.metadata().remove("form");
        match form.as_deref() {
            Some("sparse" | "low-rank" | "bitdelta" | "skillpack-rtn") if is_difference(&*file) => {
                Ok(Arc::new(Self::new(file, limits)?))
            }
            Some("emr") if is_difference(&*file) => {
                Err(refused("several models share it; it is read by one of its members"))
            }
            _ => Ok(file),
        }
    }

    /// Reads the description in the metadata, the factors, and every index once.
    ///
    /// # Errors
    /// [`Error::Malformed`] `bad_difference` when the tensors are not those described, or an index is out of order
    /// or range; [`Error::TooLarge`] when its factors have more bytes as F32 than [`Limits::low_rank_bytes`]; read errors.
    pub fn new(file: Arc<dyn TensorSource>, limits: &Limits) -> Result<Self> {
        let metadata = file.metadata();
        let described = metadata.get("tensors").map_or("{}", String::as_str);
        let described = json::config(described.as_bytes(), LABEL, limits.header_bytes)?;
        let described = described.as_object().ok_or_else(|| refused("`tensors` must be a JSON object"))?;
        let mut found: BTreeMap<String, (TensorInfo, StoredAs)> = BTreeMap::new();
        let mut used = vec![false; file.tensors().len()];
        let mut held = Held::new("the factors of the stored difference as F32", limits);
        for (name, about) in described {
            let pairs =
                [["indices", "values"], ["lora_A", "lora_B"], ["signs", "scale"], ["codes", "scales"]];
            let parts = pairs.map(|ends| ends.map(|end| file.position(&format!("{name}.{end}"))));
            let shape =
                shape(about, limits).ok_or_else(|| refused(format!("`{name}` has no usable shape")))?;
            let none = [None; 2];
            let (stored, places) = match parts {
                [[Some(indices), Some(values)], ..] if parts[1..] == [none; 3] => {
                    (StoredAs::Sparse { indices, values }, [indices, values])
                }
                [_, [Some(down), Some(up)], ..] if [parts[0], parts[2], parts[3]] == [none; 3] => {
                    (StoredAs::LowRank(factors((&*file, &mut held), &shape, (down, up))?), [down, up])
                }
                [.., [Some(signs), Some(scale)], _] if [parts[0], parts[1], parts[3]] == [none; 3] => {
                    check_signs(&*file, &shape, [signs, scale])?;
                    (StoredAs::Signs { signs, scale }, [signs, scale])
                }
                [.., [Some(codes), Some(scales)]] if parts[..3] == [none; 3] => {
                    let rank = about.get("rank").and_then(Value::as_u64);
                    let packed = packed((&*file, &mut held), (&shape, rank), [codes, scales])?;
                    (StoredAs::LowRank(packed), [codes, scales])
                }
                _ => {
                    let message = format!(
                        "`{name}` needs indices and values, two factors, signs and a scale, or codes and scales"
                    );
                    return Err(refused(message));
                }
            };
            places.into_iter().for_each(|place| used[place] = true);
            let dtype = file.tensors()[places[1]].dtype;
            let info = TensorInfo { name: name.clone(), dtype, shape };
            if let StoredAs::Sparse { .. } = stored {
                check(&*file, &info, places)?;
            }
            found.insert(name.clone(), (info, stored));
        }
        for (index, info) in file.tensors().iter().enumerate().filter(|(index, _)| !used[*index]) {
            if !info.dtype.is_float() {
                return Err(refused(format!(
                    "`{}` is {}, not described and no float",
                    info.name, info.dtype
                )));
            }
            if found.insert(info.name.clone(), (info.clone(), StoredAs::Whole(index))).is_some() {
                return Err(refused(format!("`{}` is stored twice", info.name)));
            }
        }
        let (infos, stored): (Vec<TensorInfo>, _) = found.into_values().unzip();
        // A few described bytes could stand for any amount of work.
        let size = infos.iter().fold(0u64, |size, info| size.saturating_add(info.bytes()));
        if size > limits.file_bytes {
            return Err(Error::TooLarge { file: LABEL.to_owned(), size, limit: limits.file_bytes });
        }
        Ok(Self { file, infos, stored })
    }

    fn values(&self, index: usize, start: u64, out: &mut [f64]) -> Result<()> {
        match &self.stored[index] {
            StoredAs::Whole(theirs) => read_f64(&*self.file, *theirs, start, out),
            StoredAs::LowRank(delta) => {
                out.fill(0.0);
                delta.add((start as usize, 1.0), out);
                Ok(())
            }
            StoredAs::Signs { signs, scale } => {
                let mut size = [0.0];
                read_f64(&*self.file, *scale, 0, &mut size)?;
                let end = (start + out.len() as u64).div_ceil(8);
                let mut bytes = vec![0; (end - start / 8) as usize];
                self.file.read_bytes(*signs, start / 8, &mut bytes)?;
                for (at, out) in (start as usize % 8..).zip(out) {
                    let minus = (bytes[at / 8] >> (at % 8)) & 1 == 1;
                    *out = if minus { -size[0] } else { size[0] };
                }
                Ok(())
            }
            StoredAs::Sparse { indices, values } => {
                out.fill(0.0);
                let end = start + out.len() as u64;
                let from = self.lower_bound(*indices, start)?;
                let to = self.lower_bound(*indices, end)?;
                for first in (from..to).step_by(CHUNK as usize) {
                    let count = CHUNK.min(to - first) as usize;
                    let mut kept = vec![0.0; count];
                    read_f64(&*self.file, *values, first, &mut kept)?;
                    for (at, value) in
                        read_indices(&*self.file, *indices, (first, count))?.into_iter().zip(kept)
                    {
                        let slot = at.checked_sub(start).and_then(|at| out.get_mut(at as usize));
                        *slot.ok_or_else(|| refused("its indices changed while they were read"))? = value;
                    }
                }
                Ok(())
            }
        }
    }

    /// Entries with an index below `element`.
    fn lower_bound(&self, indices: usize, element: u64) -> Result<u64> {
        let (mut low, mut high) = (0, self.file.tensors()[indices].elements());
        while low < high {
            let middle = low + (high - low) / 2;
            match read_indices(&*self.file, indices, (middle, 1))?.first() {
                Some(&at) if at < element => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }
}

pub(crate) fn refused(message: impl Into<String>) -> Error {
    Error::malformed("bad_difference", LABEL, message)
}

/// The shape that the description gives a tensor.
pub(crate) fn shape(about: &Value, limits: &Limits) -> Option<Vec<u64>> {
    let dims = about.get("shape")?.as_array().filter(|dims| dims.len() <= limits.rank)?;
    let dims: Vec<u64> = dims.iter().map(Value::as_u64).collect::<Option<_>>()?;
    // Dtypes have up to 64 bits, and sizes are counted in bits.
    dims.iter().try_fold(64u64, |size, &dim| size.checked_mul(dim.max(1)))?;
    Some(dims)
}

/// The factors of a matrix of `shape`.
fn factors(
    (file, held): (&dyn TensorSource, &mut Held),
    shape: &[u64],
    (down, up): (usize, usize),
) -> Result<Delta> {
    let (wide, tall) = (&file.tensors()[down], &file.tensors()[up]);
    match (shape, wide.shape.as_slice(), tall.shape.as_slice()) {
        (&[rows, columns], &[a, inner], &[outer, b])
            if (a, inner, outer) == (b, columns, rows)
                && a <= rows.min(columns).max(FREE_RANK)
                && columns > 0
                && wide.dtype.is_float()
                && tall.dtype.is_float() =>
        {
            held.add(wide.elements().saturating_add(tall.elements()))?;
            let (right, left) = (read_whole(file, down)?, read_whole(file, up)?);
            Ok(Delta { columns: columns as usize, scale: 1.0, left, right, rank: a as usize })
        }
        _ => Err(refused(format!("`{}` and `{}` do not multiply to {shape:?}", tall.name, wide.name))),
    }
}

/// The factors that codes and scales stand for.
fn packed(
    (file, held): (&dyn TensorSource, &mut Held),
    (shape, rank): (&[u64], Option<u64>),
    [codes, scales]: [usize; 2],
) -> Result<Delta> {
    let (stored, sizes) = (&file.tensors()[codes], &file.tensors()[scales]);
    let (&[rows, columns], Some(rank)) = (shape, rank) else {
        return Err(refused(format!("`{}` needs a matrix's shape and a rank", stored.name)));
    };
    if rank > rows.min(columns) {
        return Err(refused(format!("`{}` has rank {rank}, more than {shape:?} can have", stored.name)));
    }
    let packing = Packing { rank: rank as usize, rows: rows as usize, columns: columns as usize };
    let [bytes, count] = packing.sizes().map(|size| size as u64);
    let fits = stored.dtype == Dtype::U8
        && sizes.dtype.is_float()
        && (stored.shape == [bytes] && sizes.shape == [count]);
    if !fits {
        return Err(refused(format!(
            "`{}` is {} {:?} and `{}` {} {:?}; U8 [{bytes}] and a float [{count}] are expected",
            stored.name, stored.dtype, stored.shape, sizes.name, sizes.dtype, sizes.shape
        )));
    }
    held.add(rows.saturating_add(columns).saturating_mul(rank))?;
    let mut raw = vec![0; bytes as usize];
    file.read_bytes(codes, 0, &mut raw)?;
    let [right, left] = packing.unpack(&raw, &read_whole(file, scales)?);
    Ok(Delta { columns: packing.columns, scale: 1.0, left, right, rank: packing.rank })
}

/// Whether there is a bit for every element, and one size.
fn check_signs(file: &dyn TensorSource, shape: &[u64], [signs, scale]: [usize; 2]) -> Result<()> {
    let (bits, size) = (&file.tensors()[signs], &file.tensors()[scale]);
    let bytes = shape.iter().product::<u64>().div_ceil(8);
    let fits = bits.dtype == Dtype::U8 && bits.shape == [bytes] && size.shape == [1] && size.dtype.is_float();
    if fits {
        return Ok(());
    }
    Err(refused(format!(
        "`{}` is {} {:?} and `{}` {} {:?}; U8 [{bytes}] and a float [1] are expected",
        bits.name, bits.dtype, bits.shape, size.name, size.dtype, size.shape
    )))
}

/// Whether the indices of a sparse tensor ascend inside it and each has a value.
fn check(file: &dyn TensorSource, info: &TensorInfo, [indices, values]: [usize; 2]) -> Result<()> {
    let (places, kept) = (&file.tensors()[indices], &file.tensors()[values]);
    let fits = places.shape == kept.shape && places.shape.len() == 1 && kept.dtype.is_float();
    if !fits || !matches!(places.dtype, Dtype::U32 | Dtype::U64) {
        let message = format!(
            "`{}` is {} {:?} and `{}` {} {:?}; U32 or U64 and a float of one length are expected",
            places.name, places.dtype, places.shape, kept.name, kept.dtype, kept.shape
        );
        return Err(refused(message));
    }
    let (count, elements, mut least) = (places.elements(), info.elements(), 0);
    for first in (0..count).step_by(CHUNK as usize) {
        for at in read_indices(file, indices, (first, CHUNK.min(count - first) as usize))? {
            if at < least || at >= elements {
                let message = format!(
                    "`{}` holds {at} where {least} to {elements} (not included) must follow",
                    places.name
                );
                return Err(refused(message));
            }
            least = at + 1;
        }
    }
    Ok(())
}

fn read_indices(file: &dyn TensorSource, index: usize, (first, count): (u64, usize)) -> Result<Vec<u64>> {
    let width = file.tensors()[index].dtype.bits() / 8;
    let mut bytes = vec![0; count * width as usize];
    file.read_bytes(index, first * width, &mut bytes)?;
    Ok(match width {
        4 => bytes.as_chunks::<4>().0.iter().map(|raw| u64::from(u32::from_le_bytes(*raw))).collect(),
        _ => bytes.as_chunks::<8>().0.iter().map(|raw| u64::from_le_bytes(*raw)).collect(),
    })
}

pub(crate) fn read_f64(file: &dyn TensorSource, index: usize, start: u64, out: &mut [f64]) -> Result<()> {
    let dtype = file.tensors()[index].dtype;
    let width = dtype.bits() / 8;
    let mut bytes = vec![0; out.len() * width as usize];
    file.read_bytes(index, start * width, &mut bytes)?;
    kernels::decode_f64(dtype, &bytes, out);
    Ok(())
}

impl TensorSource for Difference {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<()> {
        let info = slice_of(&self.infos, index, offset, out.len())?;
        if let StoredAs::Whole(theirs) = self.stored[index] {
            return self.file.read_bytes(theirs, offset, out);
        }
        encode_range(info, offset, out, |first, values| self.values(index, first, values)).map(drop)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<()> {
        decode_range(self, index, start, out)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.file.metadata()
    }
}
