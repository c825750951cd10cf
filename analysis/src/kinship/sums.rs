//! Inner products of the deltas of every shared tensor, streamed in pieces.

use std::{
    ops::ControlFlow,
    sync::{Mutex, PoisonError},
};

use kernels::{
    Dtype, Encoded, Gram,
    device::{Declined, Device, Streamed},
};
use rayon::prelude::*;
use weights::{TensorInfo, TensorSource};

use super::Named;
use crate::{
    Error, Progress,
    computed::{blocks, read_for_device},
};

/// Elements of one piece, the unit of parallel work.
const PIECE: u64 = 1 << 20;
/// Elements of a tensor that is worth the way to a device.
const LONG: u64 = 1 << 20;
/// Pieces in flight at once.
const PIECES: usize = 64;
/// Cells of all matrices in flight at once.
const CELLS: usize = 1 << 21;

/// A tensor every model holds: its position in the base and in each model.
pub(crate) struct Shared<'a> {
    pub(crate) info: &'a TensorInfo,
    pub(crate) base: usize,
    pub(crate) models: Vec<usize>,
}

/// Models and the one they are compared with.
pub(super) struct Operands<'a> {
    pub(super) models: &'a [Named],
    pub(super) reference: &'a Named,
    /// Computes what it can of the sums.
    pub(super) device: Option<&'a dyn Device>,
}

impl Operands<'_> {
    /// Every source with the place in it of a tensor, the reference first.
    fn places(&self, tensor: &Shared<'_>) -> Vec<(&dyn TensorSource, usize)> {
        let models = self.models.iter().zip(&tensor.models).map(|(model, &at)| (&*model.source, at));
        std::iter::once((&*self.reference.source, tensor.base)).chain(models).collect()
    }
}

/// Sums of each tensor, handed to `each` in order; `progress` is told the bytes read.
pub(super) fn each_tensor<'a>(
    operands: &Operands<'_>,
    tensors: &'a [Shared<'a>],
    progress: Progress<'_>,
    mut each: impl FnMut(&'a Shared<'a>, Gram),
) -> Result<(), Error> {
    let Some(device) = operands.device else {
        return on_processor(operands, tensors, progress, each);
    };
    let long = |tensor: &Shared<'_>| tensor.info.elements() >= LONG;
    for run in tensors.chunk_by(|one, next| !long(one) && !long(next)) {
        let sums = match run {
            [tensor] if long(tensor) => on_device(operands, tensor, device, progress)?,
            _ => None,
        };
        match sums {
            Some(sums) => each(&run[0], sums),
            None => on_processor(operands, run, progress, &mut each)?,
        }
    }
    Ok(())
}

/// Sums of one tensor from a device; `None` where it does not compute them.
fn on_device(
    operands: &Operands<'_>,
    tensor: &Shared<'_>,
    device: &dyn Device,
    progress: Progress<'_>,
) -> Result<Option<Gram>, Error> {
    let places = operands.places(tensor);
    let dtypes: Vec<Dtype> = places.iter().map(|(source, at)| source.tensors()[*at].dtype).collect();
    let failed = Mutex::new(None);
    let read = |input: usize, start: u64, bytes: &mut [u8]| {
        read_for_device(places[input], start, bytes, &failed)?;
        progress(bytes.len() as u64).map_or_else(
            |error| {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                ControlFlow::Break(())
            },
            ControlFlow::Continue,
        )
    };
    let streamed = Streamed { inputs: &dtypes, elements: tensor.info.elements(), read: &read };
    match device.delta_sums(streamed) {
        Ok(sums) => Ok(Some(sums)),
        Err(Declined::Stopped) => {
            failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(None), Err)
        }
        Err(_) => Ok(None),
    }
}

