//! What earlier rows of a dump say, as far as later ones must agree with it.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
};

use domain::RepoId;

/// Hashes of keys alone: a dump of the whole Hub has millions of rows.
#[derive(Default)]
pub(super) struct Earlier {
    state: RandomState,
    /// Former names, with the present ones.
    aliases: HashMap<u64, u64>,
    edges: HashSet<u64>,
    /// Edges by child.
    parents: HashMap<u64, usize>,
}

impl Earlier {
    /// # Errors
    /// That an earlier row gives the former name to another model.
    pub fn alias(&mut self, from: &RepoId, to: &RepoId) -> Result<(), String> {
        let (own, present) = (self.state.hash_one(from.key()), self.state.hash_one(to.key()));
        match *self.aliases.entry(own).or_insert(present) == present {
            true => Ok(()),
            false => Err(format!("an earlier row has `{from}` as the former name of another model")),
        }
    }

    /// # Errors
    /// That the child has `most` parents in earlier rows.
    pub fn edge(&mut self, (child, parent): (&RepoId, &RepoId), most: usize) -> Result<(), String> {
        let edge = self.state.hash_one((child.key(), parent.key()));
        if self.edges.contains(&edge) {
            return Ok(());
        }
        let parents = self.parents.entry(self.state.hash_one(child.key())).or_default();
        if *parents >= most {
            return Err(format!("`{child}` has {most} parents in earlier rows; no more are kept"));
        }
        *parents += 1;
        self.edges.insert(edge);
        Ok(())
    }
}
