//! How much memory lanes take, and where in a lane things lie.

use std::ops::Range;

use domain::Limits;

/// Sizes of lanes, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Of each of the two lanes that measure.
    pub measuring: usize,
    /// Of each of the [`Room::BLENDING`] lanes that blend.
    pub blending: usize,
}

impl Room {
    /// Lanes that blend: while one computes, the others' inputs are on their way.
    pub const BLENDING: usize = 4;
    /// Lanes smaller than this are not worth the way.
    const LEAST: u64 = 4 << 20;

    /// For `free` bytes on the card: half of [`Limits::device_bytes`] measure and half blend, but no more than a quarter of
    /// what is free. `None` where that is too little.
    pub fn within(limits: &Limits, free: u64) -> Option<Self> {
        let all = limits.device_bytes.min(free / 4);
        let (measuring, blending) = (all / 4, all / (2 * Self::BLENDING as u64));
        if blending < Self::LEAST {
            return None;
        }
        let whole =
            |bytes: u64| usize::try_from(bytes).ok().map(|bytes| bytes / Places::ALIGNED * Places::ALIGNED);
        Some(Self { measuring: whole(measuring)?, blending: whole(blending)? })
    }
}

/// Hands out places in a lane one after another.
#[derive(Debug, Default, Clone, Copy)]
pub struct Places {
    end: usize,
}

impl Places {
    /// Places begin at multiples of this, as the card's widest loads want it. What lies between is never written, so that
    /// a kernel may read a little past the end of its input.
    pub const ALIGNED: usize = 256;

    /// The next `bytes` bytes.
    pub fn take(&mut self, bytes: usize) -> Range<usize> {
        let start = self.end.next_multiple_of(Self::ALIGNED);
        self.end = start + bytes;
        start..self.end
    }

    /// Bytes of a lane that holds all places.
    pub fn len(&self) -> usize {
        self.end.next_multiple_of(Self::ALIGNED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_take_no_more_than_a_quarter_of_a_card() {
        let limits = Limits { device_bytes: 1 << 40, ..Limits::default() };

        let room = Room::within(&limits, 8 << 30).unwrap();

        assert_eq!((room.measuring, room.blending), (512 << 20, 256 << 20));
        assert!(2 * room.measuring + Room::BLENDING * room.blending <= 2 << 30);
    }

    #[test]
    fn a_card_that_is_full_has_no_room() {
        assert_eq!(Room::within(&Limits::default(), 100 << 20), None);
    }
}
