//! A merge sent while it is computed: nothing of it is written here.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use domain::Digest;
use futures::{StreamExt as _, stream::BoxStream};
use tokio::{
    runtime::Handle,
    sync::{
        OwnedSemaphorePermit,
        mpsc::{Receiver, Sender, channel},
    },
    task::spawn_blocking,
    time::timeout,
};

use crate::{Access, Error, Pulse, Registry, stages::planned};

/// Blocks of a writer that wait to be sent.
const AHEAD: usize = 4;

/// One safetensors file of the weights of a merge.
pub struct Streamed {
    /// Its length.
    pub bytes: u64,
    /// The same for the same recipe of the same contents, computed by this version of the program.
    pub tag: Digest,
    /// Its bytes in order; the merge stops when it is dropped.
    pub body: BoxStream<'static, io::Result<Vec<u8>>>,
}

/// Held by a body: what is computed for it stops once nobody reads it any more.
struct Read {
    pulse: Pulse,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Drop for Read {
    fn drop(&mut self) {
        self.pulse.stop();
    }
}

/// Checks a merge recipe and begins to compute what it makes.
///
/// # Errors
/// Every fault of the recipe at once; [`Error::NoRoom`] for what is decomposed in scratch; [`Error::TooManyDownloads`].
pub async fn stream_merge(registry: &Registry, yaml: &str, access: &Access) -> Result<Streamed, Error> {
    let pulse = Pulse::default();
    let watched = Registry { pulse: Some(pulse.clone()), ..registry.clone() };
    let plan = planned(&watched, analysis::merge::read_stages(yaml)?, access).await?;
    plan.fits_scratch(&registry.scratch)?;
    let Ok(place) = Arc::clone(&registry.streaming).try_acquire_owned() else {
        return Err(Error::TooManyDownloads(registry.limits.merge_downloads));
    };
    let version = env!("CARGO_PKG_VERSION");
    let tag = Digest::of(format!("stemma {version} {}", plan.recipe.address()).as_bytes());
    let (source, bytes) = (Arc::clone(&plan.source), weights::file_bytes(&*plan.source)?);
    let (sender, receiver) = channel(AHEAD);
    let idle = Duration::from_secs(registry.limits.download_idle_seconds);
    let mut out = Sent { sender, runtime: Handle::current(), idle };
    let place = Arc::new(place);
    let (read, stopped) = (Read { pulse: pulse.clone(), _place: Arc::clone(&place) }, pulse);
    spawn_blocking(move || {
        let written = weights::write_safetensors(&*source, &mut out, &|bytes| stopped.advance(bytes));
        if let Err(error) = written {
            tracing::info!("a merge that was sent while it was computed broke off: {error}");
            // Whoever reads learns that it is not whole, also by its length.
            let _ = out.runtime.block_on(out.sender.send(Err(io::Error::other(error.to_string()))));
        }
        drop(place);
    });
    Ok(Streamed { bytes, tag, body: received(receiver, read) })
}

fn received(receiver: Receiver<io::Result<Vec<u8>>>, read: Read) -> BoxStream<'static, io::Result<Vec<u8>>> {
    futures::stream::unfold((receiver, read), |(mut receiver, read)| async move {
        receiver.recv().await.map(|block| (block, (receiver, read)))
    })
    .boxed()
}

/// The other end of a body.
struct Sent {
    sender: Sender<io::Result<Vec<u8>>>,
    runtime: Handle,
    /// How long one block may wait to be taken.
    idle: Duration,
}

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The clock is the runtime's.
        let taken = async { timeout(self.idle, self.sender.send(Ok(bytes.to_vec()))).await };
        match self.runtime.block_on(taken) {
            Ok(Ok(())) => Ok(bytes.len()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads it any more")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it was not read for too long")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
