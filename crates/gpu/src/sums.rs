//! Weighted sums of stored bytes on one lane.

use std::ops::{ControlFlow, Range};

use kernels::{Dtype, device::Streamed, wide::Common};

use crate::{Argument, Lane, Launch, call::entry, list::code, room::Places, session::Trouble};

/// Elements that one block of threads computes; TURN of kernels/cuda/number.cuh.
pub(crate) const TURN: usize = 2_048;
/// Elements that are computed together at least.
const LEAST: usize = 1 << 16;

/// Where the elements of one part lie in a lane.
struct Lay {
    table: Range<usize>,
    inputs: Vec<Range<usize>>,
    counters: Range<usize>,
    out: Range<usize>,
}

/// As [`kernels::wide::weighted_sum`].
pub(crate) fn weighted_sum(
    lane: &mut dyn Lane,
    inputs: Streamed<'_>,
    (factors, common): (&[f64], Common),
    (dtype, out): (Dtype, &mut [u8]),
) -> Result<Option<u64>, Trouble> {
    let codes: Option<Vec<u32>> = inputs.inputs.iter().map(|dtype| code(*dtype)).collect();
    let (codes, out_code) = codes.zip(code(dtype)).ok_or(Trouble::Unfit)?;
    let width = |dtype: &Dtype| (dtype.bits() / 8) as usize;
    let elements = usize::try_from(inputs.elements).map_err(|_| Trouble::Unfit)?;
    if factors.len() != codes.len() || codes.is_empty() || out.len() != elements * width(&dtype) {
        return Err(Trouble::Unfit);
    }
    let widths: usize = inputs.inputs.iter().chain([&dtype]).map(width).sum();
    let gaps = (codes.len() + 3) * Places::ALIGNED + codes.len() * 24;
    let together =
        (lane.host().len().saturating_sub(gaps) / widths / TURN * TURN).min(elements.next_multiple_of(TURN));
    if together < LEAST.min(elements) {
        return Err(Trouble::Unfit);
    }
    let mut places = Places::default();
    let at = Lay {
        table: places.take(codes.len() * 24),
        inputs: inputs.inputs.iter().map(|dtype| places.take(together * width(dtype))).collect(),
        counters: places.take(16),
        out: places.take(together * width(&dtype)),
    };
    let mut beyond = 0;
    for (part, out) in out.chunks_mut(together * width(&dtype)).enumerate() {
        let (start, len) = ((part * together) as u64, out.len() / width(&dtype));
        let host = lane.host();
        let lines = host[at.table.clone()].chunks_mut(24).zip(&at.inputs).zip(factors.iter().zip(&codes));
        for ((line, place), (factor, code)) in lines {
            line.copy_from_slice(&entry(place.start, *factor, *code));
        }
        host[at.counters.clone()].fill(0);
        for (input, (place, dtype)) in at.inputs.iter().zip(inputs.inputs).enumerate() {
            let bytes = &mut host[place.start..place.start + len * width(dtype)];
            if (inputs.read)(input, start, bytes) == ControlFlow::Break(()) {
                return Err(Trouble::Stopped);
            }
        }
        lane.upload(at.table.clone())?;
        lane.upload(at.counters.clone())?;
        for (place, dtype) in at.inputs.iter().zip(inputs.inputs) {
            lane.upload(place.start..place.start + len * width(dtype))?;
        }
        let arguments = [
            Argument::At(0),
            Argument::At(at.table.start),
            Argument::U32(u32::try_from(codes.len()).map_err(|_| Trouble::Unfit)?),
            Argument::U32(u32::from(common == Common::Kept)),
            Argument::U32(out_code),
            Argument::At(at.out.start),
            Argument::U64(len as u64),
            Argument::At(at.counters.start),
        ];
        let grid = (u32::try_from(len.div_ceil(TURN)).map_err(|_| Trouble::Unfit)?, 1);
        lane.launch(&Launch { entry: "weighted_sum", grid, arguments: &arguments })?;
        lane.download(at.counters.clone())?;
        lane.download(at.out.start..at.out.start + out.len())?;
        lane.finish()?;
        let host = lane.host();
        let counter = |place: usize| {
            let bytes = host[at.counters.clone()].as_chunks::<8>().0;
            bytes.get(place).map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        if counter(1) > 0 {
            return Ok(None);
        }
        beyond += counter(0);
        out.copy_from_slice(&host[at.out.start..at.out.start + out.len()]);
    }
    Ok(Some(beyond))
}
