//! Sums of one cache-sized strip; what the sums of differences are built from.

/// Elements in one strip: two strips of f32 fit the first-level cache.
pub(crate) const STRIP: usize = 4_096;

const LANES: usize = 8;

/// Σ aᵢbᵢ in f64; slices of one length.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0f64; LANES];
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += f64::from(x[lane]) * f64::from(y[lane]);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
    fold(lanes) + rest
}

/// Partial sums of [`dot_f32`], which a processor adds side by side.
const WIDE_LANES: usize = 16;

/// Σ aᵢbᵢ in f32, by sixteen partial sums whose order is the same on any machine; slices of one length.
#[inline]
pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len(), "dot_f32 wants slices of one length");
    let (a_chunks, a_rest) = a.as_chunks::<WIDE_LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<WIDE_LANES>();
    let mut lanes = [0.0f32; WIDE_LANES];
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..WIDE_LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    for (lane, (x, y)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += x * y;
    }
    lanes.iter().sum()
}

fn fold(l: [f64; LANES]) -> f64 {
    ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]))
}

/// Whether no element is NaN or infinite.
pub(crate) fn all_finite(a: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7F80_0000;
    a.iter().fold(0u32, |bad, x| bad | u32::from(x.to_bits() & EXPONENT == EXPONENT)) == 0
}

#[cfg(test)]
mod tests {
    use super::dot_f32;

    #[test]
    fn every_element_of_any_length_counts_once() {
        for len in [0, 1, 15, 16, 17, 40] {
            let a: Vec<f32> = (1..=len).map(|at| at as f32).collect();

            assert_eq!(dot_f32(&a, &vec![2.0; a.len()]), (len * (len + 1)) as f32, "{len}");
        }
    }
}
