//! Which part of a network a tensor belongs to, told from its name.

use serde::{Serialize, Serializer};

use super::Module;

/// A group of tensors, in reading order: embedding, layers, final norm, head, the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    Embed,
    Number(u64),
    Norm,
    Head,
    Other,
}

impl Layer {
    /// The layer of a tensor: the first integer of its name, else its role.
    pub fn of(name: &str) -> Self {
        if let Some(number) = number(name) {
            return Self::Number(number);
        }
        match Module::of(name) {
            Module::Head => Self::Head,
            Module::Embed | Module::Position => Self::Embed,
            Module::Norm => Self::Norm,
            _ => Self::Other,
        }
    }

    /// `0`, `1`, … or `embed`, `norm`, `head`, `other`.
    pub fn label(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Embed => "embed".into(),
            Self::Norm => "norm".into(),
            Self::Head => "head".into(),
            Self::Other => "other".into(),
        }
    }
}

impl Serialize for Layer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.label())
    }
}

/// The first component of a tensor name that is an integer.
pub fn number(name: &str) -> Option<u64> {
    name.split('.').find_map(|part| part.parse().ok())
}
