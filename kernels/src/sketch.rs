//! Linear block count-sketches (Charikar, Chen, Farach-Colton 2002): inner products of long vectors from a few
//! thousand numbers. Linear, so that the difference of two sketches is the sketch of the difference.

use multiversion::multiversion;

use crate::random::splitmix;

/// Neighbours that share one hash: they go to one row, each with a sign of its own.
const LANES: usize = 32;

/// A sketch of one vector, gathered in index order.
#[derive(Debug, Clone, PartialEq)]
pub struct Sketch {
    key: u64,
    /// Whether every group of neighbours has a row of its own, so that nothing is lost.
    exact: bool,
    /// `rows × LANES`.
    cells: Vec<f64>,
}

impl Sketch {
    /// For a vector of `elements`, of at most about `most` cells; sketches of one key and length compare.
    ///
    /// The standard error of an estimated inner product ⟨a, b⟩ is about ‖a‖·‖b‖ / √cells.
    pub fn new(key: u64, elements: u64, most: usize) -> Self {
        let groups = elements.div_ceil(LANES as u64);
        let rows = (most / LANES).max(1).next_power_of_two() as u64;
        let exact = groups <= rows;
        let rows = if exact { groups } else { rows };
        Self { key, exact, cells: vec![0.0; rows as usize * LANES] }
    }

    /// Adds the elements from `start`, a multiple of 32; those that are not finite count as zero.
    pub fn add_block(&mut self, start: u64, values: &[f32]) {
        debug_assert!(start.is_multiple_of(LANES as u64), "blocks start at whole groups");
        let first = start / LANES as u64;
        let rows = self.cells.as_chunks_mut::<LANES>().0;
        // Exact sketches are read in order; the others by the upper half of the hash.
        let place = if self.exact { Place::InOrder } else { Place::Hashed };
        scatter(rows, (self.key, first, place), values);
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
