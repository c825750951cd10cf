//! Sums of deltas, streamed: while a part of the inputs is computed with, the next is read and on its way.

use std::ops::{ControlFlow, Range};

use kernels::{BLOCK, Dtype, Encoded, Gram, device::Streamed};
use rayon::prelude::*;

use crate::{
    Argument, Lane, Launch,
    call::entry,
    list::code,
    room::Places,
    session::{Pair, Trouble},
};

/// Elements whose sums come from one block of threads; SPAN of kernels/cuda/number.cuh.
pub(crate) const SPAN: usize = 16_384;
/// Side of the tiles of the matrix; TILE of kernels/cuda/delta.cu.
const TILE: usize = 4;
/// Sums of one tile.
const TILE_SUMS: usize = TILE * TILE + TILE + 1;
/// Sums of a pair: ⟨a, b⟩, ⟨a, a⟩, ⟨b, b⟩, Σ a, Σ b, Σ base².
const PAIR_SUMS: usize = 6;
/// Parts that the inputs are cut into where they are long enough, so that reading, copying and computing overlap.
const PARTS: usize = 8;
/// Bytes of a part: below the least the threads that read it start too often, above the most the last one waits too long.
const PART_BYTES: (usize, usize) = (16 << 20, 64 << 20);

/// What is asked for, and where a part of it lies in a lane.
struct Plan<'a> {
    inputs: Streamed<'a>,
    models: usize,
    entry: String,
    /// Elements of a part.
    elements: usize,
    table: Range<usize>,
    places: Vec<Range<usize>>,
    out: Range<usize>,
    /// Blocks of threads, and numbers written, for every span.
    tiles: usize,
    sums: usize,
}

impl<'a> Plan<'a> {
    fn new(inputs: Streamed<'a>, room: usize) -> Result<Self, Trouble> {
        let models = inputs.inputs.len().checked_sub(1).filter(|models| *models > 0).ok_or(Trouble::Unfit)?;
        if inputs.inputs.iter().any(|dtype| *dtype == Dtype::F64 || code(*dtype).is_none()) {
            return Err(Trouble::Unfit);
        }
        let side = models.div_ceil(TILE);
        let (family, tiles, sums) = match models {
            2 => ("delta_pair", 1, PAIR_SUMS),
            _ => ("delta_gram", side * (side + 1) / 2, TILE_SUMS),
        };
        let alike = inputs.inputs.iter().all(|dtype| *dtype == inputs.inputs[0]);
        let suffix = match inputs.inputs[0] {
            Dtype::Bf16 if alike => "bf16",
            Dtype::F16 if alike => "f16",
            Dtype::F32 if alike => "f32",
            _ => "any",
        };
        let widths: usize = inputs.inputs.iter().map(width).sum();
        let per_block = widths * BLOCK + tiles * sums * 8 * (BLOCK / SPAN);
        let table_and_gaps = (inputs.inputs.len() + 2) * Places::ALIGNED;
        let blocks = room.saturating_sub(table_and_gaps) / per_block;
        let wanted = usize::try_from(inputs.elements.div_ceil(BLOCK as u64)).unwrap_or(usize::MAX);
        let even = wanted.div_ceil(PARTS).saturating_mul(widths * BLOCK);
        let part = (even.clamp(PART_BYTES.0, PART_BYTES.1) / (widths * BLOCK)).max(1);
        let elements = blocks.min(part).min(wanted.max(1)) * BLOCK;
        if elements == 0 {
            return Err(Trouble::Unfit);
        }
        let mut places = Places::default();
        let table = places.take(inputs.inputs.len() * 24);
        let inputs_at = inputs.inputs.iter().map(|dtype| places.take(elements * width(dtype))).collect();
        let out = places.take(elements / SPAN * tiles * sums * 8);
        let entry = format!("{family}_{suffix}");
        Ok(Self { inputs, models, entry, elements, table, places: inputs_at, out, tiles, sums })
    }

    /// Reads a part and starts its way to the card, through the kernel and back.
    fn start(&self, lane: &mut dyn Lane, part: &Part) -> Result<(), Trouble> {
        let host = lane.host();
        for ((line, place), dtype) in
            host[self.table.clone()].chunks_mut(24).zip(&self.places).zip(self.inputs.inputs)
        {
            line.copy_from_slice(&entry(place.start, 1.0, code(*dtype).ok_or(Trouble::Unfit)?));
        }
        let mut rest = &mut host[self.table.end..self.out.start];
        let mut at = self.table.end;
        let mut tasks = Vec::new();
        for (input, (place, dtype)) in self.places.iter().zip(self.inputs.inputs).enumerate() {
            let (own, after) = rest.split_at_mut(place.end - at);
            let bytes = &mut own[place.start - at..][..part.len * width(dtype)];
            for (task, bytes) in bytes.chunks_mut(BLOCK * width(dtype)).enumerate() {
                tasks.push((input, part.start + (task * BLOCK) as u64, bytes));
            }
            (rest, at) = (after, place.end);
        }
        let read =
            tasks.into_par_iter().try_for_each(|(input, from, bytes)| (self.inputs.read)(input, from, bytes));
        if read == ControlFlow::Break(()) {
            return Err(Trouble::Stopped);
        }
        lane.upload(self.table.clone())?;
        for (place, dtype) in self.places.iter().zip(self.inputs.inputs) {
            lane.upload(place.start..place.start + part.len * width(dtype))?;
        }
        let places = [Argument::At(0), Argument::At(self.table.start)];
        let models = Argument::U32(u32::try_from(self.models).map_err(|_| Trouble::Unfit)?);
        let (elements, out) = (Argument::U64(part.len as u64), Argument::At(self.out.start));
        let (pair, gram) =
            ([places[0], places[1], elements, out], [places[0], places[1], models, elements, out]);
        let arguments: &[Argument] = if self.sums == PAIR_SUMS { &pair } else { &gram };
        let blocks = part.len.div_ceil(SPAN) * self.tiles;
        let grid = (u32::try_from(blocks).map_err(|_| Trouble::Unfit)?, 1);
        lane.launch(&Launch { entry: &self.entry, grid, arguments })?;
        lane.download(self.out.start..self.out.start + blocks * self.sums * 8)?;
        Ok(())
    }

