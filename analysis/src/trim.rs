//! The k largest magnitudes of a stream without sorting it: two histogram passes, then one to settle ties by index.

use kernels::kth::{High, Low};

/// Which elements of a delta are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// Magnitude of the last element kept, as f32 bits, which order like the magnitudes.
    threshold: u32,
    /// Elements of exactly that magnitude are kept below this index.
    cutoff: u64,
}

/// Takes magnitudes block by block: index of the first element, then the elements.
type Feed<'a> = dyn FnMut(u64, &[f32]) + 'a;

impl Trim {
    pub const KEEP_ALL: Self = Self { threshold: 0, cutoff: u64::MAX };
    pub const KEEP_NONE: Self = Self { threshold: u32::MAX, cutoff: 0 };

    /// Keeps what is larger than `threshold` (f32 bits), and of what equals it the elements below index `cutoff`.
    pub const fn new(threshold: u32, cutoff: u64) -> Self {
        Self { threshold, cutoff }
    }

    /// The same elements where index 0 is what was index `offset`.
    pub const fn from(self, offset: u64) -> Self {
        Self { cutoff: self.cutoff.saturating_sub(offset), ..self }
    }

    /// Magnitude of the last element kept, as f32 bits, and the index below which elements of exactly that are kept.
    pub const fn bounds(self) -> (u32, u64) {
        (self.threshold, self.cutoff)
    }

    /// The `keep` largest elements, ties at the threshold by lowest index. `pass` runs over the delta once a call.
    pub fn largest<E>(keep: u64, mut pass: impl FnMut(&mut Feed<'_>) -> Result<(), E>) -> Result<Self, E> {
        let mut high = High::new();
        pass(&mut |_, block| high.add_block(block))?;
        let Some(bucket) = high.bucket_for(keep) else { return Ok(Self::KEEP_ALL) };
        let mut low = Low::new(bucket);
        pass(&mut |_, block| low.add_block(block))?;
        let Some(threshold) = low.threshold() else { return Ok(Self::KEEP_ALL) };
        let wanted = threshold.ties(keep);
        let (mut seen, mut cutoff) = (0, 0);
        pass(&mut |start, block| {
            let here = threshold.ties_in(block);
            if seen < wanted {
                let at_threshold =
                    block.iter().enumerate().filter(|(_, v)| v.to_bits() == threshold.value_bits);
                let last = at_threshold.take((wanted - seen) as usize).last();
                cutoff = last.map_or(cutoff, |(at, _)| start + at as u64 + 1);
            }
            seen += here;
        })?;
        Ok(Self { threshold: threshold.value_bits, cutoff })
    }

    /// How many of `elements` the share `density` keeps: the whole part, but at least one of any.
    pub fn share(density: f64, elements: u64) -> u64 {
        let keep = (density * elements as f64).floor() as u64;
        keep.clamp(elements.min(1), elements)
    }

    /// Whether the element of this magnitude at flat `index` is kept.
    pub fn keeps(self, magnitude: f32, index: u64) -> bool {
        let bits = magnitude.to_bits();
        bits > self.threshold || bits == self.threshold && index < self.cutoff
    }
}

/// What elements are ranked by; NaN ranks as zero.
pub fn magnitude(delta: f64) -> f32 {
    if delta.is_nan() { 0.0 } else { delta.abs() as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_at_the_threshold_keep_the_lowest_indices() {
        let delta = [0.5, -1.0, 1.0, 0.25, -1.0, 2.0].map(magnitude);
        let pass = |each: &mut Feed<'_>| {
            each(0, &delta[..3]);
            each(3, &delta[3..]);
            Ok::<_, ()>(())
        };

        let trim = Trim::largest(3, pass).unwrap();

        let kept: Vec<usize> = (0..6).filter(|&i| trim.keeps(delta[i], i as u64)).collect();
        assert_eq!(kept, [1, 2, 5]);
    }
}
