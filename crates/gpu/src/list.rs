//! Every kernel: where it is, what it reads, and which function of the processor it must agree with. A test makes one
//! comparison from each line.

use kernels::Dtype;

/// One source file and what was compiled from it.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Name of the file in `kernels/cuda`, without its ending.
    pub name: &'static str,
    pub ptx: &'static str,
}

macro_rules! source {
    ($name:literal) => {
        Source { name: $name, ptx: include_str!(concat!("../../../kernels/cuda/ptx/", $name, ".ptx")) }
    };
}

/// All of them, compiled by `scripts/ptx`.
pub const SOURCES: &[Source] = &[
    source!("blend"),
    source!("delta"),
    source!("format"),
    source!("prune"),
    source!("select"),
    source!("sketch"),
    source!("stats"),
    source!("strip"),
];

/// How well a kernel agrees with the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// The same bits.
    Bits,
    /// Sums, to 1e-6 of their size.
    Sums,
}

/// One kernel.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// Name of the entry.
    pub entry: &'static str,
    /// A name of [`SOURCES`].
    pub source: &'static str,
    /// Dtypes of its stored inputs; empty where it takes numbers.
    pub dtypes: &'static [Dtype],
    /// The function it must agree with.
    pub processor: &'static str,
    pub agreement: Agreement,
}

const FLOATS: &[Dtype] = &[Dtype::F8E4M3, Dtype::F8E5M2, Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::F64];
const NARROW: &[Dtype] = &[Dtype::F8E4M3, Dtype::F8E5M2, Dtype::F16, Dtype::Bf16, Dtype::F32];

const fn bits(entry: &'static str, source: &'static str, processor: &'static str) -> Kernel {
    Kernel { entry, source, dtypes: &[], processor, agreement: Agreement::Bits }
}

const fn sums(entry: &'static str, source: &'static str, processor: &'static str) -> Kernel {
    Kernel { entry, source, dtypes: &[], processor, agreement: Agreement::Sums }
}

impl Kernel {
    const fn of(self, dtypes: &'static [Dtype]) -> Self {
        Self { dtypes, ..self }
    }
}

/// The list.
pub const KERNELS: &[Kernel] = &[
    sums("delta_pair_bf16", "delta", "Gram::add_deltas").of(&[Dtype::Bf16]),
    sums("delta_pair_f16", "delta", "Gram::add_deltas").of(&[Dtype::F16]),
    sums("delta_pair_f32", "delta", "Gram::add_deltas").of(&[Dtype::F32]),
    sums("delta_pair_any", "delta", "Gram::add_deltas").of(NARROW),
    sums("delta_gram_bf16", "delta", "Gram::add_deltas").of(&[Dtype::Bf16]),
    sums("delta_gram_f16", "delta", "Gram::add_deltas").of(&[Dtype::F16]),
    sums("delta_gram_f32", "delta", "Gram::add_deltas").of(&[Dtype::F32]),
    sums("delta_gram_any", "delta", "Gram::add_deltas").of(NARROW),
    sums("tensor_stats", "stats", "Stats::add_block").of(FLOATS),
    sums("sketch_parts", "sketch", "Sketch::add_block").of(FLOATS),
    sums("sketch_fold", "sketch", "Sketch::add_block"),
    bits("select_values", "select", "kth::threshold"),
    bits("select_deltas", "select", "kth::threshold").of(FLOATS),
    bits("decode_f32", "format", "decode").of(FLOATS),
    bits("decode_f64", "format", "decode_f64").of(FLOATS),
    bits("encode_f32", "format", "encode").of(FLOATS),
    bits("encode_f64", "format", "encode_f64").of(FLOATS),
    bits("delta_encode", "format", "encode_f64").of(FLOATS),
    bits("copy_words", "format", "<[u8]>::copy_from_slice"),
    bits("weighted_sum", "blend", "wide::weighted_sum").of(FLOATS),
    bits("subtract_f32", "strip", "<f32>::sub"),
    bits("subtract_f64", "strip", "wide::subtract"),
    bits("add_scaled", "strip", "add_scaled"),
    bits("low_rank_row", "strip", "low_rank_row"),
    bits("zero_nonfinite", "strip", "wide::zero_nonfinite"),
    bits("magnitudes", "strip", "wide::magnitudes"),
    bits("add_deltas", "strip", "task::add_deltas"),
    bits("elect", "strip", "task::elect"),
    bits("votes", "strip", "task::votes"),
    bits("share_out", "strip", "task::share_out"),
    bits("variances", "strip", "task::variances"),
    bits("keep_largest", "strip", "task::keep_largest"),
    bits("drop_largest", "strip", "task::drop_largest"),
    bits("keep_random", "strip", "keep_random"),
    bits("keep_listed", "strip", "task::keep_listed"),
    bits("nearswap", "strip", "the method nearswap"),
    sums("norms", "strip", "task::norms"),
    sums("dot", "strip", "wide::dot"),
    bits("prune_rows", "prune", "prune::Row::prune"),
];

/// The number by which the kernels know a dtype; `None` where they do not.
pub fn code(dtype: Dtype) -> Option<u32> {
    FLOATS.iter().position(|float| *float == dtype).and_then(|at| u32::try_from(at).ok())
}
