//! Whether a model is another with normal noise added. Training moves some rows and columns further than others, noise none;
//! what rounding adds to the noise is taken off element by element.

use kernels::Dtype;
use rayon::prelude::*;
use weights::{Error, TensorSource};

use super::{
    facts::{Facts, Tensor},
    family::Known,
};

/// Matrices looked at, and elements of each.
const MATRICES: usize = 16;
const ELEMENTS: u64 = 1 << 20;
/// Fewest rows or columns that a spread is taken of.
const LINES: usize = 16;
/// Largest spread of the energy of rows and columns beside what chance gives; training has two and more, and the more the
/// wider a model is.
const WHITE: f64 = 1.3;
/// Squares of the values that tell how strong the noise is, as a share of the mean; their rounding is small.
const SMALL: f64 = 0.25;
/// Squared spacing of numbers, in variances of the noise, up to which a rounding adds to it.
const NEAR: f64 = 4.0;
/// Kurtosis of normal numbers, 3, with what few elements may miss it by. The first steps of Adam are white as well, but flat.
const NORMAL: std::ops::Range<f64> = 2.7..3.6;

/// How evenly the difference of two models is spread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    /// Variance of the energy of rows, and of columns, each beside that of independent elements: 1 for noise.
    pub(super) rows: f64,
    pub(super) columns: f64,
    kurtosis: f64,
    pub(super) matrices: usize,
}

impl Spread {
    fn is_noise(self) -> bool {
        self.rows < WHITE && self.columns < WHITE && NORMAL.contains(&self.kurtosis)
    }
}

/// The spread of what a model has beside another, where that is noise; none where only sketches are known.
///
/// # Errors
/// A read that fails.
pub(super) fn noise(known: &Known<'_>, [child, parent]: [usize; 2]) -> Result<Option<Spread>, Error> {
    let sides = (&known.facts[child], &known.facts[parent], known.sketches);
    let (Some(own), Some(theirs), None) = sides else { return Ok(None) };
    let source = |model: usize| &*known.subjects[model].source;
    Ok(spread((source(child), own), (source(parent), theirs))?.filter(|spread| spread.is_noise()))
}

/// A model and what was found of it.
type Side<'a> = (&'a dyn TensorSource, &'a Facts);

/// The spread of the differences of the matrices that two models of one layout have. None where one of them did not change
/// or changed less than its rounding.
fn spread((child, own): Side<'_>, (parent, theirs): Side<'_>) -> Result<Option<Spread>, Error> {
    let matrix = |tensor: &&Tensor| {
        tensor.shape.len() == 2
            && tensor.layer.is_some()
            && tensor.shape.iter().all(|&side| side as usize >= LINES)
    };
    let (mut pairs, twins) = (Vec::new(), theirs.by_place());
    for tensor in own.tensors.iter().filter(matrix) {
        match twins.twin(tensor) {
            Some(other) if other.shape == tensor.shape => pairs.push((tensor, other)),
            _ => return Ok(None),
        }
    }
    let stride = pairs.len().div_ceil(MATRICES).max(1);
    let chosen: Vec<_> = pairs.into_iter().step_by(stride).collect();
    let spreads = chosen.par_iter().map(|(tensor, other)| {
        let [rows, columns] = [tensor.shape[0], tensor.shape[1]];
        let rows = rows.min(ELEMENTS.div_ceil(columns).max(LINES as u64));
        let read = |source: &dyn TensorSource, index| {
            let mut values = vec![0.0f32; (rows * columns) as usize];
            source.read_f32(index, 0, &mut values).map(|()| values)
        };
        let (values, before) = (read(child, tensor.index)?, read(parent, other.index)?);
        Ok(of(&values, (&before, columns as usize), spacing(tensor.dtype, own.precision)))
    });
    let spreads: Vec<Option<Spread>> = spreads.collect::<Result<_, Error>>()?;
    let Some(spreads) = spreads.into_iter().collect::<Option<Vec<Spread>>>() else { return Ok(None) };
    let mean = |of: fn(&Spread) -> f64| spreads.iter().map(of).sum::<f64>() / spreads.len() as f64;
    let all = Spread {
        rows: mean(|spread| spread.rows),
        columns: mean(|spread| spread.columns),
        kurtosis: mean(|spread| spread.kurtosis),
        matrices: spreads.len(),
    };
    Ok((!spreads.is_empty()).then_some(all))
}

/// Spacing of the numbers above one: that of the format, or of what the elements need of it.
fn spacing(dtype: Dtype, precision: u32) -> f64 {
    2f64.powi(-(super::facts::mantissa(dtype).min(precision) as i32))
}

