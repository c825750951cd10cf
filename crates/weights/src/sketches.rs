//! Which sketch a tensor gets: keyed by its canonical name, so that shards, file order and dtype do not matter.

use domain::Digest;
use kernels::Sketch;

use crate::TensorInfo;

/// The way sketches are made; those of different schemes do not compare.
pub const SCHEME: i32 = 1;

/// Embeddings and heads are few and often hold most of what a fine-tune changed, so they decide the error.
const VOCABULARY: usize = 8;

/// An empty sketch for a tensor, of at most about `most` cells, and eight times that for one that is shaped like
/// a vocabulary (many more rows than columns).
pub fn sketch_of(info: &TensorInfo, most: usize) -> Sketch {
    let tall = matches!(info.shape[..], [rows, columns] if rows >= columns.saturating_mul(6));
    let most = if tall { most.saturating_mul(VOCABULARY) } else { most };
    Sketch::new(key(&info.name), info.elements(), most)
}

/// The name all spellings of one tensor share.
pub fn canonical_name(name: &str) -> &str {
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    name.strip_prefix("module.").unwrap_or(name)
}

fn key(name: &str) -> u64 {
    let digest = Digest::of(format!("stemma sketch {SCHEME}\0{}", canonical_name(name)).as_bytes());
    u64::from_str_radix(&digest.hex()[..16], 16).unwrap_or_default()
}

/// A sketch of one tensor as it is kept.
#[derive(Debug, Clone, Copy)]
pub struct KeptSketch<'a> {
    /// The tensor's name.
    pub name: &'a str,
    pub elements: u64,
    /// Whether it holds every value.
    pub exact: bool,
    pub cells: &'a [f32],
}

impl KeptSketch<'_> {
    /// The sketch with `most` cells, a power of two of at least 32, that the tensor itself would have got; shorter
    /// for a tensor that fits whole. None when fewer cells are kept.
    pub fn folded(&self, most: usize) -> Option<Vec<f64>> {
        if self.exact {
            let (key, elements) = (key(self.name), self.elements);
            let values = self.cells.get(..usize::try_from(elements).ok()?)?;
            // Signing twice gives the values back.
            let mut values_again = Sketch::new(key, elements, values.len());
            values_again.add_block(0, values);
            let values: Vec<f32> = values_again.cells()[..values.len()].iter().map(|v| *v as f32).collect();
            let mut folded = Sketch::new(key, elements, most);
            folded.add_block(0, &values);
            return Some(folded.cells().to_vec());
        }
        if self.cells.len() < most {
            return None;
        }
        let mut folded = vec![0.0; most];
        for block in self.cells.chunks(most) {
            folded.iter_mut().zip(block).for_each(|(sum, cell)| *sum += f64::from(*cell));
        }
        Some(folded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dtype;

    #[test]
    fn a_folded_sketch_is_the_one_with_fewer_cells() {
        let values: Vec<f32> = (0..5_000u16).map(|n| f32::from(n % 97) - 48.0).collect();
        let info = TensorInfo { name: "w".into(), dtype: Dtype::F32, shape: vec![50, 100] };
        let made = |most| {
            let mut sketch = sketch_of(&info, most);
            sketch.add_block(0, &values);
            sketch
        };
        let small = made(1_024);

        for (most, exact) in [(4_096, false), (1_024, false), (8_192, true)] {
            let sketch = made(most);
            let cells: Vec<f32> = sketch.cells().iter().map(|cell| *cell as f32).collect();
            let kept = KeptSketch { name: "w", elements: 5_000, exact: sketch.is_exact(), cells: &cells };
            assert_eq!(sketch.is_exact(), exact, "{most}");
            assert_eq!(kept.folded(1_024).unwrap(), small.cells(), "{most}");
            assert_eq!(kept.folded(1 << 14).is_none(), !exact, "{most}");
        }
    }
}
