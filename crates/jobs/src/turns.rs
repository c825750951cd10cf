//! Turns: what is done to one thing in this process, one after the other and in the order of asking.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Who is at what, and who waits; cheap to clone.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<String, Weak<Turn<()>>>>>);

impl Turns {
    /// Waits for a turn at `what`; it lasts until the guard is dropped.
    pub(crate) async fn at(&self, what: &str) -> OwnedMutexGuard<()> {
        self.turn(what).lock_owned().await
    }

    fn turn(&self, what: &str) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(what).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::new(()));
        turns.insert(what.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_has_a_turn_and_others_at_other_things_do_not_wait() {
        let turns = Turns::default();
        let first = turns.at("a").await;

        let second = tokio::time::timeout(Duration::from_millis(20), turns.at("a")).await;
        let elsewhere = tokio::time::timeout(Duration::from_secs(5), turns.at("b")).await;

        assert!(second.is_err() && elsewhere.is_ok());
        drop(first);
        assert!(tokio::time::timeout(Duration::from_secs(5), turns.at("a")).await.is_ok());
    }

    #[tokio::test]
    async fn what_nobody_is_at_any_more_is_forgotten() {
        let turns = Turns::default();
        for what in 0..100 {
            drop(turns.at(&what.to_string()).await);
        }

        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
