//! Merging checkpoints as a mergekit YAML says; the result is computed while it is read.

mod alike;
mod architectures;
mod beside;
mod bits;
mod blend;
mod check;
mod config;
mod cut;
mod direct;
mod documents;
mod excluded;
mod explain;
#[cfg(test)]
mod goldens;
mod keys;
#[cfg(test)]
mod laws;
mod layout;
mod left;
mod matrix;
mod members;
mod methods;
mod modules;
mod nonfinite;
mod operands;
mod param;
mod policy;
mod reader;
mod reference;
#[cfg(test)]
mod references;
#[cfg(test)]
mod references_edges;
#[cfg(test)]
mod references_files;
#[cfg(test)]
mod references_more;
mod rows;
mod sections;
mod select;
mod setting;
mod source;
mod sparse;
mod spec;
mod spectral;
mod sphere;
mod stages;
mod strips;
mod task_vectors;
mod templates;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_adapters;
#[cfg(test)]
mod tests_cut;
#[cfg(test)]
mod tests_excluded;
#[cfg(test)]
mod tests_explain;
#[cfg(test)]
mod tests_faults;
#[cfg(test)]
mod tests_language;
#[cfg(test)]
mod tests_modules;
#[cfg(test)]
mod tests_nonfinite;
#[cfg(test)]
mod tests_policies;
#[cfg(test)]
mod tests_record;
#[cfg(test)]
mod tests_scratch;
#[cfg(test)]
mod tests_select;
#[cfg(test)]
mod tests_slices;
#[cfg(test)]
mod tests_tokenizer;
mod tokenizer;
mod underflow;
mod vocabulary;
mod yaml;

pub use check::{Input, Inputs, check, dtype};
pub use config::{Entry, LayerRange, MergeConfig, ModulePart, Slice};
pub use cut::{Difference, UnevenRows};
pub use documents::{only, results};
pub use explain::{Explained, Source as ExplainedSource};
pub use layout::Behind;
pub use methods::METHODS;
pub use modules::MergeModule;
pub use policy::{Mismatch, Missing, Outcome, Policies, Policy, Touched};
pub use reader::parse;
pub use rows::OTHER_VOCABULARY;
pub use sections::Stacked;
pub use setting::{Setting, Settings};
pub use source::MergeSource;
pub use spec::{BaseNeed, DefaultValue, Kind, Law, MethodSpec, ModelCount, ParamSpec};
pub use stages::{Stage, adapted, parse_stages, read_stages, top_level};
pub use templates::AUTO as AUTO_TEMPLATE;
pub use tokenizer::{TokenRule, TokenSource, TokenizerChoice};
pub use vocabulary::{Aligned, Tokens, align, is_table, table_rows};
pub use yaml::told as yaml_fault;

pub(crate) use check::tied;
pub(crate) use keys::unknown as unknown_word;
pub(crate) use layout::layer_count;
pub(crate) use modules::Depths;
pub(crate) use spec::{Combine, Method, Operands, Params};

/// Specification of every method, for APIs, forms and documentation.
pub fn specs() -> Vec<&'static MethodSpec> {
    METHODS.iter().map(|method| method.spec()).collect()
}
