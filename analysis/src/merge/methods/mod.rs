//! The merge methods: one file each, one line here.

mod linear;
mod slerp;
mod task_arithmetic;
mod ties;

use super::Method;
use crate::trim;

/// Every merge method.
pub const METHODS: &[&dyn Method] =
    &[&linear::Linear, &slerp::Slerp, &task_arithmetic::TaskArithmetic, &ties::Ties];
