//! Merging checkpoints as a mergekit YAML says; the result is computed while it is read.

mod blend;
mod check;
mod config;
mod keys;
mod methods;
mod setting;
mod source;
mod spec;
#[cfg(test)]
mod tests;

pub use check::{check, dtype};
pub use config::{Entry, LayerRange, MergeConfig, parse};
pub use methods::METHODS;
pub use setting::{Setting, Settings};
pub use source::MergeSource;
pub use spec::{BaseNeed, Kind, MethodSpec, ModelCount, ParamSpec};

pub(crate) use spec::{Combine, Method, Operands};

/// Specification of every method, for APIs, forms and documentation.
pub fn specs() -> Vec<&'static MethodSpec> {
    METHODS.iter().map(|method| method.spec()).collect()
}
