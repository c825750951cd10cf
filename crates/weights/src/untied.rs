//! A model that ties its head to its embedding, read as one that stores both: adapters can change one of them alone.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    Account, Error, TensorInfo, TensorSource,
    lora::{Part, part},
};

/// Name of the head, a table with one row a token.
pub const HEAD: &str = "lm_head.weight";
/// Names of the embedding that a model without a stored head uses as its head.
pub const TIED_TABLES: [&str; 2] = ["model.embed_tokens.weight", "transformer.wte.weight"];

/// What of two tied tables an adapter changes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unties {
    /// The head, whatever becomes of the embedding.
    Head,
    /// The embedding alone: the head is what it was.
    Table,
}

impl Unties {
    /// Reads it from an adapter's tensors and its adapter_config.json; none where head and embedding stay one.
    /// PEFT gives the two modules factors and copies of their own unless `ensure_weight_tying` is set.
    pub fn of(adapter: &dyn TensorSource, config: &Value) -> Option<Self> {
        if config.get("ensure_weight_tying") == Some(&Value::Bool(true)) {
            return None;
        }
        let touched = |tensor: &str| {
            adapter.tensors().iter().any(|info| match part(&info.name) {
                Part::Down { module, .. } | Part::Up { module, .. } => {
                    tensor.strip_suffix(".weight") == Some(module.as_str())
                }
                // Beside factors PEFT also stores the table that they belong to, as it was.
                Part::Whole { name } => name == tensor && !info.name.contains(".base_layer."),
                Part::Bias { .. } | Part::Unknown => false,
            })
        };
        if touched(HEAD) {
            return Some(Self::Head);
        }
        TIED_TABLES.into_iter().any(touched).then_some(Self::Table)
    }
}

/// A base without a stored head, with one: its embedding under the name of the head.
pub struct Untied {
    base: Arc<dyn TensorSource>,
    infos: Vec<TensorInfo>,
    /// Position of the head, and of the embedding in the base.
    head: usize,
    table: usize,
}

impl Untied {
    /// None for a base that stores a head, or has no embedding that could be it.
    pub fn of(base: &Arc<dyn TensorSource>) -> Option<Self> {
        let head = base.tensors().binary_search_by(|info| info.name.as_str().cmp(HEAD)).err()?;
        let table = TIED_TABLES.into_iter().find_map(|name| base.position(name))?;
        let mut infos = base.tensors().to_vec();
        infos.insert(head, TensorInfo { name: HEAD.to_owned(), ..infos[table].clone() });
        Some(Self { base: Arc::clone(base), infos, head, table })
    }

    /// Where the base keeps tensor `index`.
    fn own(&self, index: usize) -> usize {
        if index == self.head { self.table } else { index - usize::from(index > self.head) }
    }
}

impl TensorSource for Untied {
    crate::forward!(base; cautions, metadata);

    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.base.read_bytes(self.own(index), offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), Error> {
        self.base.read_f32(self.own(index), start, out)
    }

    fn ready(&self, index: usize) -> Result<(), Error> {
        self.base.ready(self.own(index))
    }

    fn view(&self, index: usize, offset: u64, len: usize) -> Option<&[u8]> {
        self.base.view(self.own(index), offset, len)
    }

    fn read_unrounded(&self, index: usize, start: u64, out: &mut [f64]) -> Option<Result<(), Error>> {
        self.base.read_unrounded(self.own(index), start, out)
    }

    fn account(&self, index: usize) -> Account {
        self.base.account(self.own(index))
    }
}
