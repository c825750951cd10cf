//! Inner products of the deltas of every shared tensor, streamed in pieces.

use kernels::{Dtype, Gram, Stored};
use rayon::prelude::*;
use weights::{TensorInfo, TensorSource};

use super::Named;
use crate::{Error, Progress, computed::blocks};

/// Elements of one piece, the unit of parallel work.
const PIECE: u64 = 1 << 20;
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
}

/// Sums of each tensor, handed to `each` in order. Pieces are added up in index order, so the bits do not depend on
/// the thread count; `progress` is told the bytes read.
pub(super) fn each_tensor<'a>(
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
    let sources = std::iter::once((&*operands.reference.source, tensor.base))
        .chain(operands.models.iter().zip(&tensor.models).map(|(model, &at)| (&*model.source, at)));
    let inputs: Vec<Input<'_>> = sources.map(|(source, index)| Input::new(source, index, piece)).collect();
    buffers.0.resize_with(inputs.len(), Vec::new);
    let mut sums = Gram::new(operands.models.len());
    let mut bytes = 0;
    for block in blocks(piece.len) {
        let stored = inputs
            .iter()
            .zip(&mut buffers.0)
            .map(|(input, buffer)| input.block(block, buffer))
            .collect::<Result<Vec<Stored<'_>>, _>>()?;
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
    ) -> Result<Stored<'b>, weights::Error> {
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
        Ok(Stored { dtype: self.dtype, bytes })
    }
}
