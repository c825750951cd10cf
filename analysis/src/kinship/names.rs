//! Tensors that go by one name in some files and by the same name in a wrapper in others.

use std::collections::BTreeMap;

use weights::{TensorSource, bare_name};

/// What tensors are called without the wrappers around their names.
pub(crate) struct Bare<'a, T>(BTreeMap<&'a str, Option<T>>);

impl<'a, T: Copy> Bare<'a, T> {
    /// Of names and what stands under each; what two tensors would be called stands for neither.
    pub(crate) fn of(named: impl Iterator<Item = (&'a str, T)>) -> Self {
        let mut bare = BTreeMap::new();
        for (name, held) in named {
            bare.entry(bare_name(name)).and_modify(|known| *known = None).or_insert(Some(held));
        }
        Self(bare)
    }

    /// What stands under `name`, wrappers aside.
    pub(crate) fn get(&self, name: &str) -> Option<T> {
        self.0.get(bare_name(name)).copied().flatten()
    }
}

/// The tensors of a source by name, wrappers aside where no tensor has the very name.
pub(crate) struct Places<'a> {
    source: &'a dyn TensorSource,
    bare: Bare<'a, usize>,
}

impl<'a> Places<'a> {
    pub(crate) fn of(source: &'a dyn TensorSource) -> Self {
        let named = source.tensors().iter().enumerate().map(|(at, info)| (info.name.as_str(), at));
        Self { source, bare: Bare::of(named) }
    }

    /// Where the tensor lies that is called `name` in `other`.
    pub(crate) fn twin(&self, name: &str, other: &Self) -> Option<usize> {
        let bare = || other.bare.get(name).and(self.bare.get(name));
        self.source.position(name).or_else(bare)
    }
}
