//! Whether declared tensors fit their file: names, formats, sizes, and bytes without overlap or hole.

use std::ops::Range;

use domain::Limits;
use kernels::Dtype;

use crate::{Error, Result, TensorInfo, header::Entry, json::shown};

/// Largest dimension of a tensor without elements, where no byte count bounds it.
const EMPTY_DIM: u64 = 1 << 32;

/// Why a tensor name is refused, if it is.
pub(crate) fn name_fault(name: &str, longest: usize) -> Option<String> {
    if name.is_empty() || name.len() > longest {
        return Some(format!("it must have 1 to {longest} bytes"));
    }
    let unfit = |c: char| !c.is_ascii_graphic() || matches!(c, '<' | '>' | '"' | '\'' | '`' | '&' | '\\');
    if let Some(c) = name.chars().find(|&c| unfit(c)) {
        return Some(format!(
            "it holds {c:?}; printable ASCII without blanks, quotes, `<`, `>`, `&` and backslash is allowed"
        ));
    }
    name.split('/')
        .any(|part| part == ".." || part == ".")
        .then(|| "it holds a `.` or `..` path part".to_owned())
}

/// Checks every entry and the layout of all of them over the bytes `place` of the file.
pub(crate) fn check(
    entries: Vec<Entry>,
    place: Range<u64>,
    file: &str,
    limits: &Limits,
) -> Result<Vec<(TensorInfo, Range<u64>)>> {
    let (start, data) = (place.start, place.end - place.start);
    let mut tensors =
        entries.into_iter().map(|entry| one(entry, file, limits)).collect::<Result<Vec<_>>>()?;
    tensors.sort_by_key(|(_, range)| (range.start, range.end));
    let (mut cursor, mut before) = (0, None::<(&str, &Range<u64>)>);
    for (info, range) in &tensors {
        let previous = before.map_or_else(
            || "the data begins at 0".to_owned(),
            |(name, range)| format!("`{name}` takes {}..{}", range.start, range.end),
        );
        let place = format!("`{}` claims bytes {}..{}", info.name, range.start, range.end);
        if range.start < cursor {
            return Err(Error::malformed("overlap", file, format!("{place} while {previous}")));
        }
        if range.start > cursor {
            let message =
                format!("{place} while {previous}: bytes {cursor}..{} belong to no tensor", range.start);
            return Err(Error::malformed("hole", file, message));
        }
        if range.end > data {
            let message = format!("{place}, but the file ends after {data} bytes of data");
            return Err(Error::malformed("truncated", file, message));
        }
        (cursor, before) = (range.end, Some((info.name.as_str(), range)));
    }
    if cursor != data {
        let message = format!("{} bytes follow the last tensor", data - cursor);
        return Err(Error::malformed("trailing_data", file, message));
    }
    for (_, range) in &mut tensors {
        *range = range.start + start..range.end + start;
    }
    tensors.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    Ok(tensors)
}

fn one(entry: Entry, file: &str, limits: &Limits) -> Result<(TensorInfo, Range<u64>)> {
    let Entry { name, dtype, shape, offsets: (begin, end) } = entry;
    let refuse =
        |code, message: String| Err(Error::malformed(code, file, format!("tensor `{name}` {message}")));
    if end < begin {
        return refuse("bad_offsets", format!("ends at {end}, before it begins at {begin}"));
    }
    let Some(format) = Dtype::from_name(&dtype).or_else(|| Dtype::opaque(&dtype, end - begin)) else {
        return refuse(
            "unknown_dtype",
            format!("has the dtype `{}`, which is no name of one", shown(&dtype)),
        );
    };
    if shape.len() > limits.rank {
        return refuse(
            "rank_too_high",
            format!("has {} dimensions; at most {} are accepted", shape.len(), limits.rank),
        );
    }
    let empty = shape.contains(&0);
    if empty && shape.iter().any(|&dim| dim > EMPTY_DIM) {
        return refuse("bad_shape", format!("has no elements and a dimension above 2³²: {shape:?}"));
    }
    // Counting a zero as one keeps every partial product in range, whatever the order of dimensions.
    let bound = shape.iter().try_fold(format.bits(), |bits, &dim| bits.checked_mul(dim.max(1)));
    let Some(bits) = bound.filter(|&bits| bits <= u64::MAX - 7) else {
        return refuse("bad_shape", format!("has more elements than can be counted: {shape:?}"));
    };
    let bits = if empty { 0 } else { bits };
    if matches!(format, Dtype::Opaque(_)) {
        // No format is narrower than a bit, so the file's length bounds the elements of every tensor.
        if bits.div_ceil(64) > end - begin {
            return refuse("size_mismatch", format!("has {} elements in {} bytes", bits / 8, end - begin));
        }
        return Ok((TensorInfo { name, dtype: format, shape }, begin..end));
    }
    if bits % 8 != 0 {
        return refuse(
            "misaligned_dtype",
            format!("takes {bits} bits of {dtype}, which is no whole number of bytes"),
        );
    }
    if end - begin != bits / 8 {
        let message =
            format!("takes {} bytes as {dtype} {shape:?}, but claims bytes {begin}..{end}", bits / 8);
        return refuse("size_mismatch", message);
    }
    Ok((TensorInfo { name, dtype: format, shape }, begin..end))
}
