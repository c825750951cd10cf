//! Stored sketches of given values, for tests.

use kernels::Dtype;
use weights::{TensorInfo, sketch_of};

use super::SketchedTensor;

/// A tensor of these values under its name, sketched in `cells` cells or kept whole.
pub(super) fn sketched(
    name: &str,
    shape: &[u64],
    (values, cells): (&[f32], usize),
) -> (String, SketchedTensor) {
    let info = TensorInfo { name: name.into(), dtype: Dtype::F32, shape: shape.to_vec() };
    let mut sketch = sketch_of(&info, cells);
    sketch.add_block(0, values);
    let tensor = SketchedTensor {
        name: name.into(),
        shape: shape.to_vec(),
        sum: values.iter().map(|value| f64::from(*value)).sum(),
        nonfinite: 0,
        exact: sketch.is_exact(),
        block_sums: sketch.block_sums().to_vec(),
        cells: sketch.cells().iter().map(|cell| *cell as f32).collect(),
    };
    (name.to_owned(), tensor)
}