    /// Waits for a part and adds its sums block by block, in order.
    fn end(&self, lane: &mut dyn Lane, part: &Part, total: &mut Gram) -> Result<(), Trouble> {
        lane.finish()?;
        let host = lane.host();
        let numbers = host[self.out.clone()].as_chunks::<8>().0;
        let spans: Vec<f64> = numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        for (block, from) in (0..part.len).step_by(BLOCK).enumerate() {
            let len = BLOCK.min(part.len - from);
            let first = block * (BLOCK / SPAN);
            let sums = self.block(&spans, first..first + len.div_ceil(SPAN));
            let stored = |(place, dtype): (&Range<usize>, &Dtype)| {
                let start = place.start + from * width(dtype);
                Encoded { dtype: *dtype, bytes: &host[start..start + len * width(dtype)] }
            };
            let inputs: Vec<Encoded<'_>> = self.places.iter().zip(self.inputs.inputs).map(stored).collect();
            if let [base, models @ ..] = &inputs[..]
                && !total.add_summed(models, (&sums.dots, &sums.sums), sums.base)
            {
                total.add_deltas(*base, models);
            }
        }
        Ok(())
    }

    /// The sums of one block from those of its spans.
    fn block(&self, numbers: &[f64], spans: Range<usize>) -> Block {
        let models = self.models;
        let mut block = Block { dots: vec![0.0; models * models], sums: vec![0.0; models], base: 0.0 };
        for span in spans {
            let of = |tile: usize| &numbers[(span * self.tiles + tile) * self.sums..][..self.sums];
            if let (PAIR_SUMS, [ab, aa, bb, sa, sb, base]) = (self.sums, of(0)) {
                for (dot, value) in block.dots.iter_mut().zip([aa, ab, &0.0, bb]) {
                    *dot += value;
                }
                block.sums.iter_mut().zip([sa, sb]).for_each(|(sum, value)| *sum += value);
                block.base += base;
                continue;
            }
            for (tile, (row, column)) in corners(models).enumerate() {
                let sums = of(tile);
                for (i, cells) in (row..models).zip(sums.chunks(TILE).take(TILE)) {
                    for (j, cell) in (column..models).zip(cells).filter(|(j, _)| *j >= i) {
                        block.dots[i * models + j] += cell;
                    }
                }
                if row == column {
                    let own = &sums[TILE * TILE..TILE_SUMS - 1];
                    block.sums[row..].iter_mut().zip(own).for_each(|(sum, value)| *sum += value);
                }
            }
            block.base += of(0)[TILE_SUMS - 1];
        }
        block
    }
}

/// Top left cells of the tiles, as the kernel numbers them.
fn corners(models: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..models)
        .step_by(TILE)
        .flat_map(move |row| (row..models).step_by(TILE).map(move |column| (row, column)))
}

struct Block {
    dots: Vec<f64>,
    sums: Vec<f64>,
    base: f64,
}

/// Elements of all inputs that are computed with together.
struct Part {
    start: u64,
    len: usize,
}

fn width(dtype: &Dtype) -> usize {
    (dtype.bits() / 8) as usize
}

/// Sums of the deltas of all inputs to the first.
pub(crate) fn delta_sums(lanes: &mut Pair, inputs: Streamed<'_>) -> Result<Gram, Trouble> {
    let room = lanes.iter_mut().map(|lane| lane.host().len()).min();
    let plan = Plan::new(inputs, room.unwrap_or_default())?;
    let outcome = stream(&plan, lanes);
    if outcome.is_err() {
        // What was started before must not touch the lanes of whoever has them next.
        lanes.iter_mut().for_each(|lane| drop(lane.finish()));
    }
    outcome
}

fn stream(plan: &Plan<'_>, lanes: &mut Pair) -> Result<Gram, Trouble> {
    let mut total = Gram::new(plan.models);
    let mut under_way: [Option<Part>; 2] = [None, None];
    let mut start = 0;
    for turn in 0.. {
        let (lane, before) = (&mut lanes[turn % 2], &mut under_way[turn % 2]);
        if let Some(part) = before.take() {
            plan.end(&mut **lane, &part, &mut total)?;
        }
        if start < plan.inputs.elements {
            let len = (plan.elements as u64).min(plan.inputs.elements - start);
            let part = Part { start, len: usize::try_from(len).map_err(|_| Trouble::Unfit)? };
            plan.start(&mut **lane, &part)?;
            start += len;
            *before = Some(part);
        } else if under_way.iter().all(Option::is_none) {
            break;
        }
    }
    Ok(total)
}
