//! A source that stops being read once its job is stopped, whatever it is read for.

use std::sync::Arc;

use weights::{Error, TensorSource};

use crate::{Registry, counted::Counted, worker::Pulse};

/// A source that is read for `registry`: by a job that may be stopped, or for somebody who watches how much is read.
pub(crate) fn over(registry: &Registry, mut source: Arc<dyn TensorSource>) -> Arc<dyn TensorSource> {
    if let Some(read) = registry.read.clone() {
        source = Arc::new(Counted { source, read });
    }
    match registry.pulse.clone() {
        Some(pulse) => Arc::new(Watched { source, pulse }),
        None => source,
    }
}

/// Passes every read on until the pulse is stopped.
struct Watched {
    source: Arc<dyn TensorSource>,
    pulse: Pulse,
}

impl Watched {
    fn go_on(&self) -> Result<(), Error> {
        if self.pulse.cancelled() { Err(Error::Stopped) } else { Ok(()) }
    }
}

impl TensorSource for Watched {
    weights::forward!(source; tensors, account, cautions, metadata, position);

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.go_on()?;
        self.source.read_bytes(index, offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), Error> {
        self.go_on()?;
        self.source.read_f32(index, start, out)
    }

    fn ready(&self, index: usize) -> Result<(), Error> {
        self.go_on()?;
        self.source.ready(index)
    }

    fn view(&self, index: usize, offset: u64, len: usize) -> Option<&[u8]> {
        // A read tells that the job is stopped.
        if self.pulse.cancelled() { None } else { self.source.view(index, offset, len) }
    }

    fn read_unrounded(&self, index: usize, start: u64, out: &mut [f64]) -> Option<Result<(), Error>> {
        match self.go_on() {
            Ok(()) => self.source.read_unrounded(index, start, out),
            // Whether there is anything more exact does not matter any more.
            Err(stopped) => Some(Err(stopped)),
        }
    }
}

#[cfg(test)]
mod tests {
    use weights::TensorInfo;

    use super::*;

    struct Zeros(Vec<TensorInfo>);

    impl TensorSource for Zeros {
        fn tensors(&self) -> &[TensorInfo] {
            &self.0
        }

        fn read_bytes(&self, _: usize, _: u64, out: &mut [u8]) -> Result<(), Error> {
            out.fill(0);
            Ok(())
        }

        fn read_f32(&self, _: usize, _: u64, out: &mut [f32]) -> Result<(), Error> {
            out.fill(0.0);
            Ok(())
        }

        fn view(&self, _: usize, _: u64, _: usize) -> Option<&[u8]> {
            Some(&[0; 16])
        }

        fn read_unrounded(&self, _: usize, _: u64, out: &mut [f64]) -> Option<Result<(), Error>> {
            out.fill(0.0);
            Some(Ok(()))
        }
    }

    #[test]
    fn no_block_is_read_once_the_job_is_stopped() {
        let info = TensorInfo { name: "a".to_owned(), dtype: weights::Dtype::F32, shape: vec![4] };
        let pulse = Pulse::default();
        let watched = Watched { source: Arc::new(Zeros(vec![info])), pulse: pulse.clone() };
        assert!(watched.read_bytes(0, 0, &mut [1; 4]).is_ok());
        assert!(watched.view(0, 0, 16).is_some());
        assert!(watched.read_unrounded(0, 0, &mut [1.0]).is_some_and(|read| read.is_ok()));

        pulse.stop();

        assert!(matches!(watched.read_bytes(0, 0, &mut [1; 4]), Err(Error::Stopped)));
        assert!(matches!(watched.read_f32(0, 0, &mut [1.0]), Err(Error::Stopped)));
        assert!(matches!(watched.ready(0), Err(Error::Stopped)));
        assert!(watched.view(0, 0, 16).is_none());
        let mut unread = [1.0];
        assert!(matches!(watched.read_unrounded(0, 0, &mut unread), Some(Err(Error::Stopped))));
        assert_eq!(unread, [1.0], "a block was computed");
    }
}
