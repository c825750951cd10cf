//! Random masks from counters: whether an element is kept depends on the key and its index alone.

use multiversion::multiversion;

use crate::random::splitmix;

/// Numbers a draw can give.
const DRAWS: f64 = (1u64 << 53) as f64;

/// What 64 random bits are below where their number `u`, of the upper 53, is below `share`; `None` where every one is. `u <
/// share` is so decided without leaving the integers.
pub(crate) fn below(share: f64) -> Option<u64> {
    let draws = (share.clamp(0.0, 1.0) * DRAWS).ceil() as u64;
    (draws < 1 << 53).then_some(draws << 11)
}

/// Zeroes `values[j]` unless the random number at `start + j` of the stream `key` is below `share`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn keep_random(key: u64, start: u64, share: f64, values: &mut [f64]) {
    let Some(below) = below(share) else { return };
    for (index, value) in (start..).zip(values) {
        *value = if splitmix(key, index) < below { *value } else { 0.0 };
    }
}

/// How many of the first `len` elements [`keep_random`] keeps.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn count_random(key: u64, share: f64, len: u64) -> u64 {
    let Some(below) = below(share) else { return len };
    (0..len).map(|index| u64::from(splitmix(key, index) < below)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splitmix_unit;

    #[test]
    fn a_mask_keeps_what_draws_a_number_below_the_share() {
        for share in [0.0, 1e-3, 0.25, 0.5, 0.7, 1.0] {
            let mut values = vec![1.0; 5_000];

            keep_random(9, 77, share, &mut values);

            for (at, value) in values.iter().enumerate() {
                assert_eq!(*value == 1.0, splitmix_unit(9, 77 + at as u64) < share, "{share} {at}");
            }
            let kept = (0..5_000).filter(|at| splitmix_unit(9, *at) < share).count() as u64;
            assert_eq!(count_random(9, share, 5_000), kept);
        }
    }
}
