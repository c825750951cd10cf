//! Linear block count-sketches (Charikar, Chen, Farach-Colton 2002): inner products of long vectors from a few
//! thousand numbers. Linear, so that the difference of two sketches is the sketch of the difference.

use multiversion::multiversion;

use crate::random::splitmix;

/// Neighbours that share one hash: they go to one row, each with a sign of its own.
pub const LANES: usize = 32;

/// A sketch of one vector, gathered in index order.
#[derive(Debug, Clone, PartialEq)]
pub struct Sketch {
    key: u64,
    /// Whether every group of neighbours has a row of its own, so that nothing is lost.
    exact: bool,
    /// `rows × LANES`, those of one block after those of another.
    cells: Vec<f64>,
    /// Elements of a block, a multiple of [`LANES`].
    block: u64,
    /// Sum of the finite values of each block; none for a vector that is not divided.
    sums: Vec<f64>,
}

impl Sketch {
    /// For a vector of `elements`, of at most about `most` cells; sketches of one key and length compare.
    ///
    /// The standard error of an estimated inner product ⟨a, b⟩ is about ‖a‖·‖b‖ / √cells.
    pub fn new(key: u64, elements: u64, most: usize) -> Self {
        let exact = Self::fits(elements, most);
        let rows = (most / LANES).max(1).next_power_of_two() as u64;
        let rows = if exact { elements.div_ceil(LANES as u64) } else { rows };
        Self { key, exact, cells: vec![0.0; rows as usize * LANES], block: u64::MAX, sums: Vec::new() }
    }

    /// For a vector of `elements` divided into blocks of `block` elements, a multiple of 32, each of which gets a
    /// sketch of its own of about `cells` cells. Vectors of one key that differ in length have the sketches of the
    /// blocks before in common.
    pub fn in_blocks(key: u64, elements: u64, (block, cells): (u64, usize)) -> Self {
        debug_assert!(block.is_multiple_of(LANES as u64), "blocks are whole groups");
        let count = elements.div_ceil(block.max(1)) as usize;
        let rows = (cells / LANES).max(1).next_power_of_two();
        Self { key, exact: false, cells: vec![0.0; count * rows * LANES], block, sums: vec![0.0; count] }
    }

    /// Whether [`Self::new`] keeps `elements` whole in about `most` cells.
    pub fn fits(elements: u64, most: usize) -> bool {
        elements.div_ceil(LANES as u64) <= (most / LANES).max(1).next_power_of_two() as u64
    }

    /// Adds the elements from `start`, a multiple of 32; those that are not finite count as zero.
    pub fn add_block(&mut self, start: u64, values: &[f32]) {
        debug_assert!(start.is_multiple_of(LANES as u64), "blocks start at whole groups");
        // Exact sketches are read in order; the others by the upper half of the hash.
        let place = if self.exact { Place::InOrder } else { Place::Hashed };
        let share = self.cells.len() / self.sums.len().max(1);
        let (mut start, mut values) = (start, values);
        while !values.is_empty() {
            let block = start / self.block;
            let room = usize::try_from((block + 1).saturating_mul(self.block) - start).unwrap_or(usize::MAX);
            let (now, later) = values.split_at(room.min(values.len()));
            let Some(cells) = self.cells.chunks_mut(share.max(1)).nth(block as usize) else { return };
            scatter(cells.as_chunks_mut::<LANES>().0, (self.key, start / LANES as u64, place), now);
            if let Some(sum) = self.sums.get_mut(block as usize) {
                *sum +=
                    now.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value)).sum::<f64>();
            }
            start += now.len() as u64;
            values = later;
        }
    }

    /// Sum of the finite values of each block; empty for a vector that is not divided.
    pub fn block_sums(&self) -> &[f64] {
        &self.sums
    }

    /// Whether inner products of such sketches are those of the vectors.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// The cells; their inner product with those of another sketch estimates that of the vectors.
    pub fn cells(&self) -> &[f64] {
        &self.cells
    }
}

/// How a group of neighbours finds its row.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    InOrder,
    Hashed,
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn scatter(rows: &mut [[f64; LANES]], (key, first, place): (u64, u64, Place), values: &[f32]) {
    let Some(mask) = (rows.len() as u64).checked_sub(1) else { return };
    let (groups, rest) = values.as_chunks::<LANES>();
    let mut add = |group: u64, values: &[f32; LANES]| {
        let bits = splitmix(key, group);
        let row = if place == Place::InOrder { group.min(mask) } else { (bits >> 32) & mask };
        let cells = &mut rows[row as usize];
        let signs = bits as u32;
        for lane in 0..LANES {
            let bits = values[lane].to_bits();
            let kept = if bits & EXPONENT == EXPONENT { 0 } else { bits };
            cells[lane] += f64::from(f32::from_bits(kept ^ (((signs >> lane) & 1) << 31)));
        }
    };
    for (group, values) in (first..).zip(groups) {
        add(group, values);
    }
    if !rest.is_empty() {
        let mut last = [0.0; LANES];
        last[..rest.len()].copy_from_slice(rest);
        add(first + groups.len() as u64, &last);
    }
}

const EXPONENT: u32 = 0x7F80_0000;
