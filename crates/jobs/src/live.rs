//! What this process keeps of the whole registry, made again when that has changed.

use std::sync::{Arc, PoisonError, RwLock};

use store::Store;
use tokio::sync::Mutex;

use crate::Error;

/// What is kept, and the change counter it was made at.
pub(crate) type Kept<T> = (i64, Arc<T>);

/// Something made of everything that is published; cheap to clone, the clones share it.
pub(crate) struct Live<T> {
    kept: Arc<RwLock<Option<Kept<T>>>>,
    /// Held by whoever makes it anew.
    turn: Arc<Mutex<()>>,
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self { kept: Arc::clone(&self.kept), turn: Arc::clone(&self.turn) }
    }
}

impl<T> Default for Live<T> {
    fn default() -> Self {
        Self { kept: Arc::default(), turn: Arc::default() }
    }
}

impl<T: Send + Sync + 'static> Live<T> {
    /// What was made last, whatever has been published since.
    pub(crate) fn kept(&self) -> Option<Kept<T>> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Of everything published so far, or while that is being made what was made before; `make` is given that.
    ///
    /// # Errors
    /// When the database cannot be read; those of `make`.
    pub(crate) async fn current<M, F>(&self, store: &Store, make: M) -> Result<Arc<T>, Error>
    where
        M: FnOnce(Option<Arc<T>>) -> F + Send + 'static,
        F: Future<Output = Result<T, Error>> + Send,
    {
        let version = store.change_counter().await?;
        match self.kept() {
            Some((at, kept)) if at == version || self.turn.try_lock().is_err() => Ok(kept),
            _ => Ok(self.fresh(store, make).await?.1),
        }
    }

    /// Of everything published so far. Made in a task of its own: whoever asked may go away.
    ///
    /// # Errors
    /// As [`Self::current`].
    pub(crate) async fn fresh<M, F>(&self, store: &Store, make: M) -> Result<Kept<T>, Error>
    where
        M: FnOnce(Option<Arc<T>>) -> F + Send + 'static,
        F: Future<Output = Result<T, Error>> + Send,
    {
        let (this, store) = (self.clone(), store.clone());
        tokio::spawn(async move {
            let _turn = this.turn.lock().await;
            let version = store.change_counter().await?;
            let before = match this.kept() {
                Some(kept) if kept.0 == version => return Ok(kept),
                before => before.map(|(_, before)| before),
            };
            let made = (version, Arc::new(make(before).await?));
            *this.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
            Ok(made)
        })
        .await?
    }

    /// Keeps others from making it anew as long as the answer is held.
    #[cfg(test)]
    pub(crate) async fn stalled(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }
}
