//! Sums of squared differences of stored vectors, taken without a base in between.
//!
//! ‖δa − δb‖² follows from the inner products of the deltas, but where the two are near copies the terms cancel, and what is
//! left is rounding. Those pairs are subtracted from one another in f64, which for two f32 leaves at most one rounding.

use multiversion::{multiversion, target::target_cfg_f};

use crate::{Dtype, decode, decode_f64, deltas::Encoded};

/// Where a squared distance is a smaller share of both squared norms, the inner products do not tell it. At this share the
/// f32 in which deltas are taken still leaves ten digits of it.
const NEAR: f64 = 0.1;

/// Elements of each vector held as numbers at a time.
const STRIP: usize = 256;
/// f64 lanes.
const LANES: usize = 16;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Strip([f64; STRIP]);

/// ‖xᵢ − xⱼ‖² of all pairs, row-major `m × m`, `j > i`, from inner products; pairs that these do not tell are left out and
/// listed.
pub(crate) fn from_dots(dots: &[f64], models: usize) -> (Vec<f64>, Vec<(usize, usize)>) {
    let (mut apart, mut near) = (vec![0.0; dots.len()], Vec::new());
    for i in 0..models {
        for j in i + 1..models {
            let norms = dots[i * models + i] + dots[j * models + j];
            let squared = norms - 2.0 * dots[i * models + j];
            match squared >= NEAR * norms {
                true => apart[i * models + j] = squared,
                false => near.push((i, j)),
            }
        }
    }
    (apart, near)
}

/// Adds ‖xᵢ − xⱼ‖² of the pairs listed to `apart`, row-major `m × m`. Sequential, in the order of the elements.
pub(crate) fn add(models: &[Encoded<'_>], near: &[(usize, usize)], apart: &mut [f64]) {
    let elements = models.iter().map(Encoded::elements).min().unwrap_or_default();
    let mut needed = vec![false; models.len()];
    near.iter().for_each(|(i, j)| (needed[*i], needed[*j]) = (true, true));
    let mut values = vec![Strip([0.0; STRIP]); models.len()];
    let mut lanes = vec![[0.0; LANES]; near.len()];
    for from in (0..elements).step_by(STRIP) {
        let count = STRIP.min(elements - from);
        for (at, stored) in models.iter().enumerate().filter(|(at, _)| needed[*at]) {
            read(stored.part(from, count), &mut values[at].0[..count]);
            values[at].0[count..].fill(0.0);
        }
        for ((i, j), lanes) in near.iter().zip(&mut lanes) {
            add_gaps(&values[*i], &values[*j], lanes);
        }
    }
    for ((i, j), lanes) in near.iter().zip(lanes) {
        apart[i * models.len() + j] += lanes.iter().sum::<f64>();
    }
}

fn read(stored: Encoded<'_>, values: &mut [f64]) {
    if stored.dtype == Dtype::F64 {
        return decode_f64(stored.dtype, stored.bytes, values);
    }
    let mut narrow = [0.0f32; STRIP];
    let narrow = &mut narrow[..values.len()];
    decode(stored.dtype, stored.bytes, narrow);
    values.iter_mut().zip(narrow).for_each(|(value, narrow)| *value = f64::from(*narrow));
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn add_gaps(a: &Strip, b: &Strip, lanes: &mut [f64; LANES]) {
    if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
        add_squares(a, b, lanes, |gap, sum| gap.mul_add(gap, sum));
    } else {
        add_squares(a, b, lanes, |gap, sum| gap * gap + sum);
    }
}

#[inline(always)]
fn add_squares(a: &Strip, b: &Strip, lanes: &mut [f64; LANES], fma: impl Fn(f64, f64) -> f64) {
    let mut sums = *lanes;
    for (a, b) in a.0.as_chunks::<LANES>().0.iter().zip(b.0.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sums[lane] = fma(a[lane] - b[lane], sums[lane]);
        }
    }
    *lanes = sums;
}
