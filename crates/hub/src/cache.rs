//! Blocks of remote files in memory: each fetched once, the least recently used dropped.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// File and block.
pub(crate) type Key = (u64, u64);

/// Bytes of a block, shared with those who still read it.
pub(crate) type Block = Arc<Vec<u8>>;

/// A bounded number of blocks, shared by all files of a Hub.
#[derive(Debug)]
pub(crate) struct Cache {
    slots: Mutex<Slots>,
    most: usize,
}

#[derive(Debug, Default)]
struct Slots {
    clock: u64,
    held: HashMap<Key, Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    used: u64,
    block: Arc<Mutex<Option<Block>>>,
}

impl Cache {
    pub(crate) fn new(most: usize) -> Self {
        Self { slots: Mutex::default(), most: most.max(1) }
    }

    /// The block, fetched by the first who asks while the others wait; a failure is not kept.
    pub(crate) fn get<E>(&self, key: Key, fetch: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Block, E> {
        let cell = self.slot(key);
        let mut held = cell.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = &*held {
            return Ok(Arc::clone(block));
        }
        let block = Arc::new(fetch()?);
        *held = Some(Arc::clone(&block));
        Ok(block)
    }

    fn slot(&self, key: Key) -> Arc<Mutex<Option<Block>>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.clock += 1;
        let now = slots.clock;
        let slot = slots.held.entry(key).or_default();
        slot.used = now;
        let block = Arc::clone(&slot.block);
        if slots.held.len() > self.most
            && let Some(oldest) = slots.held.iter().min_by_key(|(_, slot)| slot.used).map(|(key, _)| *key)
        {
            slots.held.remove(&oldest);
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_fetched_once_until_others_push_it_out() {
        let cache = Cache::new(2);
        let mut fetched = Vec::new();
        for key in [1, 2, 1, 3, 1, 2] {
            let got = cache.get((0, key), || {
                fetched.push(key);
                Ok::<_, ()>(vec![key as u8])
            });
            assert_eq!(*got.unwrap(), [key as u8]);
        }

        assert_eq!(fetched, [1, 2, 3, 2]);
    }

    #[test]
    fn a_failure_is_not_kept() {
        let cache = Cache::new(1);

        assert_eq!(cache.get((0, 0), || Err::<Vec<u8>, _>("cut")), Err("cut"));
        assert_eq!(*cache.get((0, 0), || Ok::<_, ()>(vec![7])).unwrap(), [7]);
    }
}