/// Pieces are added up in index order, so the bits do not depend on the thread count.
fn on_processor<'a>(
    operands: &Operands<'_>,
    tensors: &'a [Shared<'a>],
    progress: Progress<'_>,
    mut each: impl FnMut(&'a Shared<'a>, Gram),
) -> Result<(), Error> {
    let count = operands.models.len();
    let mut pieces = tensors.iter().enumerate().flat_map(|(at, tensor)| {
        let elements = tensor.info.elements();
        // A tensor without elements still has its, empty, sums.
        (0..elements.div_ceil(PIECE).max(1)).map(move |piece| {
            let start = piece * PIECE;
            Piece { tensor: at, start, len: PIECE.min(elements - start), last: start + PIECE >= elements }
        })
    });
    let window = (CELLS / (count * count)).clamp(1, PIECES);
    let mut total = Gram::new(count);
    loop {
        let next: Vec<Piece> = pieces.by_ref().take(window).collect();
        if next.is_empty() {
            return Ok(());
        }
        let sums: Vec<Gram> = next
            .par_iter()
            .map_init(Buffers::default, |buffers, piece| {
                let (sums, bytes) = piece_sums(operands, &tensors[piece.tensor], piece, buffers)?;
                progress(bytes)?;
                Ok::<_, Error>(sums)
            })
            .collect::<Result<_, _>>()?;
        for (piece, sums) in next.iter().zip(&sums) {
            total.merge(sums);
            if piece.last {
                each(&tensors[piece.tensor], std::mem::replace(&mut total, Gram::new(count)));
            }
        }
    }
}

struct Piece {
    tensor: usize,
    start: u64,
    len: u64,
    last: bool,
}

/// One block of every input, kept from piece to piece: fresh memory for each would cost as much as the sums.
#[derive(Default)]
struct Buffers(Vec<Vec<u8>>);

fn piece_sums(
    operands: &Operands<'_>,
    tensor: &Shared<'_>,
    piece: &Piece,
    buffers: &mut Buffers,
) -> Result<(Gram, u64), weights::Error> {
    let places = operands.places(tensor);
    let inputs: Vec<Input<'_>> =
        places.into_iter().map(|(source, index)| Input::new(source, index, piece)).collect();
    buffers.0.resize_with(inputs.len(), Vec::new);
    let mut sums = Gram::new(operands.models.len());
    let mut bytes = 0;
    for block in blocks(piece.len) {
        let stored = inputs
            .iter()
            .zip(&mut buffers.0)
            .map(|(input, buffer)| input.block(block, buffer))
            .collect::<Result<Vec<Encoded<'_>>, _>>()?;
        bytes += stored.iter().map(|stored| stored.bytes.len() as u64).sum::<u64>();
        if let [base, models @ ..] = &stored[..] {
            sums.add_deltas(*base, models);
        }
    }
    Ok((sums, bytes))
}

/// One piece of one input.
struct Input<'a> {
    source: &'a dyn TensorSource,
    index: usize,
    dtype: Dtype,
    /// First byte of the piece.
    begin: u64,
    /// The piece in place, where it lies in memory.
    view: Option<&'a [u8]>,
}

impl<'a> Input<'a> {
    fn new(source: &'a dyn TensorSource, index: usize, piece: &Piece) -> Self {
        let dtype = source.tensors()[index].dtype;
        let width = dtype.bits() / 8;
        let begin = piece.start * width;
        Self { source, index, dtype, begin, view: source.view(index, begin, (piece.len * width) as usize) }
    }

    fn block<'b>(
        &'b self,
        (start, len): (u64, usize),
        buffer: &'b mut Vec<u8>,
    ) -> Result<Encoded<'b>, weights::Error> {
        let width = self.dtype.bits() / 8;
        let (from, len) = (start * width, len * width as usize);
        let bytes = match self.view.and_then(|view| view.get(from as usize..from as usize + len)) {
            Some(bytes) => bytes,
            None => {
                buffer.resize(len, 0);
                self.source.read_bytes(self.index, self.begin + from, buffer)?;
                buffer
            }
        };
        Ok(Encoded { dtype: self.dtype, bytes })
    }
}
