//! What can go wrong on the way to a card and on it. None of it reaches a caller: each is a reason to use the processor.

/// A failure of the driver or the card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("no NVIDIA driver (libcuda) on this machine")]
    NoDriver,
    #[error("the NVIDIA driver finds no card")]
    NoCard,
    #[error("the NVIDIA driver supports CUDA {}.{}, the kernels need {}.{}; update the driver", .found / 1000, .found % 1000 / 10, .needed / 1000, .needed % 1000 / 10)]
    OldDriver { found: i32, needed: i32 },
    #[error("{name} has compute capability {}.{}, the kernels need 8.0", .capability.0, .capability.1)]
    OldCard { name: String, capability: (i32, i32) },
    #[error("{bytes} bytes are not to be had on the card: {reason}")]
    Memory { bytes: usize, reason: String },
    #[error("kernel {kernel} did not start: {reason}")]
    Launch { kernel: String, reason: String },
    #[error("the card did not finish within {seconds} s")]
    Timeout { seconds: u64 },
    #[error("the driver failed: {0}")]
    Driver(String),
}
