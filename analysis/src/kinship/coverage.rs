//! Whether enough of the models can be compared for a value that speaks of them.

use super::{LEAST_COVERAGE, Partial, Skipped};
use crate::Error;

/// The compared elements as a share of all, 0 to 1.
pub(super) fn share(elements: u64, all: u64) -> f64 {
    elements as f64 / all.max(1) as f64
}

/// Nothing, where `elements` of `all` are enough.
///
/// # Errors
/// [`Error::NothingInCommon`] and [`Error::TooLittleInCommon`].
pub(super) fn enough(
    (elements, all): (u64, u64),
    partial: Partial,
    skipped: &[Skipped],
) -> Result<(), Error> {
    let share = share(elements, all);
    if all > 0 && elements == 0 {
        return Err(nothing(skipped));
    }
    if partial == Partial::Take || all == 0 || share >= LEAST_COVERAGE {
        return Ok(());
    }
    let (left_out, hint) = (skipped.to_vec(), first(skipped));
    Err(Error::TooLittleInCommon { share, needed: LEAST_COVERAGE, hint, left_out, exact: false })
}

/// The same fault of a comparison of weights, which another way of reading does not help.
pub(super) fn exact(error: Error) -> Error {
    match error {
        Error::TooLittleInCommon { share, needed, hint, left_out, .. } => {
            Error::TooLittleInCommon { share, needed, hint, left_out, exact: true }
        }
        other => other,
    }
}

/// No tensor at all.
pub(super) fn nothing(skipped: &[Skipped]) -> Error {
    Error::NothingInCommon { hint: first(skipped) }
}

fn first(skipped: &[Skipped]) -> String {
    skipped.first().map_or_else(|| "a model is empty".into(), |s| format!("`{}`: {}", s.tensor, s.reason))
}
