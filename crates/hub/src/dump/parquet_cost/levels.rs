//! Repetition levels: how many items the longest row of a list column has, without decoding any.

/// Follows a column's levels page by page; a level of 0 begins a row.
pub(super) struct Run {
    width: u32,
    current: u64,
    longest: u64,
}

impl Run {
    pub fn new(max_level: i16) -> Self {
        Self { width: u16::BITS - max_level.unsigned_abs().leading_zeros(), current: 0, longest: 0 }
    }

    /// Most items met in one row.
    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// Adds `count` items to the present row.
    pub fn extend(&mut self, count: u64) {
        self.current = self.current.saturating_add(count);
        self.longest = self.longest.max(self.current);
    }

    fn begin(&mut self, count: u64) {
        if count > 0 {
            self.current = 0;
            self.extend(1);
        }
    }

    /// Reads `count` levels in the RLE and bit-packing hybrid; levels that are missing count as items.
    pub fn read(&mut self, mut bytes: &[u8], mut count: u64) {
        while count > 0 {
            let Some(head) = varint(&mut bytes) else { break };
            let here = if head & 1 == 0 {
                let here = (head >> 1).min(count);
                let size = (self.width.div_ceil(8) as usize).min(bytes.len());
                let (level, rest) = bytes.split_at(size);
                bytes = rest;
                if level.iter().all(|&byte| byte == 0) {
                    self.begin(here)
                } else {
                    self.extend(here)
                }
                here
            } else {
                let here = (head >> 1).saturating_mul(8).min(count);
                let size = (head >> 1).saturating_mul(u64::from(self.width));
                let (packed, rest) =
                    bytes.split_at(usize::try_from(size).map_or(bytes.len(), |n| n.min(bytes.len())));
                bytes = rest;
                self.unpack(packed, here)
            };
            if here == 0 {
                break;
            }
            count -= here;
        }
        self.extend(count);
    }

    /// Levels of `width` bits each, the lowest first; how many there were.
    fn unpack(&mut self, packed: &[u8], count: u64) -> u64 {
        let width = self.width as usize;
        let held = (packed.len() * 8 / width.max(1)) as u64;
        let count = count.min(held);
        for at in 0..count as usize {
            let set = |bit: usize| packed[bit / 8] >> (bit % 8) & 1 == 1;
            if (at * width..(at + 1) * width).any(set) { self.extend(1) } else { self.begin(1) }
        }
        count
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Run;

    #[test]
    fn the_longest_row_is_found_across_runs_and_pages() {
        let mut run = Run::new(1);

        // Two rows begin, then 5 more items of the second; bit-packed 0 1 1 1 1 1 1 1; then a page of 4 items.
        run.read(&[4, 0, 10, 1, 3, 0b1111_1110], 15);
        assert_eq!(run.longest(), 8);
        run.read(&[8, 1], 4);

        assert_eq!(run.longest(), 12);
    }

    #[test]
    fn claims_beyond_the_bytes_count_as_one_row() {
        let mut run = Run::new(3);
        run.read(&[], 1_000);
        assert_eq!(run.longest(), 1_000);

        let mut run = Run::new(1);
        run.read(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 1], 1 << 31);
        assert_eq!(run.longest(), 1 << 31);
    }
}
