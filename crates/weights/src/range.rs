//! Ranges of tensors: bounds checked once, for every source of this room.

use crate::{Error, Result, TensorInfo, TensorSource};

/// Elements decoded at a time.
const BLOCK: usize = 65_536;

/// The tensor at `index`, when `length` bytes at `offset` lie inside it.
///
/// # Errors
/// [`Error::NoTensor`] and [`Error::OutOfRange`].
pub fn slice_of(tensors: &[TensorInfo], index: usize, offset: u64, length: usize) -> Result<&TensorInfo> {
    let info = tensors.get(index).ok_or(Error::NoTensor { index, count: tensors.len() })?;
    let (size, end) = (info.bytes(), offset.saturating_add(length as u64));
    if end > size {
        return Err(Error::OutOfRange { tensor: info.name.clone(), begin: offset, end, size });
    }
    Ok(info)
}

/// Elements `start..` of a float tensor by way of its stored bytes, a block at a time.
///
/// # Errors
/// As [`slice_of`]; [`Error::UnsupportedDtype`]; read errors.
pub fn decode_range<S: TensorSource + ?Sized>(
    source: &S,
    index: usize,
    start: u64,
    out: &mut [f32],
) -> Result<()> {
    let tensors = source.tensors();
    let info = tensors.get(index).ok_or(Error::NoTensor { index, count: tensors.len() })?;
    if !info.dtype.is_float() {
        return Err(Error::UnsupportedDtype { tensor: info.name.clone(), dtype: info.dtype });
    }
    let width = info.dtype.bits() / 8;
    let mut bytes = vec![0; out.len().min(BLOCK) * width as usize];
    for (at, part) in out.chunks_mut(BLOCK).enumerate() {
        let bytes = &mut bytes[..part.len() * width as usize];
        let from = start.saturating_add((at * BLOCK) as u64);
        source.read_bytes(index, from.saturating_mul(width), bytes)?;
        kernels::decode(info.dtype, bytes, part);
    }
    Ok(())
}

/// Stored elements `start..` of a tensor.
pub(crate) fn decoded(
    (source, index): (&dyn TensorSource, usize),
    start: u64,
    out: &mut [f64],
) -> Result<()> {
    let dtype = source.tensors()[index].dtype;
    let width = dtype.bits() / 8;
    let mut bytes = vec![0; out.len() * width as usize];
    source.read_bytes(index, start * width, &mut bytes)?;
    kernels::decode_f64(dtype, &bytes, out);
    Ok(())
}

/// Stored bytes of `info` from `offset`, of elements that `values` computes from the first on; gives how many finite values
/// left the range of the format, as [`kernels::encode_f64`] does.
pub(crate) fn encode_range(
    info: &TensorInfo,
    offset: u64,
    out: &mut [u8],
    values: impl FnOnce(u64, &mut [f64]) -> Result<()>,
) -> Result<u64> {
    let width = info.dtype.bits() / 8;
    let (first, last) = (offset / width, (offset + out.len() as u64).div_ceil(width));
    let mut elements = vec![0.0; (last - first) as usize];
    values(first, &mut elements)?;
    let mut bytes = vec![0; elements.len() * width as usize];
    let beyond = kernels::encode_f64(info.dtype, &elements, &mut bytes);
    let skip = (offset - first * width) as usize;
    out.copy_from_slice(&bytes[skip..skip + out.len()]);
    Ok(beyond)
}

/// All elements of a small float tensor.
pub(crate) fn read_whole(source: &dyn TensorSource, index: usize) -> Result<Vec<f32>> {
    let info = slice_of(source.tensors(), index, 0, 0)?;
    let mut values = vec![0.0; info.elements() as usize];
    source.read_f32(index, 0, &mut values)?;
    Ok(values)
}
