//! Counter-based random numbers: any position of a stream without the ones before it.

/// The uniform number in `0..1` at position `index` of the stream `key` (splitmix64, 53 bits).
#[inline]
pub fn splitmix_unit(key: u64, index: u64) -> f64 {
    (splitmix(key, index) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// What splitmix64 adds to its state from one number to the next.
pub(crate) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// What splitmix64 multiplies its state by.
pub(crate) const MIX: [u64; 2] = [0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB];

/// The 64 random bits at position `index` of the stream `key` (splitmix64).
#[inline(always)]
pub fn splitmix(key: u64, index: u64) -> u64 {
    let mut z = key.wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN));
    z = (z ^ (z >> 30)).wrapping_mul(MIX[0]);
    z = (z ^ (z >> 27)).wrapping_mul(MIX[1]);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_key_zero_is_the_published_splitmix64() {
        // First output of splitmix64 seeded with 0.
        assert_eq!(splitmix_unit(0, 0), (0xE220_A839_7B1D_CDAF_u64 >> 11) as f64 / (1u64 << 53) as f64);
    }

    #[test]
    fn numbers_stay_below_one_and_average_to_a_half() {
        let draws: Vec<f64> = (0..100_000).map(|i| splitmix_unit(42, i)).collect();
        assert!(draws.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
    }

    #[test]
    fn the_last_index_does_not_overflow() {
        assert!(splitmix_unit(u64::MAX, u64::MAX) < 1.0);
    }
}