/// The spread of one difference.
fn of(values: &[f32], (before, columns): (&[f32], usize), spacing: f64) -> Option<Spread> {
    // A value is off by its rounding, uniform over one spacing where the noise is not far below that.
    let step = |at: usize| f64::from(f32::from_bits(before[at].to_bits() & 0x7F80_0000)) * spacing;
    let square = |at: usize| (f64::from(values[at]) - f64::from(before[at])).powi(2);
    let rounding = |at: usize| step(at).powi(2) / 12.0;
    let mean_square = before.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / before.len() as f64;
    let small: Vec<usize> =
        (0..before.len()).filter(|&at| f64::from(before[at]).powi(2) < SMALL * mean_square).collect();
    let noise = small.iter().map(|&at| square(at) - rounding(at)).sum::<f64>() / small.len() as f64;
    let seen = |at: &usize| step(*at).powi(2) <= NEAR * noise;
    let chosen: Vec<usize> = (0..before.len()).filter(seen).collect();
    if !noise.is_finite() || noise <= 0.0 || chosen.len() < before.len() / 2 {
        return None;
    }
    let rows = values.len() / columns;
    let (mut by_row, mut by_column) = (vec![(0.0, 0.0); rows], vec![(0.0, 0.0); columns]);
    let (mut sum, mut fourth) = (0.0, 0.0);
    for &at in &chosen {
        let energy = square(at) / (noise + rounding(at));
        for (all, count) in [&mut by_row[at / columns], &mut by_column[at % columns]] {
            *all += energy;
            *count += 1.0;
        }
        sum += energy;
        fourth += energy * energy;
    }
    let mean = sum / chosen.len() as f64;
    let kurtosis = fourth / chosen.len() as f64 / (mean * mean);
    // The mean of n squares varies by (kurtosis − 1) / n.
    let beside = |lines: &[(f64, f64)]| {
        let off = |(all, count): &(f64, f64)| {
            if *count > 0.0 { count * (all / count / mean - 1.0).powi(2) } else { 0.0 }
        };
        lines.iter().map(off).sum::<f64>() / (lines.len() as f64 - 1.0) / (kurtosis - 1.0)
    };
    Some(Spread { rows: beside(&by_row), columns: beside(&by_column), kurtosis, matrices: 1 })
}

#[cfg(test)]
mod tests {
    use super::{super::tests::gaussian, *};

    const COLUMNS: usize = 48;

    /// A value rounded to the eight bits of bf16.
    fn stored(value: f64) -> f32 {
        let step = 2f64.powi(value.abs().log2().floor() as i32 - 7);
        ((value / step).round() * step) as f32
    }

    /// A matrix with a step whose rows grow by `uneven` from first to last, and that without, both as bf16 stores them.
    fn pair(uneven: f64) -> (Vec<f32>, Vec<f32>) {
        let before: Vec<f32> = gaussian(1, 64 * COLUMNS).into_iter().map(stored).collect();
        let step = |at: usize| 0.01 * (1.0 + uneven * (at / COLUMNS) as f64 / 64.0);
        let moved = gaussian(2, before.len()).into_iter().enumerate().map(|(at, moved)| step(at) * moved);
        let after = moved.zip(&before).map(|(moved, value)| stored(f64::from(*value) + moved)).collect();
        (after, before)
    }

    #[test]
    fn noise_is_spread_evenly_over_rows_and_columns_once_rounding_is_taken_off() {
        let (after, before) = pair(0.0);

        let spread = of(&after, (&before, COLUMNS), 2f64.powi(-7)).unwrap();

        assert!(spread.is_noise(), "{spread:?}");
    }

    #[test]
    fn a_step_that_moves_some_rows_further_is_no_noise() {
        let (after, before) = pair(1.0);

        let spread = of(&after, (&before, COLUMNS), 2f64.powi(-7)).unwrap();

        assert!(!spread.is_noise() && spread.rows > 2.0, "{spread:?}");
        assert!(spread.columns < WHITE, "{spread:?}");
    }

    #[test]
    fn a_step_of_one_length_everywhere_is_no_noise() {
        let before: Vec<f32> = gaussian(1, 64 * COLUMNS).into_iter().map(stored).collect();
        let sign = |at: usize| if at * 7 % 13 < 6 { 0.1 } else { -0.1 };
        let after: Vec<f32> = before.iter().enumerate().map(|(at, value)| value + sign(at)).collect();

        let spread = of(&after, (&before, COLUMNS), 2f64.powi(-23)).unwrap();

        assert!(!spread.is_noise(), "{spread:?}");
    }

    #[test]
    fn nothing_is_told_of_equal_matrices_or_of_a_rounding() {
        let (after, before) = pair(0.0);
        let whole: Vec<f32> = after.iter().map(|value| value * 1.001).collect();
        let rounded: Vec<f32> = whole.iter().map(|value| stored(f64::from(*value))).collect();

        assert!(of(&before, (&before, COLUMNS), 2f64.powi(-7)).is_none());
        assert!(of(&rounded, (&whole, COLUMNS), 2f64.powi(-7)).is_none());
    }
}
