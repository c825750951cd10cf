//! A launch of every kernel over as many elements as wanted, for measuring its rate.
#![allow(clippy::unwrap_used, dead_code)]

use gpu::{Argument, Call, Kernel};
use kernels::Dtype;

/// Elements whose sums one block of threads adds up.
const SPAN: usize = 16_384;
/// Blocks of threads that fill any card, for kernels that choose their number.
const FILLING: u32 = 2_048;

/// A launch and what it moves.
pub struct Measured {
    pub call: Call,
    pub grid: (u32, u32),
    /// Bytes read and written by the kernel.
    pub bytes: u64,
}

/// One argument, or two for stored inputs.
#[derive(Clone, Copy)]
enum Token {
    /// Numbers that are read, of this many bytes an element.
    In(usize),
    /// Numbers that are written.
    Out(usize),
    /// Numbers that are read and written.
    Both(usize),
    /// Stored inputs.
    Stored(usize),
    /// Bytes written for every block of sums.
    Sums(usize),
    /// A few bytes.
    Few(usize),
    /// A bit an element.
    Bits,
    /// Elements.
    Count,
    U32(u32),
    U64(u64),
    F64(f64),
}

use Token::{Bits, Both, Count, F64, Few, In, Out, Stored, Sums, U32, U64};

/// How many blocks of threads.
#[derive(Clone, Copy)]
enum Grid {
    /// One thread an element.
    Each,
    /// One thread for eight elements.
    Eight,
    /// As many for every block of sums.
    Spans(u32),
    Filling,
    /// One for a row of 4,096.
    Rows,
}

fn row(kernel: &Kernel) -> (Grid, Vec<Token>) {
    let bf16 = gpu::code(Dtype::Bf16).unwrap();
    let select = [Count, U32(20), U32(2_047), U32(31), U32(0), Few(2_048 * 8)];
    match kernel.entry {
        "decode_f32" => (Grid::Eight, vec![U32(bf16), In(2), Out(4), Count]),
        "decode_f64" => (Grid::Eight, vec![U32(bf16), In(2), Out(8), Count]),
        "encode_f32" => (Grid::Eight, vec![U32(bf16), In(4), Out(2), Count, Few(8)]),
        "encode_f64" => (Grid::Eight, vec![U32(bf16), In(8), Out(2), Count, Few(8)]),
        "delta_encode" => (Grid::Eight, vec![Stored(2), U32(bf16), Out(2), Count, Few(8)]),
        "copy_words" => (Grid::Each, vec![In(16), Out(16), Count]),
        "weighted_sum" => (Grid::Eight, vec![Stored(3), U32(3), U32(1), U32(bf16), Out(2), Count, Few(16)]),
        "subtract_f32" => (Grid::Each, vec![In(4), In(4), Out(4), Count]),
        "subtract_f64" => (Grid::Each, vec![In(8), In(8), Out(8), Count]),
        "add_scaled" => (Grid::Each, vec![Both(8), F64(0.5), In(4), Count]),
        "low_rank_row" => {
            (Grid::Each, vec![Both(8), F64(0.5), Few(64), U32(16), In(64), Count, U64(0), Count])
        }
        "zero_nonfinite" => (Grid::Each, vec![Both(8), Count]),
        "magnitudes" => (Grid::Each, vec![In(8), Out(4), Count]),
        "add_deltas" => (Grid::Each, vec![In(8), In(24), In(24), U32(3), Out(8), Count]),
        "elect" => (Grid::Each, vec![In(8), In(24), Both(24), Few(24), U32(3), U32(2), F64(1.0), Count]),
        "votes" => (Grid::Each, vec![In(8), In(24), In(24), U32(3), U32(0), Out(8), Count]),
        "share_out" => (Grid::Each, vec![In(24), Few(24), In(8), F64(0.0), Out(24), U32(3), Count]),
        "variances" => (Grid::Each, vec![In(24), U32(3), Out(8), Count]),
        "keep_largest" | "drop_largest" => {
            (Grid::Each, vec![U32(0x3C80_0000), U64(1), In(8), Both(8), Count])
        }
        "keep_random" => (Grid::Each, vec![U64(7), U64(0), U64(1 << 52), Both(8), Count]),
        "keep_listed" => (Grid::Each, vec![Bits, Count, U64(0), Both(8), Count]),
        "nearswap" => (Grid::Each, vec![In(8), F64(0.01), Out(8), Count]),
        "norms" => (Grid::Spans(1), vec![In(8), In(8), Count, Sums(16)]),
        "dot" => (Grid::Spans(1), vec![In(8), In(8), Count, Sums(8)]),
        "prune_rows" => (Grid::Rows, vec![In(8), U64(4_096), F64(0.5), F64(0.1), U64(7), U64(0), Out(1)]),
        "tensor_stats" => (Grid::Spans(1), vec![U32(bf16), In(2), Count, Sums(72)]),
        "sketch_parts" => {
            let whole = U64(u64::MAX / 64 * 32);
            (
                Grid::Spans(1),
                vec![U32(bf16), In(2), Count, whole, U64(7), U32(128), U64(512), Sums(4_096 * 8)],
            )
        }
        "sketch_fold" => (Grid::Filling, vec![In(8), U32(4_096), U32(32), Out(1)]),
        "select_values" => (Grid::Filling, [&[In(4)], &select[..]].concat()),
        "select_deltas" => (Grid::Filling, [&[Stored(2)], &select[..]].concat()),
        entry if entry.starts_with("delta_pair") => (Grid::Spans(1), vec![Stored(3), Count, Sums(48)]),
        entry if entry.starts_with("delta_gram") => {
            (Grid::Spans(3), vec![Stored(9), U32(8), Count, Sums(3 * 21 * 8)])
        }
        other => panic!("no measurement of {other}"),
    }
}

