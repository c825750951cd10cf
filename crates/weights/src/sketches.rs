//! Which sketch a tensor gets: keyed by its bare name, so that wrappers, shards, file order and dtype do not matter.

use domain::Digest;
use kernels::Sketch;

use crate::{ADAPTER_PREFIX, TensorInfo};

/// The way sketches are made; those of different schemes do not compare.
pub const SCHEME: i32 = 3;

/// Embeddings and heads are few and often hold most of what a fine-tune changed, so they decide the error.
const VOCABULARY: usize = 8;
/// Rows of a vocabulary with a sketch of their own, so that one with rows appended compares in those before.
pub const BLOCK_ROWS: u64 = 1_024;
/// Cells of such a sketch at least.
const LEAST_CELLS: usize = 1_024;
/// Columns from which on that many cells are few beside the elements of a block.
const LEAST_COLUMNS: u64 = 16;
/// Rows up to which a table is divided. A number of its own: sketches compare whatever limits are set.
const MOST_ROWS: u64 = 4_000_000;
/// Rows that only vocabularies have.
const MANY_ROWS: u64 = 30_000;
/// Last telling components of the names of embeddings.
pub const EMBEDDINGS: &[&str] = &[
    "embed_tokens",
    "wte",
    "word_embeddings",
    "tok_embeddings",
    "embed_in",
    "shared",
    "token_embedding",
    "embeddings",
];
/// The same of their heads: those of small vocabularies are shaped like other matrices.
const HEADS: [&str; 2] = ["lm_head", "embed_out"];

/// An empty sketch for a tensor, of at most about `most` cells. One that is shaped like a vocabulary (many more rows
/// than columns) or called like one gets eight times that, or a thousand for every 1,024 rows where that is more, in
/// blocks of 1,024 rows; one with so many or so short rows that the thousands were most of it stays whole.
pub fn sketch_of(info: &TensorInfo, most: usize) -> Sketch {
    let (key, elements) = (key(&info.name), info.elements());
    let most_of_many = most.saturating_mul(VOCABULARY);
    match info.shape[..] {
        [rows, columns] if columns > 0 && is_vocabulary(&info.name, [rows, columns]) => {
            if Sketch::fits(elements, most_of_many) {
                return Sketch::new(key, elements, most_of_many);
            }
            let blocks = usize::try_from(rows.div_ceil(BLOCK_ROWS)).unwrap_or(usize::MAX);
            let cells = most_of_many / blocks;
            if rows > MOST_ROWS || (cells < LEAST_CELLS && columns < LEAST_COLUMNS) {
                return Sketch::new(key, elements, most_of_many);
            }
            let cells = cells.max(LEAST_CELLS);
            Sketch::in_blocks(key, elements, (BLOCK_ROWS.saturating_mul(columns), cells))
        }
        _ => Sketch::new(key, elements, most),
    }
}

/// Whether a tensor of two dimensions is called like the head of a vocabulary, which files of an inner part lack.
pub fn is_head(name: &str) -> bool {
    HEADS.contains(&last_component(name))
}

fn last_component(name: &str) -> &str {
    let name = name.strip_suffix(".weight").unwrap_or(name);
    name.rsplit('.').next().unwrap_or(name)
}

fn is_vocabulary(name: &str, [rows, columns]: [u64; 2]) -> bool {
    let named = || EMBEDDINGS.contains(&last_component(name)) || is_head(name);
    rows >= columns.saturating_mul(6) || rows >= MANY_ROWS || named()
}

/// What PEFT, data parallelism, compilation and sharding put before the names of a module's tensors.
const SHELLS: [&str; 4] = [ADAPTER_PREFIX, "module.", "_orig_mod.", "_fsdp_wrapped_module."];

/// The name all spellings of one tensor share.
pub fn canonical_name(name: &str) -> &str {
    let mut name = name;
    while let Some(inner) = SHELLS.iter().find_map(|shell| name.strip_prefix(shell)) {
        name = inner;
    }
    name
}

/// Wrappers that some files of an architecture put around the names of their tensors and others do not.
const WRAPPERS: [&str; 4] = ["model.language_model.", "language_model.", "model.", "transformer."];

/// The canonical name without the wrappers that files of one architecture may lack: what the files of a whole model and of
/// its inner part alike call a tensor. Sketches are keyed by it.
pub fn bare_name(name: &str) -> &str {
    WRAPPERS.iter().fold(canonical_name(name), |name, wrapper| name.strip_prefix(wrapper).unwrap_or(name))
}

