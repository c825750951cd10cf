//! The little of a driver that is needed: lanes of memory, each with a stream of work in order.

use std::ops::Range;

use crate::Fault;

/// A card as its driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Number by which the driver knows it.
    pub ordinal: usize,
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (i32, i32),
    /// Bytes of its memory.
    pub memory: u64,
    /// CUDA version that the driver supports, 1000 · major + 10 · minor.
    pub driver: i32,
}

/// A way to cards.
pub trait Platform: Send + Sync {
    /// All cards, usable or not.
    ///
    /// # Errors
    /// When there is no driver, or it fails.
    fn cards(&self) -> Result<Vec<Card>, Fault>;

    /// Makes a card ready for the kernels.
    ///
    /// # Errors
    /// When the driver refuses.
    fn open(&self, card: &Card) -> Result<Box<dyn Driver>, Fault>;
}

/// A card that is ready; its lanes keep it so. Dropping all of them gives back what was taken, a failed context too.
pub trait Driver: Send + Sync {
    /// Bytes of the card's memory that nobody uses.
    ///
    /// # Errors
    /// When the driver fails.
    fn free(&self) -> Result<u64, Fault>;

    /// A lane of `bytes` bytes.
    ///
    /// # Errors
    /// When the memory is not to be had.
    fn lane(&self, bytes: usize) -> Result<Box<dyn Lane>, Fault>;
}

/// Memory of one size on both sides and a stream of work done in order. Copies go to the same place on the other side.
pub trait Lane: Send {
    /// This side, which belongs to the caller from [`Self::finish`] to the next copy.
    fn host(&mut self) -> &mut [u8];

    /// Starts a copy to the card.
    ///
    /// # Errors
    /// When the driver fails, also over earlier work.
    fn upload(&mut self, range: Range<usize>) -> Result<(), Fault>;

    /// Starts a kernel.
    ///
    /// # Errors
    /// As [`Self::upload`].
    fn launch(&mut self, launch: &Launch<'_>) -> Result<(), Fault>;

    /// Starts a copy from the card.
    ///
    /// # Errors
    /// As [`Self::upload`].
    fn download(&mut self, range: Range<usize>) -> Result<(), Fault>;

    /// Waits for everything that was started.
    ///
    /// # Errors
    /// When any of it failed, or takes too long.
    fn finish(&mut self) -> Result<(), Fault>;
}

/// One launch of a kernel; every block has [`Launch::THREADS`] threads.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// Name of the entry.
    pub entry: &'a str,
    /// Blocks along both axes.
    pub grid: (u32, u32),
    pub arguments: &'a [Argument],
}

impl Launch<'_> {
    /// Threads of a block.
    pub const THREADS: u32 = 256;
}

/// An argument of a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument {
    /// A place in the lane, bytes from its start.
    At(usize),
    U32(u32),
    U64(u64),
    F64(f64),
}
