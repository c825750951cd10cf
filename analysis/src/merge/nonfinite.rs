//! Elements that are no numbers, where a recipe lets them through: what they give, and how many there are.

use std::sync::Arc;

use kernels::{Dtype, Encoded};
use rayon::prelude::*;
use serde_json::json;
use weights::Account;

use super::{Combine, Operands, spec::Sum};
use crate::{
    computed::{CHUNK, read_checked},
    room::Room,
};

/// What is done with NaN and infinities of the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonFinite {
    /// They are an error, but for an infinity that all inputs share.
    Refused,
    /// The element of the result is NaN, but for an infinity that all inputs share.
    Passed,
}

/// Puts NaN where an input is no number; an infinity that all inputs share is kept.
///
/// What a method would make of such an element depends on how it is computed; this does not.
pub fn pass(values: &[&[f64]], out: &mut [f64]) {
    for (at, out) in out.iter_mut().enumerate() {
        if values.iter().all(|of| of[at].is_finite()) {
            continue;
        }
        let first = values.first().map_or(f64::NAN, |of| of[at]);
        *out = if values.iter().all(|of| of[at] == first) { first } else { f64::NAN };
    }
}

/// `combine` with a count of what is no number in the inputs, for the record.
///
/// # Errors
/// When an input cannot be read.
pub fn counted(operands: &Operands, combine: Arc<dyn Combine>) -> Result<Arc<dyn Combine>, weights::Error> {
    let mut found = Vec::new();
    let merged = operands.models.iter().take(operands.contents.len());
    for input in merged.chain(&operands.base) {
        let of = |(start, len): (u64, usize)| {
            let mut values = Room::of(len);
            if read_checked((&*input.source, input.index), start, &mut values)? {
                return Ok((0, 0));
            }
            let nan = values.iter().filter(|value| value.is_nan()).count();
            Ok((nan, values.iter().filter(|value| value.is_infinite()).count()))
        };
        let counts: Vec<(usize, usize)> =
            operands.runs(CHUNK as u64).map(of).collect::<Result<_, weights::Error>>()?;
        let (nan, infinite) =
            counts.into_iter().fold((0, 0), |(nan, infinite), more| (nan + more.0, infinite + more.1));
        if nan + infinite > 0 {
            found.push(json!({ "model": input.label, "nan": nan, "infinite": infinite }));
        }
    }
    Ok(if found.is_empty() { combine } else { Arc::new(Counted { combine, found: json!(found) }) })
}

struct Counted {
    combine: Arc<dyn Combine>,
    found: serde_json::Value,
}

impl Combine for Counted {
    fn combine(&self, start: u64, models: &[&[f64]], base: &[f64], out: &mut [f64]) {
        self.combine.combine(start, models, base, out);
    }

    fn encode(&self, start: u64, inputs: &[Encoded<'_>], out: (Dtype, &mut [u8])) -> Option<u64> {
        self.combine.encode(start, inputs, out)
    }

    fn account(&self) -> Account {
        let mut account = self.combine.account();
        account.insert("nonfinite".to_owned(), self.found.clone());
        account
    }

    fn sum(&self) -> Option<Sum> {
        self.combine.sum()
    }
}
