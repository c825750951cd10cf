//! What the sketches of one tensor in several models have in common.

use weights::{BLOCK_ROWS, KeptSketch};

use super::SketchedTensor;

/// Sketches of the same elements of one tensor, one a model.
pub(super) struct Overlap {
    /// Elements that they cover, from the first on.
    pub elements: u64,
    /// Cells of a model, which compare with those of the others one by one.
    pub cells: Vec<Vec<f64>>,
    /// Cells that are one sketch; behind them begins that of the next rows.
    pub share: usize,
    /// Sum of the values of each model.
    pub sums: Vec<f64>,
    /// Whether nothing was lost.
    pub exact: bool,
}

impl Overlap {
    /// Of tensors with the same rows, or with rows appended to some: then of the whole blocks of 1,024 rows that all
    /// have, or of all common rows where every tensor was kept whole. None where nothing compares.
    pub(super) fn of(tensors: &[&SketchedTensor]) -> Option<Self> {
        let first = tensors.first()?;
        let alike = tensors.iter().all(|tensor| tensor.shape == first.shape);
        let columns: u64 = first.shape.iter().skip(1).product();
        if !alike && tensors.iter().any(|tensor| tensor.shape.get(1..) != first.shape.get(1..)) {
            return None;
        }
        let rows = tensors.iter().map(|tensor| tensor.shape.first().copied().unwrap_or(1)).min()?;
        let exact = tensors.iter().all(|tensor| tensor.exact);
        let block = match tensors.iter().any(|tensor| !tensor.block_sums.is_empty()) {
            true => BLOCK_ROWS.checked_mul(columns)?,
            false => first.elements().max(1).next_multiple_of(32),
        };
        let elements = match (alike, exact) {
            (true, _) => first.elements(),
            (false, true) => rows * columns,
            (false, false) => rows / BLOCK_ROWS * BLOCK_ROWS * columns,
        };
        if elements == 0 {
            return None;
        }
        // Signs go by name.
        let one_name = tensors.iter().all(|tensor| tensor.is_called(first));
        if exact {
            let start = |tensor: &&SketchedTensor| start_of_exact(tensor, (elements, one_name));
            let values = tensors.iter().map(start).collect::<Option<Vec<_>>>()?;
            let (cells, sums) = values.into_iter().unzip();
            return Some(Self { elements, cells, share: elements as usize, sums, exact });
        }
        if !one_name {
            return None;
        }
        let cut = tensors.iter().filter(|tensor| !tensor.exact);
        let share = cut.map(|tensor| kept(tensor).share()).min()?;
        let cells = tensors
            .iter()
            .map(|tensor| kept(tensor).start(elements, (block, share)))
            .collect::<Option<Vec<_>>>()?;
        let sums =
            tensors.iter().map(|tensor| sum_of_start(tensor, (elements, block))).collect::<Option<_>>()?;
        Some(Self { elements, cells, share, sums, exact })
    }

    /// Sum over its sketches of `f` of the cells of two models in each.
    pub(super) fn each(&self, (i, j): (usize, usize), mut f: impl FnMut(&[f64], &[f64])) {
        let share = self.share.max(1);
        for (a, b) in self.cells[i].chunks(share).zip(self.cells[j].chunks(share)) {
            f(a, b);
        }
    }
}

pub(super) fn kept(tensor: &SketchedTensor) -> KeptSketch<'_> {
    KeptSketch {
        name: &tensor.name,
        elements: tensor.elements(),
        exact: tensor.exact,
        blocks: tensor.block_sums.len(),
        cells: &tensor.cells,
    }
}

/// The first cells of a tensor kept whole, and the sum of their values: signed as they are where all tensors are, else the
/// values.
fn start_of_exact(tensor: &SketchedTensor, (elements, signed): (u64, bool)) -> Option<(Vec<f64>, f64)> {
    let most = usize::try_from(elements).ok()?;
    let values = match signed {
        true => tensor.cells.get(..most)?.to_vec(),
        false => kept(tensor).values()?.get(..most)?.to_vec(),
    };
    let values = values.into_iter().map(f64::from).collect();
    Some((values, sum_of_start(tensor, (elements, 1))?))
}

