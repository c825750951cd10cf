//! The NVIDIA driver, opened when the program runs.

use std::{
    collections::BTreeMap,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cudarc::{
    driver::{
        CudaContext, CudaFunction, CudaSlice, CudaStream, DriverError, LaunchConfig, PinnedHostSlice,
        PushKernelArg, sys,
    },
    nvrtc::Ptx,
};

use crate::{Argument, Card, Driver, Fault, KERNELS, Lane, Launch, Platform, SOURCES};

/// Longest time that all work of a lane may take.
const DEADLINE: Duration = Duration::from_secs(120);
/// Time in which work is waited for without sleeping.
const AWAKE: Duration = Duration::from_millis(2);
const NAP: Duration = Duration::from_micros(50);

/// Cards of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cuda;

impl Platform for Cuda {
    fn cards(&self) -> Result<Vec<Card>, Fault> {
        guarded(|| {
            if !present() {
                return Err(Fault::NoDriver);
            }
            let count = match CudaContext::device_count() {
                Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => 0,
                counted => counted.map_err(driver)?,
            };
            let version = version()?;
            (0..usize::try_from(count).unwrap_or_default()).map(|ordinal| card(ordinal, version)).collect()
        })
    }

    fn open(&self, card: &Card) -> Result<Box<dyn Driver>, Fault> {
        guarded(|| {
            let context = CudaContext::new(card.ordinal).map_err(driver)?;
            let mut entries = BTreeMap::new();
            for source in SOURCES {
                let module = context.load_module(Ptx::from_src(source.ptx)).map_err(driver)?;
                for kernel in KERNELS.iter().filter(|kernel| kernel.source == source.name) {
                    entries.insert(kernel.entry, module.load_function(kernel.entry).map_err(driver)?);
                }
            }
            let (entries, stuck) = (Arc::new(entries), Arc::default());
            Ok(Box::new(Opened { context, entries, stuck }) as Box<dyn Driver>)
        })
    }
}

/// The library panics where the driver lacks a function; that is a failure like any other.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Fault::Driver("it lacks a function".to_owned())))
}

fn driver(error: DriverError) -> Fault {
    let text = |told: Result<&std::ffi::CStr, DriverError>| {
        told.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    };
    Fault::Driver(format!("{} ({})", text(error.error_string()), text(error.error_name())))
}

#[allow(unsafe_code)]
fn present() -> bool {
    // SAFETY: the library is only opened and closed again; its initialisers are the driver's own.
    unsafe { sys::is_culib_present() }
}

#[allow(unsafe_code)]
fn version() -> Result<i32, Fault> {
    let mut version = 0;
    // SAFETY: the driver writes one integer, which outlives the call.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }.result().map_err(driver)?;
    Ok(version)
}

