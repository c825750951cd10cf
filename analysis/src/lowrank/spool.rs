//! Factors on their way into a checkpoint: written to a scratch file as they are found, read back from there.

use std::{collections::BTreeMap, io, sync::Arc};

use kernels::Dtype;
use weights::{ReadAt, TensorInfo, TensorSource, decode_range, slice_of};

use super::Factors;
use crate::{Error, computed::by_name, excess::Excess};

/// Where the bytes of one tensor are.
enum Place {
    Scratch(u64),
    Copied(Arc<dyn TensorSource>, usize),
}

/// Takes tensors one at a time; their bytes go out at once, so memory does not grow with the result.
pub struct Spool<'a> {
    out: &'a mut dyn io::Write,
    at: u64,
    tensors: Vec<(TensorInfo, Place)>,
}

/// What a spool has taken, to be opened over the file it wrote.
pub struct Plan {
    tensors: Vec<(TensorInfo, Place)>,
    pub metadata: BTreeMap<String, String>,
}

impl<'a> Spool<'a> {
    /// A spool that writes to `out` from its beginning.
    pub fn new(out: &'a mut dyn io::Write) -> Self {
        Self { out, at: 0, tensors: Vec::new() }
    }

    /// Adds `down` (`[rank, columns]`) and `up` (`[rows, rank]`) under the two names.
    ///
    /// # Errors
    /// A failed write, and values beyond the range of `dtype`.
    pub fn factors(&mut self, [down, up]: [String; 2], factors: &Factors, dtype: Dtype) -> Result<(), Error> {
        let rank = factors.rank.max(1);
        let sides = [
            (down, [factors.rank, factors.down.len() / rank], &factors.down),
            (up, [factors.up.len() / rank, factors.rank], &factors.up),
        ];
        for (name, shape, values) in sides {
            let shape = shape.map(|dim| dim as u64).to_vec();
            self.floats(TensorInfo { name, dtype, shape }, values)?;
        }
        Ok(())
    }

    /// Adds a float tensor by its values.
    ///
    /// # Errors
    /// A failed write, and values beyond the range of its dtype.
    pub(crate) fn floats(&mut self, info: TensorInfo, values: &[f64]) -> Result<(), Error> {
        let mut bytes = vec![0; values.len() * info.dtype.bits() as usize / 8];
        let beyond = kernels::encode_f64(info.dtype, values, &mut bytes);
        if beyond > 0 {
            return Err(Excess::Format.refusal(&info, beyond).into());
        }
        self.bytes(info, &bytes)
    }

    /// Adds a tensor by its stored bytes.
    ///
    /// # Errors
    /// A failed write.
    pub(crate) fn bytes(&mut self, info: TensorInfo, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(weights::Error::from)?;
        self.tensors.push((info, Place::Scratch(self.at)));
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Adds a tensor of `source` as it is, under another name.
    pub fn whole(&mut self, name: String, source: Arc<dyn TensorSource>, index: usize) {
        let info = TensorInfo { name, ..source.tensors()[index].clone() };
        self.tensors.push((info, Place::Copied(source, index)));
    }

    /// Everything taken.
    ///
    /// # Errors
    /// When the last bytes cannot be written, or two tensors have one name.
    pub fn finish(self, metadata: BTreeMap<String, String>) -> Result<Plan, Error> {
        self.out.flush().map_err(weights::Error::from)?;
        Ok(Plan { tensors: by_name(self.tensors)?, metadata })
    }
}

impl Plan {
    /// The tensors, read from the file that the spool wrote.
    pub fn open(self, file: Arc<dyn ReadAt>) -> Spooled {
        let (infos, places) = self.tensors.into_iter().unzip();
        Spooled { infos, places, file, metadata: self.metadata }
    }
}

/// Spooled tensors as a checkpoint.
pub struct Spooled {
    infos: Vec<TensorInfo>,
    places: Vec<Place>,
    file: Arc<dyn ReadAt>,
    metadata: BTreeMap<String, String>,
}

impl TensorSource for Spooled {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        slice_of(&self.infos, index, offset, out.len())?;
        match &self.places[index] {
            Place::Scratch(at) => Ok(self.file.read_at(at + offset, out)?),
            Place::Copied(source, theirs) => source.read_bytes(*theirs, offset, out),
        }
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        decode_range(self, index, start, out)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.clone()
    }
}
