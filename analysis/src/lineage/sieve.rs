//! What a family tree can be narrowed to: relations, licences and classes of size.

use domain::{Item, LicenceClass, Relation};

use super::forest::Shown;
use crate::catalogue::SIZES;

/// Which models of a tree to show; empty, every one passes. Values of one side are alternatives, all sides must agree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sieve {
    /// How a model descends from the parent it hangs under.
    relations: Vec<Relation>,
    /// Licences as the Hub writes them, in lower case.
    licences: Vec<String>,
    classes: Vec<LicenceClass>,
    /// Positions in [`SIZES`].
    sizes: Vec<u8>,
}

impl Sieve {
    /// Reads values that commas part: relations; classes of licences or licences as written; words of [`SIZES`].
    ///
    /// # Errors
    /// Every word that is no relation or no class of size, at `relation` or `size`.
    pub fn read([relation, licence, size]: [&str; 3]) -> Result<Self, Vec<Item>> {
        let (mut sieve, mut faults) = (Self::default(), Vec::new());
        let mut fault = |pointer: &str, message| faults.push(Item { pointer: pointer.to_owned(), message });
        for word in words(relation) {
            match word.parse() {
                Ok(relation) => sieve.relations.push(relation),
                Err(message) => fault("relation", message),
            }
        }
        for word in words(licence) {
            match word.parse() {
                Ok(class) => sieve.classes.push(class),
                Err(_) => sieve.licences.push(word.to_lowercase()),
            }
        }
        for word in words(size) {
            let at = SIZES.iter().position(|(known, _)| known.eq_ignore_ascii_case(word));
            match at.and_then(|at| u8::try_from(at).ok()) {
                Some(at) => sieve.sizes.push(at),
                None => {
                    let known = SIZES.map(|(known, _)| known).join(", ");
                    fault("size", format!("`{word}` is no class of size; it is one of {known}"));
                }
            }
        }
        if faults.is_empty() { Ok(sieve) } else { Err(faults) }
    }

    /// Whether every model passes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a model passes that hangs under its parent by `relation`.
    pub fn passes(&self, node: Shown<'_>, relation: Option<Relation>) -> bool {
        self.passes_sides(relation, node.size) && self.passes_licence(node.license.unwrap_or_default())
    }

    pub(super) fn passes_sides(&self, relation: Option<Relation>, size: Option<u8>) -> bool {
        fn one_of<T: PartialEq>(wanted: &[T], value: Option<T>) -> bool {
            wanted.is_empty() || value.is_some_and(|value| wanted.contains(&value))
        }
        one_of(&self.relations, relation) && one_of(&self.sizes, size)
    }

    pub(super) fn passes_licence(&self, licence: &str) -> bool {
        (self.classes.is_empty() && self.licences.is_empty())
            || self.classes.contains(&LicenceClass::of(Some(licence)))
            || self.licences.iter().any(|wanted| *wanted == licence.to_lowercase())
    }
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}
