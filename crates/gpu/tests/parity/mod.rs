//! Every kernel of the list against the function of the processor that it must agree with, on whatever card a lane is of.
#![allow(clippy::unwrap_used, dead_code)]

mod formats;
mod reductions;
mod strips;

use gpu::{Agreement, Argument, Call, KERNELS, Kernel, Lane};
use kernels::Dtype;

/// Elements of an input: more than a block of sums, and no whole number of anything.
pub const LEN: usize = 70_003;

/// One comparison.
pub struct Case<'a> {
    pub kernel: &'a Kernel,
    /// Of the inputs; BF16 for a kernel that takes numbers.
    pub dtype: Dtype,
    pub lane: &'a mut dyn Lane,
}

/// Runs a kernel of the list for one of its dtypes; says what differs.
pub fn compare(kernel: &Kernel, dtype: Dtype, lane: &mut dyn Lane) -> Result<(), String> {
    let case = Case { kernel, dtype, lane };
    let outcome = match kernel.source {
        "format" => formats::compare(case),
        "delta" | "stats" | "sketch" | "select" => reductions::compare(case),
        _ => strips::compare(case),
    };
    outcome.map_err(|what| format!("{} of {dtype}: {what}", kernel.entry))
}

/// Every kernel with each of its dtypes.
pub fn cases() -> impl Iterator<Item = (&'static Kernel, Dtype)> {
    KERNELS.iter().flat_map(|kernel| {
        let dtypes: &[Dtype] = if kernel.dtypes.is_empty() { &[Dtype::Bf16] } else { kernel.dtypes };
        dtypes.iter().map(move |dtype| (kernel, *dtype))
    })
}

impl Case<'_> {
    /// Runs a call; gives the bytes of all its slices.
    pub fn run(&mut self, call: &Call, grid: (u32, u32)) -> Result<Vec<Vec<u8>>, String> {
        self.run_entry(self.kernel.entry, call, grid)
    }

    pub fn run_entry(&mut self, entry: &str, call: &Call, grid: (u32, u32)) -> Result<Vec<Vec<u8>>, String> {
        call.run(self.lane, (entry, grid)).map_err(|fault| fault.to_string())
    }

    /// Compares sums with what the processor says, against the size of their terms.
    pub fn close(&self, what: &str, (got, expected, size): (f64, f64, f64)) -> Result<(), String> {
        assert_eq!(self.kernel.agreement, Agreement::Sums);
        let apart = (got - expected).abs();
        (apart <= 1e-6 * size.max(f64::MIN_POSITIVE))
            .then_some(())
            .ok_or_else(|| format!("{what} is {got:e}, should be {expected:e}"))
    }
}

/// Whether two runs of bytes are the same; says where not.
pub fn same(what: &str, got: &[u8], expected: &[u8], width: usize) -> Result<(), String> {
    if got.len() != expected.len() {
        return Err(format!("{what} has {} bytes, should have {}", got.len(), expected.len()));
    }
    match got.chunks(width).zip(expected.chunks(width)).position(|(got, expected)| got != expected) {
        None => Ok(()),
        Some(at) => {
            let place = at * width..(at + 1) * width;
            Err(format!("{what} at {at} is {:x?}, should be {:x?}", &got[place.clone()], &expected[place]))
        }
    }
}

/// Blocks of threads for one element a thread.
pub fn grid(elements: usize) -> (u32, u32) {
    (elements.div_ceil(256) as u32, 1)
}

/// Blocks of threads for eight elements a thread.
pub fn turns(elements: usize) -> (u32, u32) {
    (elements.div_ceil(2_048) as u32, 1)
}

pub fn count(elements: usize) -> Argument {
    Argument::U64(elements as u64)
}

/// Numbers like weights.
pub fn weights(seed: u64, len: usize) -> Vec<f64> {
    (0..len as u64).map(|at| (kernels::splitmix_unit(seed, at) - 0.5) * 0.07).collect()
}

/// Numbers like weights, zeros and equal ones among them.
pub fn strip(seed: u64, len: usize) -> Vec<f64> {
    let special = [0.0, -0.0, 0.5, -0.5, 1e-9];
    weights(seed, len)
        .into_iter()
        .enumerate()
        .map(|(at, value)| if at % 7 == 3 { special[at / 7 % special.len()] } else { value })
        .collect()
}

pub fn stored(dtype: Dtype, values: &[f64]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * width(dtype)];
    kernels::encode_f64(dtype, values, &mut bytes);
    bytes
}

pub fn width(dtype: Dtype) -> usize {
    (dtype.bits() / 8) as usize
}

pub fn bytes_of(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub fn bytes_of_f32(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub fn numbers(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

pub fn codes(dtype: Dtype) -> Argument {
    Argument::U32(gpu::code(dtype).unwrap())
}