#[allow(unsafe_code)]
fn card(ordinal: usize, version: i32) -> Result<Card, Fault> {
    use cudarc::driver::result::device;
    let attribute = |of| {
        let card = device::get(i32::try_from(ordinal).unwrap_or_default()).map_err(driver)?;
        // SAFETY: the card's number comes from the driver.
        unsafe { device::get_attribute(card, of) }.map_err(driver)
    };
    let handle = device::get(i32::try_from(ordinal).unwrap_or_default()).map_err(driver)?;
    // SAFETY: the card's number comes from the driver.
    let memory = unsafe { device::total_mem(handle) }.map_err(driver)?;
    Ok(Card {
        ordinal,
        name: device::get_name(handle).map_err(driver)?,
        capability: (
            attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        memory: memory as u64,
        driver: version,
    })
}

type Entries = BTreeMap<&'static str, CudaFunction>;

struct Opened {
    context: Arc<CudaContext>,
    entries: Arc<Entries>,
    /// Whether a lane has waited in vain.
    stuck: Arc<AtomicBool>,
}

impl Driver for Opened {
    fn free(&self) -> Result<u64, Fault> {
        Ok(self.context.mem_get_info().map_err(driver)?.0 as u64)
    }

    fn lane(&self, bytes: usize) -> Result<Box<dyn Lane>, Fault> {
        let memory = |error: DriverError| Fault::Memory { bytes, reason: driver(error).to_string() };
        let stream = self.context.new_stream().map_err(driver)?;
        let card = stream.alloc_zeros(bytes).map_err(memory)?;
        let mut host = pinned(&self.context, bytes).map_err(memory)?;
        host.as_mut_slice().map_err(driver)?.fill(0);
        Ok(Box::new(CudaLane {
            held: Some(Held { card, host, stream }),
            entries: Arc::clone(&self.entries),
            stuck: Arc::clone(&self.stuck),
            lost: Vec::new(),
        }))
    }
}

#[allow(unsafe_code)]
fn pinned(context: &Arc<CudaContext>, bytes: usize) -> Result<PinnedHostSlice<u8>, DriverError> {
    // SAFETY: every byte is written before any is read.
    unsafe { context.alloc_pinned_with_flags(bytes, 0) }
}

struct Held {
    card: CudaSlice<u8>,
    host: PinnedHostSlice<u8>,
    stream: Arc<CudaStream>,
}

struct CudaLane {
    stuck: Arc<AtomicBool>,
    /// None once the card has not answered in time: what it may still write to is never given back.
    held: Option<Held>,
    entries: Arc<Entries>,
    /// What [`Lane::host`] gives where nothing is held.
    lost: Vec<u8>,
}

impl CudaLane {
    fn held(&mut self) -> Result<&mut Held, Fault> {
        self.held.as_mut().ok_or(Fault::Timeout { seconds: DEADLINE.as_secs() })
    }
}

impl Lane for CudaLane {
    fn host(&mut self) -> &mut [u8] {
        let held = self.held.as_mut().map(|held| held.host.as_mut_slice());
        held.and_then(Result::ok).unwrap_or(&mut self.lost)
    }

    fn upload(&mut self, range: Range<usize>) -> Result<(), Fault> {
        let Held { card, host, stream } = self.held()?;
        let from = host.as_slice().map_err(driver)?.get(range.clone()).ok_or_else(outside)?;
        let mut to = card.try_slice_mut(range).ok_or_else(outside)?;
        stream.memcpy_htod(from, &mut to).map_err(driver)
    }

    fn launch(&mut self, launch: &Launch<'_>) -> Result<(), Fault> {
        let refused = |reason: String| Fault::Launch { kernel: launch.entry.to_owned(), reason };
        let entries = Arc::clone(&self.entries);
        let entry = entries.get(launch.entry).ok_or_else(|| refused("it is not in the list".to_owned()))?;
        let Held { card, stream, .. } = self.held()?;
        start(stream, (entry, card), launch).map_err(|error| refused(driver(error).to_string()))
    }

    fn download(&mut self, range: Range<usize>) -> Result<(), Fault> {
        let Held { card, host, stream } = self.held()?;
        let from = card.try_slice(range.clone()).ok_or_else(outside)?;
        let to = host.as_mut_slice().map_err(driver)?.get_mut(range).ok_or_else(outside)?;
        stream.memcpy_dtoh(&from, to).map_err(driver)
    }

    fn finish(&mut self) -> Result<(), Fault> {
        let started = Instant::now();
        let event = self.held()?.stream.record_event(None).map_err(driver)?;
        while !event.try_is_complete().map_err(driver)? {
            let waited = started.elapsed();
            if waited > DEADLINE || self.stuck.load(Ordering::Relaxed) {
                self.stuck.store(true, Ordering::Relaxed);
                // Giving it back would wait for the card, perhaps for ever.
                std::mem::forget((self.held.take(), event));
                return Err(Fault::Timeout { seconds: DEADLINE.as_secs() });
            }
            if waited > AWAKE { thread::sleep(NAP) } else { thread::yield_now() }
        }
        Ok(())
    }
}

impl Drop for CudaLane {
    fn drop(&mut self) {
        // Copies that were started still use the memory; why they failed has been told.
        drop(self.finish());
    }
}

fn outside() -> Fault {
    Fault::Driver("a copy leaves the lane".to_owned())
}

#[allow(unsafe_code)]
fn start(
    stream: &CudaStream,
    (entry, card): (&CudaFunction, &mut CudaSlice<u8>),
    launch: &Launch<'_>,
) -> Result<(), DriverError> {
    use cudarc::driver::DevicePtrMut as _;
    let start = card.device_ptr_mut(stream).0;
    let values: Vec<Value> = launch.arguments.iter().map(|argument| Value::of(*argument, start)).collect();
    let mut builder = stream.launch_builder(entry);
    for value in &values {
        match value {
            Value::U32(value) => builder.arg(value),
            Value::U64(value) => builder.arg(value),
            Value::F64(value) => builder.arg(value),
        };
    }
    let config = LaunchConfig {
        grid_dim: (launch.grid.0, launch.grid.1, 1),
        block_dim: (Launch::THREADS, 1, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: the arguments are those of the entry, which the parity test of each kernel of the list passes in this very
    // way; its places lie in the lane's memory, which lives until its stream has finished.
    unsafe { builder.launch(config) }.map(drop)
}

/// An argument as the kernel takes it.
enum Value {
    U32(u32),
    U64(u64),
    F64(f64),
}

impl Value {
    fn of(argument: Argument, start: u64) -> Self {
        match argument {
            Argument::At(offset) => Self::U64(start + offset as u64),
            Argument::U32(value) => Self::U32(value),
            Argument::U64(value) => Self::U64(value),
            Argument::F64(value) => Self::F64(value),
        }
    }
}
