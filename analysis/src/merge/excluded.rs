//! Tensors that a recipe leaves out of the merge: they are those of the base, whatever the models have.

use domain::Item;
use serde_json::{Map, Value};

use super::check::{Job, Scope};
use super::policy::Policy;
use super::rows::Fate;

/// Most parts of names that are listed; each is sought in the name of every tensor.
const MOST: usize = 256;

/// `exclude` at the top of a recipe: parts of names of tensors, sorted, each once.
pub(super) fn read(top: &Map<String, Value>, faults: &mut Vec<Item>) -> Vec<String> {
    const EXPECTED: &str = "expected parts of names of tensors, e.g. `[embed, lm_head]`";
    let mut fault = |pointer: String, message: String| faults.push(Item { pointer, message });
    let listed = match top.get("exclude") {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(listed)) => listed.as_slice(),
        Some(Value::String(_)) => std::slice::from_ref(&top["exclude"]),
        Some(_) => {
            fault("/exclude".to_owned(), EXPECTED.to_owned());
            return Vec::new();
        }
    };
    if listed.len() > MOST {
        fault("/exclude".to_owned(), format!("{} are listed; at most {MOST} are read", listed.len()));
        return Vec::new();
    }
    let mut parts = Vec::new();
    for (at, part) in listed.iter().enumerate() {
        match part.as_str().map(str::trim).filter(|part| !part.is_empty()) {
            Some(part) => parts.push(part.to_owned()),
            None => fault(format!("/exclude/{at}"), EXPECTED.to_owned()),
        }
    }
    parts.sort();
    parts.dedup();
    parts
}

impl Job<'_> {
    /// The part of a tensor's name by which it is excluded.
    pub fn excluded(&self, name: &str) -> Option<&str> {
        self.config.exclude.iter().map(String::as_str).find(|part| name.contains(part))
    }

    /// What becomes of a tensor that is excluded: it is the base's own, or, where that has none, not in the result. A head
    /// that the base ties to its embedding stays so.
    pub fn set_aside<'g>(&mut self, name: &str, scope: &Scope<'_>) -> Option<Fate<'g>> {
        let part = self.excluded(name)?.to_owned();
        self.seen.insert(format!("exclude/{part}"));
        let heir = scope.members.heir.as_ref();
        let own = heir.and_then(|seat| {
            let stored = self.stored(seat, name, scope.section)?;
            let place = stored.source.position(&scope.section.input(seat, name));
            (place == Some(stored.index)).then_some(stored)
        });
        let left_out = Fate::LeftOut(Policy::Exclude);
        Some(own.map_or(left_out, |stored| Fate::Copied(stored, Policy::Exclude)))
    }

    /// Warns of parts of names that no tensor has.
    pub fn idle_exclusions(&mut self) {
        let idle = self.config.exclude.iter().filter(|part| !self.seen.contains(&format!("exclude/{part}")));
        let told = idle.map(|part| {
            let message = format!("no tensor has `{part}` in its name, so that nothing is excluded by it");
            Item { pointer: "/exclude".to_owned(), message }
        });
        let told: Vec<Item> = told.collect();
        self.outline.warnings.extend(told);
    }
}
