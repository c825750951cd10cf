//! Columns of a dump that nothing reads, for whoever wonders what became of them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::card::plain;

/// Most names gathered of records that each have their own.
pub(super) const MOST: usize = 100;

/// Most characters kept of a name.
const LONGEST: usize = 60;

/// Names, added to while records are read.
#[derive(Debug, Clone, Default)]
pub(super) struct Unread(Arc<Mutex<Vec<String>>>);

impl Unread {
    /// Those of a table.
    pub fn of<'a>(columns: impl Iterator<Item = &'a String>) -> Self {
        Self(Arc::new(Mutex::new(columns.map(|column| shown(column)).collect())))
    }

    /// Adds those of a record that are new, up to the most.
    pub fn gather<'a>(&self, keys: impl Iterator<Item = &'a String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if known.len() < MOST && !known.contains(key) {
                let name = shown(key);
                if !known.contains(&name) {
                    known.push(name);
                }
            }
        }
    }

    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn shown(name: &str) -> String {
    plain(name).chars().take(LONGEST).collect()
}
