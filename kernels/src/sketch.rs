//! Linear block count-sketches (Charikar, Chen, Farach-Colton 2002): inner products of long vectors from a few
//! thousand numbers. Linear, so that the difference of two sketches is the sketch of the difference.

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
        let rows = (self.cells.len() / LANES).max(1) as u64;
        for (group, values) in (first..).zip(values.chunks(LANES)) {
            let bits = splitmix(self.key, group);
            let row = if self.exact { group.min(rows - 1) } else { (bits >> 32) & (rows - 1) };
            let at = row as usize * LANES;
            let Some(cells) = self.cells.get_mut(at..at + LANES) else { continue };
            for (lane, (cell, &value)) in cells.iter_mut().zip(values).enumerate() {
                let sign = ((bits >> lane) as u32 & 1) << 31;
                let value = if value.is_finite() { value } else { 0.0 };
                *cell += f64::from(f32::from_bits(value.to_bits() ^ sign));
            }
        }
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
