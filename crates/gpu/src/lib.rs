//! The kernels of `kernels/cuda` on an NVIDIA card: finds one when the program runs, streams inputs to it, and hands
//! every failure back as a reason to use the processor. Nothing is linked to CUDA.

mod call;
mod choice;
mod cuda;
mod device;
mod driver;
mod fault;
mod gram;
mod list;
mod race;
mod room;
mod session;
mod sums;

pub use call::{Call, Part};
pub use choice::{Choice, Found, find};
pub use cuda::Cuda;
pub use device::Gpu;
pub use driver::{Argument, Card, Driver, Lane, Launch, Platform};
pub use fault::Fault;
pub use list::{Agreement, KERNELS, Kernel, SOURCES, Source, code};
pub use room::Room;
