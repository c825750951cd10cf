//! What a device beside the processor may compute instead of it. The meaning is that of the kernels here: elementwise
//! results have the same bits, sums agree to 1e-6.

use std::ops::ControlFlow;

use crate::{Dtype, Gram, wide::Common};

/// Fills bytes of input `.0` from its element `.1` on; breaks off when reading failed, and then the reader knows why.
pub type Read<'a> = dyn Fn(usize, u64, &mut [u8]) -> ControlFlow<()> + Sync + 'a;

/// Inputs of one length that are read piece by piece.
#[derive(Clone, Copy)]
pub struct Streamed<'a> {
    /// Float dtypes.
    pub inputs: &'a [Dtype],
    /// Of each input.
    pub elements: u64,
    pub read: &'a Read<'a>,
}

/// Why a device did not compute something. The processor can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declined {
    /// Reading an input failed; the reader knows why.
    Stopped,
    /// Every place on the device is taken just now.
    Busy,
    /// It is not worth the way there, or no kernel is for it.
    Unfit,
    /// The processor is quicker, in words.
    Slower(String),
    /// It failed, in words.
    Failed(String),
}

/// A device.
pub trait Device: Send + Sync {
    /// What keeps it from computing, in words.
    fn fault(&self) -> Option<String>;

    /// Sums of the deltas `inputs[1..] − inputs[0]`.
    ///
    /// # Errors
    /// When the device does not compute them.
    fn delta_sums(&self, inputs: Streamed<'_>) -> Result<Gram, Declined>;

    /// What [`crate::wide::weighted_sum`] gives for inputs with these factors, with the same bits.
    ///
    /// # Errors
    /// When the device does not compute it; what was written means nothing then.
    fn weighted_sum(
        &self,
        inputs: Streamed<'_>,
        sum: (&[f64], Common),
        out: (Dtype, &mut [u8]),
    ) -> Result<Option<u64>, Declined>;
}
