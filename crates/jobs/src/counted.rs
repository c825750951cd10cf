//! How much is read for an answer that somebody waits for.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use weights::{Error, TensorSource};

/// Bytes read so far; cheap to clone, and every clone is the same count.
#[derive(Debug, Clone, Default)]
pub struct ReadSoFar(Arc<AtomicU64>);

impl ReadSoFar {
    /// Bytes as they are stored.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts `bytes` more.
    pub fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A source whose reads are counted.
pub(crate) struct Counted {
    pub(crate) source: Arc<dyn TensorSource>,
    pub(crate) read: ReadSoFar,
}

impl Counted {
    fn elements(&self, index: usize, count: usize) {
        if let Some(info) = self.source.tensors().get(index) {
            self.read.add(info.bytes().saturating_mul(count as u64) / info.elements().max(1));
        }
    }
}

impl TensorSource for Counted {
    weights::forward!(source; tensors, ready, account, cautions, metadata, position);

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.read.add(out.len() as u64);
        self.source.read_bytes(index, offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), Error> {
        self.elements(index, out.len());
        self.source.read_f32(index, start, out)
    }

    fn view(&self, index: usize, offset: u64, len: usize) -> Option<&[u8]> {
        let seen = self.source.view(index, offset, len)?;
        self.read.add(len as u64);
        Some(seen)
    }

    fn read_unrounded(&self, index: usize, start: u64, out: &mut [f64]) -> Option<Result<(), Error>> {
        let read = self.source.read_unrounded(index, start, out)?;
        self.elements(index, out.len());
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use weights::{Dtype, TensorInfo};

    use super::*;

    struct Halves(Vec<TensorInfo>);

    impl TensorSource for Halves {
        fn tensors(&self) -> &[TensorInfo] {
            &self.0
        }

        fn read_bytes(&self, _: usize, _: u64, _: &mut [u8]) -> Result<(), Error> {
            Ok(())
        }

        fn read_f32(&self, _: usize, _: u64, _: &mut [f32]) -> Result<(), Error> {
            Ok(())
        }

        fn view(&self, _: usize, _: u64, len: usize) -> Option<&[u8]> {
            (len == 4).then_some(&[0; 4])
        }
    }

    #[test]
    fn what_is_read_is_counted_as_it_is_stored_whatever_it_becomes() {
        let info = TensorInfo { name: "a".to_owned(), dtype: Dtype::Bf16, shape: vec![4] };
        let read = ReadSoFar::default();
        let counted = Counted { source: Arc::new(Halves(vec![info])), read: read.clone() };

        counted.read_bytes(0, 0, &mut [0; 3]).unwrap();
        counted.read_f32(0, 0, &mut [0.0; 4]).unwrap();
        assert!(counted.view(0, 0, 4).is_some());
        // What is not shown, and is read in another way then, counts once.
        assert!(counted.view(0, 0, 8).is_none());
        assert!(counted.read_unrounded(0, 0, &mut [0.0; 4]).is_none());

        assert_eq!(read.bytes(), 3 + 8 + 4);
    }
}
