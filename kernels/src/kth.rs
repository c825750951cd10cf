//! The exact k-th largest magnitude in two histogram passes, without sorting or a copy.
//!
//! `|x|` as f32 has a bit pattern that grows with the magnitude. [`High`] counts the upper 16 bits and
//! finds the bucket of rank k, [`Low`] counts the lower 16 bits inside it. NaN ranks above infinity.

/// Histogram of the upper 16 bits of every magnitude: the first pass.
#[derive(Debug, Clone)]
pub struct High {
    counts: Vec<u64>,
}

/// Where rank k falls after the first pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Upper 16 bits of the magnitude of rank k.
    pub high: u32,
    /// Elements in higher buckets.
    pub above: u64,
    /// The rank inside the bucket, from 1.
    pub rank: u64,
}

/// Histogram of the lower 16 bits inside one bucket: the second pass.
#[derive(Debug, Clone)]
pub struct Low {
    bucket: Bucket,
    counts: Vec<u64>,
}

/// The magnitude of rank k.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Bits of the magnitude as f32.
    pub value_bits: u32,
    /// Elements with a strictly greater magnitude.
    pub above: u64,
}

#[inline(always)]
pub(crate) fn magnitude(value: f32) -> u32 {
    value.to_bits() & 0x7FFF_FFFF
}

fn add_all(mine: &mut [u64], theirs: &[u64]) {
    mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
}

/// The slot of rank `rank` counted from the top, and how many elements lie above that slot.
fn find(counts: &[u64], rank: u64) -> Option<(usize, u64)> {
    let mut above = 0;
    for (slot, &count) in counts.iter().enumerate().rev() {
        if above + count >= rank {
            return Some((slot, above));
        }
        above += count;
    }
    None
}

impl Default for High {
    fn default() -> Self {
        Self { counts: vec![0; 1 << 15] }
    }
}

impl High {
    /// An empty histogram.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts the next elements.
    pub fn add_block(&mut self, values: &[f32]) {
        for &value in values {
            self.counts[(magnitude(value) >> 16) as usize] += 1;
        }
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Self) {
        add_all(&mut self.counts, &other.counts);
    }

    /// The bucket of the k-th largest magnitude, k from 1; `None` when k is 0 or more than were counted.
    pub fn bucket_for(&self, k: u64) -> Option<Bucket> {
        let (slot, above) = find(&self.counts, k).filter(|_| k > 0)?;
        Some(Bucket { high: slot as u32, above, rank: k - above })
    }
}

impl Low {
    /// An empty histogram of one bucket.
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket, counts: vec![0; 1 << 16] }
    }

    /// Counts the next elements; the same ones the first pass saw, in any order.
    pub fn add_block(&mut self, values: &[f32]) {
        for &value in values {
            let bits = magnitude(value);
            if bits >> 16 == self.bucket.high {
                self.counts[(bits & 0xFFFF) as usize] += 1;
            }
        }
    }

    /// Adds what another counted in the same bucket.
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.bucket, other.bucket, "histograms of one bucket");
        add_all(&mut self.counts, &other.counts);
    }

    /// The exact magnitude; `None` when fewer elements were counted than in the first pass.
    pub fn threshold(&self) -> Option<Threshold> {
        let (slot, above) = find(&self.counts, self.bucket.rank)?;
        Some(Threshold {
            value_bits: (self.bucket.high << 16) | slot as u32,
            above: self.bucket.above + above,
        })
    }
}

impl Threshold {
    /// The magnitude as a number.
    pub fn value(&self) -> f32 {
        f32::from_bits(self.value_bits)
    }

    /// Of the elements exactly at the threshold, how many belong to the k largest (the first in index order).
    pub fn ties(&self, k: u64) -> u64 {
        k.saturating_sub(self.above)
    }

    /// Elements of a block exactly at the threshold, to start a block in the middle of a tensor.
    pub fn ties_in(&self, values: &[f32]) -> u64 {
        values.iter().map(|&value| u64::from(magnitude(value) == self.value_bits)).sum()
    }
}

/// The k-th largest magnitude of values in memory, k from 1.
pub fn threshold(values: &[f32], k: u64) -> Option<Threshold> {
    let mut high = High::new();
    high.add_block(values);
    let mut low = Low::new(high.bucket_for(k)?);
    low.add_block(values);
    low.threshold()
}