fn key(name: &str) -> u64 {
    let digest = Digest::of(format!("stemma sketch {SCHEME}\0{}", bare_name(name)).as_bytes());
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
    /// Blocks of rows that have cells of their own; none for a tensor that is not divided.
    pub blocks: usize,
    pub cells: &'a [f32],
}

impl KeptSketch<'_> {
    /// The sketch with `most` cells, a power of two of at least 32, that the tensor itself would have got; shorter
    /// for a tensor that fits whole. None when fewer cells are kept.
    pub fn folded(&self, most: usize) -> Option<Vec<f64>> {
        if self.exact {
            let mut folded = Sketch::new(key(self.name), self.elements, most);
            folded.add_block(0, &self.values()?);
            return Some(folded.cells().to_vec());
        }
        if self.cells.len() / self.blocks.max(1) < most {
            return None;
        }
        let mut folded = vec![0.0; most];
        for part in self.cells.chunks(most) {
            folded.iter_mut().zip(part).for_each(|(sum, cell)| *sum += f64::from(*cell));
        }
        Some(folded)
    }

    /// The values of a tensor that was kept whole.
    pub fn values(&self) -> Option<Vec<f32>> {
        let values = self.cells.get(..usize::try_from(self.elements).ok().filter(|_| self.exact)?)?;
        // Signing twice gives the values back.
        let mut again = Sketch::new(key(self.name), self.elements, self.cells.len());
        again.add_block(0, values);
        Some(again.cells()[..values.len()].iter().map(|value| *value as f32).collect())
    }

    /// Cells of one block, or of the whole where it is not divided.
    pub fn share(&self) -> usize {
        self.cells.len() / self.blocks.max(1)
    }

    /// The sketch of the first `elements` in blocks of `block` elements with `cells` cells each, a power of two of at
    /// least 32. None when its own blocks are others or have fewer cells, or end in the middle of the last one asked.
    pub fn start(&self, elements: u64, (block, cells): (u64, usize)) -> Option<Vec<f64>> {
        let count = usize::try_from(elements.div_ceil(block)).ok()?;
        if self.exact {
            let mut start = Sketch::in_blocks(key(self.name), elements, (block, cells));
            start.add_block(0, self.values()?.get(..usize::try_from(elements).ok()?)?);
            return Some(start.cells().to_vec());
        }
        let (own, whole) = (self.share(), elements == self.elements || elements.is_multiple_of(block));
        if own < cells || !whole || self.elements.div_ceil(block) != self.blocks.max(1) as u64 {
            return None;
        }
        let mut start = vec![0.0; count * cells];
        for (folded, own) in start.chunks_mut(cells).zip(self.cells.chunks(own)) {
            for part in own.chunks(cells) {
                folded.iter_mut().zip(part).for_each(|(sum, cell)| *sum += f64::from(*cell));
            }
        }
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dtype;

    fn kept<'a>(sketch: &Sketch, elements: u64, cells: &'a [f32]) -> KeptSketch<'a> {
        let (exact, blocks) = (sketch.is_exact(), sketch.block_sums().len());
        KeptSketch { name: "w", elements, exact, blocks, cells }
    }

    #[test]
    fn a_small_vocabulary_is_known_by_its_name() {
        let cells = |name: &str| {
            let info = TensorInfo { name: name.into(), dtype: Dtype::F32, shape: vec![512, 96] };
            sketch_of(&info, 1 << 10).cells().len()
        };

        assert_eq!(cells("transformer.wte.weight"), 8 * cells("transformer.h.0.mlp.c_proj.weight"));
    }

    #[test]
    fn a_table_of_very_many_or_very_short_rows_has_no_more_cells_than_its_share() {
        let cells = |shape: [u64; 2]| {
            let info = TensorInfo { name: "w".into(), dtype: Dtype::F8E4M3, shape: shape.to_vec() };
            sketch_of(&info, 1 << 10).cells().len()
        };

        assert_eq!([cells([3_000_000, 1]), cells([3_000_000, 15])], [8 << 10; 2]);
        assert_eq!(cells([1 << 40, 1 << 8]), 8 << 10);
        assert_eq!(cells([50_000, 16]), 49 * LEAST_CELLS, "a vocabulary stays as it was");
        assert_eq!(cells([5_000, 2]), 5 * 2_048, "what has cells enough stays as it was");
    }

    #[test]
    fn a_vocabulary_with_rows_appended_has_the_start_of_its_sketch_in_common() {
        let made = |rows: u64, most| {
            let info = TensorInfo { name: "w".into(), dtype: Dtype::F32, shape: vec![rows, 32] };
            let mut sketch = sketch_of(&info, most);
            let values: Vec<f32> = (0..rows * 32).map(|at| (at % 1_013) as f32 - 500.0).collect();
            // Parts that end in the middle of blocks.
            let (first, second) = values.split_at(1_000 * 32);
            sketch.add_block(0, first);
            sketch.add_block(first.len() as u64, second);
            let cells: Vec<f32> = sketch.cells().iter().map(|cell| *cell as f32).collect();
            (sketch, cells, values)
        };
        let common = 2 * BLOCK_ROWS * 32;
        let start = |(sketch, cells, values): &(Sketch, Vec<f32>, Vec<f32>), asked| {
            kept(sketch, values.len() as u64, cells).start(common, (BLOCK_ROWS * 32, asked))
        };

        let (short, long, whole) = (made(2_500, 256), made(2_900, 256), made(2_500, 1 << 14));

        assert!(whole.0.is_exact() && !short.0.is_exact() && !long.0.is_exact());
        assert_eq!(short.0.block_sums().len(), 3);
        assert_eq!(short.0.block_sums()[..2], long.0.block_sums()[..2]);
        for asked in [1_024, 256] {
            let first = start(&short, asked).unwrap();
            assert_eq!(first.len(), 2 * asked);
            assert_eq!(Some(&first), start(&long, asked).as_ref());
            assert_eq!(Some(&first), start(&whole, asked).as_ref());
        }
        assert_eq!(start(&short, 4_096), None);
        assert_eq!(kept(&short.0, 80_000, &short.1).start(70_000, (BLOCK_ROWS * 32, 256)), None);
    }

    #[test]
    fn a_tensor_kept_whole_gives_its_values_back_whatever_its_length() {
        for length in [1, 31, 33, 60, 64, 100, 5_000] {
            let values: Vec<f32> = (0..length).map(|at| (at % 97) as f32 - 48.0).collect();
            let info = TensorInfo { name: "w".into(), dtype: Dtype::F32, shape: vec![length] };
            let mut sketch = sketch_of(&info, 1 << 14);
            sketch.add_block(0, &values);
            let cells: Vec<f32> = sketch.cells().iter().map(|cell| *cell as f32).collect();

            assert_eq!(kept(&sketch, length, &cells).values().as_ref(), Some(&values), "{length}");
        }
    }

    #[test]
    fn wrappers_are_no_part_of_a_bare_name() {
        for (name, bare) in [
            ("transformer.h.0.attn.c_attn.weight", "h.0.attn.c_attn.weight"),
            ("h.0.attn.c_attn.weight", "h.0.attn.c_attn.weight"),
            ("model.language_model.layers.0.mlp.up_proj.weight", "layers.0.mlp.up_proj.weight"),
            ("language_model.model.layers.0.mlp.up_proj.weight", "layers.0.mlp.up_proj.weight"),
            ("base_model.model.model.layers.0.mlp.up_proj.weight", "layers.0.mlp.up_proj.weight"),
            ("language_model.lm_head.weight", "lm_head.weight"),
            ("module._orig_mod.model.layers.0.mlp.up_proj.weight", "layers.0.mlp.up_proj.weight"),
            ("model.visual.blocks.0.weight", "visual.blocks.0.weight"),
        ] {
            assert_eq!(bare_name(name), bare, "{name}");
        }
    }

    #[test]
    fn a_tensor_has_one_sketch_under_every_wrapper() {
        let made = |name: &str| {
            let info = TensorInfo { name: name.into(), dtype: Dtype::F32, shape: vec![5_000] };
            let mut sketch = sketch_of(&info, 64);
            sketch.add_block(0, &(0..5_000u16).map(f32::from).collect::<Vec<_>>());
            sketch.cells().to_vec()
        };

        let bare = made("layers.0.mlp.up_proj.weight");

        assert_eq!(bare, made("model.layers.0.mlp.up_proj.weight"));
        assert_eq!(bare, made("model.language_model.layers.0.mlp.up_proj.weight"));
        assert_ne!(bare, made("layers.1.mlp.up_proj.weight"));
    }

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
            let kept = kept(&sketch, 5_000, &cells);
            assert_eq!(sketch.is_exact(), exact, "{most}");
            assert_eq!(kept.folded(1_024).unwrap(), small.cells(), "{most}");
            assert_eq!(kept.folded(1 << 14).is_none(), !exact, "{most}");
        }
    }
}