fn sum_of_start(tensor: &SketchedTensor, (elements, block): (u64, u64)) -> Option<f64> {
    if elements == tensor.elements() {
        return Some(tensor.sum);
    }
    if tensor.exact {
        let values = kept(tensor).values()?;
        return Some(values.get(..elements as usize)?.iter().map(|value| f64::from(*value)).sum());
    }
    Some(tensor.block_sums.get(..usize::try_from(elements / block).ok()?)?.iter().sum())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::{
        kinship::{Closeness, Partial, Sketched, Tokens, estimate, testing::sketched},
        testing,
    };

    fn noise(seed: u64, len: usize) -> Vec<f32> {
        testing::noise(seed, len).into_iter().map(|value| value as f32).collect()
    }

    const EMBED: &str = "model.embed_tokens.weight";
    const COLUMNS: u64 = 16;

    /// An embedding of these values, of `cells` cells asked for.
    fn model(label: &str, values: &[f32], cells: usize) -> Sketched {
        let shape = [values.len() as u64 / COLUMNS, COLUMNS];
        Sketched {
            label: label.into(),
            tensors: BTreeMap::from([sketched(EMBED, &shape, (values, cells))]),
            tokens: Tokens::Same,
            ..Sketched::default()
        }
    }

    /// A base of 2,060 rows, and two deltas of it with these numbers of rows; they point the same way by 0.8.
    fn family(rows: [u64; 2]) -> (Vec<f32>, [Vec<f32>; 2]) {
        let most = 4_000 * COLUMNS as usize;
        let (base, common) = (noise(1, most), noise(2, most));
        let tuned = |own: u64, rows: u64| {
            let own = noise(own, most);
            let delta = |at: usize| 0.01 + 0.1 * common[at] + 0.05 * own[at];
            (0..(rows * COLUMNS) as usize).map(|at| base[at] + delta(at)).collect()
        };
        (base[..2_060 * COLUMNS as usize].to_vec(), [tuned(3, rows[0]), tuned(4, rows[1])])
    }

    /// Cosine and Pearson of two deltas over the first elements.
    fn expected(base: &[f32], [a, b]: [&[f32]; 2], elements: usize) -> [f64; 2] {
        let delta = |x: &[f32]| -> Vec<f64> {
            x.iter().zip(base).take(elements).map(|(x, base)| f64::from(*x) - f64::from(*base)).collect()
        };
        let cosine = |a: &[f64], b: &[f64]| {
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        let centred = |x: &[f64]| {
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            x.iter().map(|x| x - mean).collect::<Vec<_>>()
        };
        let (a, b) = (delta(a), delta(b));
        [cosine(&a, &b), cosine(&centred(&a), &centred(&b))]
    }

    #[test]
    fn appended_rows_are_left_out_of_an_estimate_and_said_to_be() {
        let (base, tuned) = family([2_070, 3_100]);
        // What is in whole blocks of all; all common rows where everything is kept whole.
        for (cells, rows, tolerance) in
            [([256; 3], 2_048, 4.0), ([256, 256, 1 << 14], 2_048, 4.0), ([1 << 14; 3], 2_060, 4.0)]
        {
            let reference = model("base", &base, cells[0]);
            let models = [model("a", &tuned[0], cells[1]), model("b", &tuned[1], cells[2])];

            let report = estimate(&models, Some(&reference), Partial::Take).unwrap();

            let exact = expected(&base, [&tuned[0], &tuned[1]], rows * COLUMNS as usize);
            for (id, exact) in ["cosine", "pearson"].into_iter().zip(exact) {
                let error = report.standard_errors[id][0][1].unwrap().max(1e-6);
                let value = report.matrices[id][0][1].unwrap();
                assert!((value - exact).abs() <= tolerance * error, "{id} {value} {exact} ± {error}");
            }
            let left = &report.coverage.skipped[0].reason;
            assert!(left.contains("[2060, 16]") && left.contains("left out"), "{left}");
        }
    }

    #[test]
    fn a_copy_with_rows_appended_is_close_in_all_but_those() {
        let (base, _) = family([2_060, 2_060]);
        let longer: Vec<f32> = base.iter().copied().chain(noise(9, 2_000 * COLUMNS as usize)).collect();
        let tensors = |values: &[f32], cells| model("m", values, cells).tensors;

        let close = Closeness::of(&tensors(&base, 256), &tensors(&longer, 256)).unwrap();

        // Two of its blocks of 1,024 rows are the same, twelve rows do not compare, and 2,000 are the other's own.
        let cosine = 2_048.0 / f64::sqrt(2_060.0 * 4_060.0);
        assert!((close.whole.cosine - cosine).abs() < 0.03, "{} {cosine}", close.whole.cosine);
        assert_eq!((close.cosine, close.distance), (1.0, 0.0));
        assert!((close.share - 2_048.0 / 2_060.0).abs() < 1e-9);
    }

    #[test]
    fn fewer_rows_than_a_block_do_not_compare() {
        let (base, tuned) = family([1_000, 2_060]);
        let models = [model("a", &tuned[0], 16), model("b", &tuned[1], 16)];

        let error = estimate(&models, Some(&model("base", &base, 16)), Partial::Refuse).unwrap_err();

        assert!(error.to_string().contains("they have no 1024 rows in common"), "{error}");
    }
}