/// Numbers like weights over and over, as bytes of this dtype.
fn filled(dtype: Dtype, bytes: usize) -> Vec<u8> {
    let values: Vec<f64> = (0..65_536).map(|at| (kernels::splitmix_unit(3, at) - 0.5) * 0.07).collect();
    let mut pattern = vec![0; 65_536 * (dtype.bits() / 8) as usize];
    kernels::encode_f64(dtype, &values, &mut pattern);
    let mut all = vec![0; bytes];
    all.chunks_mut(pattern.len()).for_each(|part| part.copy_from_slice(&pattern[..part.len()]));
    all
}

/// A launch of a kernel over what takes about `budget` bytes.
pub fn measured(kernel: &Kernel, budget: usize) -> Measured {
    let (grid, tokens) = row(kernel);
    let dtype = kernel.dtypes.iter().copied().find(|dtype| *dtype == Dtype::Bf16);
    let dtype = dtype.or(kernel.dtypes.first().copied()).unwrap_or(Dtype::Bf16);
    let width = (dtype.bits() / 8) as usize;
    let taken = |token: &Token| match token {
        In(bytes) | Out(bytes) => (*bytes, *bytes),
        Both(bytes) => (*bytes, 2 * bytes),
        Stored(count) => (count * width, count * width),
        Sums(bytes) => (bytes.div_ceil(SPAN), 0),
        _ => (0, 0),
    };
    let held: usize = tokens.iter().map(|token| taken(token).0).sum();
    let moved: usize = tokens.iter().map(|token| taken(token).1).sum();
    let elements = (budget / held.max(1) / SPAN).max(1) * SPAN;
    // Some kernels take as many numbers of one kind as of another.
    let of = |bytes: usize| match bytes % 8 {
        0 => Dtype::F64,
        4 => Dtype::F32,
        _ => Dtype::Bf16,
    };
    let mut call = Call::new();
    for token in tokens {
        match token {
            In(bytes) | Both(bytes) => drop(call.bytes(filled(of(bytes), bytes * elements))),
            Out(bytes) => drop(call.bytes(vec![0; bytes * elements])),
            Stored(count) => {
                let code = gpu::code(dtype).unwrap();
                let input = |at| (filled(dtype, width * elements), 1.0 / f64::from(at + 2), code);
                call.inputs((0..count as u32).map(input).collect());
            }
            Sums(bytes) => drop(call.bytes(vec![0; bytes * elements / SPAN])),
            Few(bytes) => drop(call.bytes(vec![0; bytes])),
            Bits => drop(call.bytes(filled(Dtype::F64, elements / 8))),
            Count => drop(call.argument(Argument::U64(elements as u64))),
            U32(value) => drop(call.argument(Argument::U32(value))),
            U64(value) => drop(call.argument(Argument::U64(value))),
            F64(value) => drop(call.argument(Argument::F64(value))),
        }
    }
    let blocks = elements as u32;
    let grid = match grid {
        Grid::Each => (blocks.div_ceil(256), 1),
        Grid::Eight => (blocks.div_ceil(2_048), 1),
        Grid::Spans(each) => (blocks / SPAN as u32 * each, 1),
        Grid::Filling if kernel.entry == "sketch_fold" => (16, blocks / 4_096 / 32),
        Grid::Filling => (FILLING, 1),
        Grid::Rows => (blocks / 4_096, 1),
    };
    Measured { call, grid, bytes: (moved * elements) as u64 }
}
