//! The live search index of this process: read once, then kept up with what each change touched.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    pin::pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use analysis::catalogue::{Entry, Index, Segment, SegmentBuilder};
use futures::TryStreamExt as _;
use store::{CatalogueRow, Store};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::Error;

/// Touched models that may lie over a base of any size, and of a large one the share of it.
const FRESH: (usize, usize) = (20_000, 4);
/// A base of up to this many models is read anew while the reader waits.
const SMALL: usize = 100_000;
/// How long the first reader waits for the first index.
const PATIENCE: Duration = Duration::from_secs(2);

/// An index, the change counter it was built at, and the touched models as they are now.
#[derive(Clone)]
struct Held {
    version: i64,
    index: Arc<Index>,
    fresh: Arc<BTreeMap<i64, Option<CatalogueRow>>>,
}

/// An index, the models that were last hidden from it, and the index without them.
type Veiled = (Arc<Index>, HashSet<i64>, Arc<Index>);

/// Hands out the current index; nobody waits while a large one is read anew.
#[derive(Clone)]
pub struct Catalogue {
    store: Store,
    /// Decides which models are shown.
    eyes: Store,
    held: Arc<RwLock<Option<Held>>>,
    veiled: Arc<RwLock<Option<Veiled>>>,
    /// Held by whoever brings it up to date.
    turn: Arc<Mutex<()>>,
}

impl Catalogue {
    /// An index of `store`, not read yet.
    pub fn new(store: Store) -> Self {
        Self {
            eyes: store.clone(),
            store,
            held: Arc::default(),
            veiled: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// The same index without what is hidden through `eyes`.
    #[must_use]
    pub fn seen_through(&self, eyes: Store) -> Self {
        Self { eyes, ..self.clone() }
    }

    /// The index of everything published so far, or while that is being read the one before; none while the very first
    /// one is being read.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn current(&self) -> Result<Option<Arc<Index>>, Error> {
        let Some(index) = self.latest().await? else { return Ok(None) };
        let hidden = self.eyes.hidden().await?;
        Ok(Some(if hidden.is_empty() { index } else { self.veil(index, hidden) }))
    }

    /// The index without what is hidden; made once for those who ask in turn and see the same, as its finds are kept.
    fn veil(&self, index: Arc<Index>, hidden: HashSet<i64>) -> Arc<Index> {
        let last = self.veiled.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, _, veiled)) =
            last.filter(|(of, without, _)| Arc::ptr_eq(of, &index) && *without == hidden)
        {
            return veiled;
        }
        let veiled = Arc::new(index.without(&hidden));
        *self.veiled.write().unwrap_or_else(PoisonError::into_inner) =
            Some((index, hidden, Arc::clone(&veiled)));
        veiled
    }

    async fn latest(&self) -> Result<Option<Arc<Index>>, Error> {
        let version = self.store.change_counter().await?;
        let Some(held) = self.held() else {
            let this = self.clone();
            // In a task of its own: whoever asked may go away.
            let first = tokio::spawn(async move {
                let turn = Arc::clone(&this.turn).lock_owned().await;
                match this.held() {
                    Some(held) => Ok(held.index),
                    None => this.read(turn).await,
                }
            });
            return match tokio::time::timeout(PATIENCE, first).await {
                Ok(index) => Ok(Some(index??)),
                Err(_) => Ok(None),
            };
        };
        if held.version == version {
            return Ok(Some(held.index));
        }
        let small = held.index.len() < SMALL;
        let turn = match Arc::clone(&self.turn).try_lock_owned() {
            Ok(turn) => turn,
            // Whoever published something and looks for it is not told that it is not there.
            Err(_) if small => Arc::clone(&self.turn).lock_owned().await,
            Err(_) => return Ok(Some(held.index)),
        };
        let held = self.held().unwrap_or(held);
        if held.version >= version {
            return Ok(Some(held.index));
        }
        let this = self.clone();
        if let Some(ids) = self.store.touched((held.version, version)).await? {
            let most = FRESH.0.max(held.index.base().len() / FRESH.1);
            if held.fresh.len() + ids.len() <= most {
                let before = held.clone();
                let followed = tokio::spawn(async move { this.follow(turn, (before, version), &ids).await });
                return Ok(Some(followed.await??));
            }
        }
        let anew = tokio::spawn(async move { this.read(turn).await.inspect_err(log) });
        Ok(Some(if small { anew.await?? } else { held.index }))
    }

    fn held(&self) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold(&self, held: Held) -> Arc<Index> {
        let index = Arc::clone(&held.index);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held);
        // What was hidden from the index before would keep that in memory.
        *self.veiled.write().unwrap_or_else(PoisonError::into_inner) = None;
        index
    }

    /// Reads every model.
    async fn read(&self, _turn: OwnedMutexGuard<()>) -> Result<Arc<Index>, Error> {
        // Read first: what changes meanwhile is touched again.
        let version = self.store.change_counter().await?;
        let mut builder = SegmentBuilder::default();
        let mut parts = pin!(self.store.catalogue_parts());
        while let Some(rows) = parts.try_next().await? {
            rows.iter().for_each(|row| builder.add(&entry(row)));
        }
        let index = tokio::task::spawn_blocking(move || {
            let empty = SegmentBuilder::default().finish();
            Index::new(Arc::new(builder.finish()), empty, &BTreeSet::new())
        })
        .await?;
        tracing::info!(models = index.len(), bytes = index.bytes(), "search index of {} models", index.len());
        Ok(self.hold(Held { version, index: Arc::new(index), fresh: Arc::default() }))
    }

    /// Lays what was touched since over the same base.
    async fn follow(
        &self,
        _turn: OwnedMutexGuard<()>,
        (before, version): (Held, i64),
        touched: &[i64],
    ) -> Result<Arc<Index>, Error> {
        let mut fresh = (*before.fresh).clone();
        fresh.extend(touched.iter().map(|id| (*id, None)));
        for row in self.store.catalogue_rows_of(touched).await? {
            fresh.insert(row.id, Some(row));
        }
        let base: Arc<Segment> = Arc::clone(before.index.base());
        let built = tokio::task::spawn_blocking(move || {
            let mut builder = SegmentBuilder::default();
            fresh.values().flatten().for_each(|row| builder.add(&entry(row)));
            let touched: BTreeSet<i64> = fresh.keys().copied().collect();
            (Index::new(base, builder.finish(), &touched), fresh)
        });
        let (index, fresh) = built.await?;
        Ok(self.hold(Held { version, index: Arc::new(index), fresh: Arc::new(fresh) }))
    }
}

fn log(error: &Error) {
    tracing::warn!("the search index is not read anew: {error}");
}

fn entry(row: &CatalogueRow) -> Entry<'_> {
    Entry {
        id: row.id,
        key: store::told_key(&row.key),
        ghost: row.ghost,
        weights: row.has_weights,
        sketched: row.sketched,
        org: row.org.as_deref(),
        licence: row.license.as_deref(),
        task: row.pipeline_tag.as_deref(),
        library: row.library.as_deref(),
        architecture: row.model_type.as_deref().or(row.architecture.as_deref()),
        dtype: row.dtype.as_deref(),
        parameters: row.parameters,
        downloads: row.downloads,
        likes: row.likes,
        created_at: row.created_at,
        last_modified: row.last_modified,
        tags: &row.tags,
        languages: &row.languages,
        relations: &row.relations,
    }
}

#[cfg(test)]
mod tests {
    use domain::{Metadata, RepoId};

    use super::*;

    #[tokio::test]
    async fn of_a_small_registry_nobody_gets_an_index_without_what_was_published_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::testing::store(&folder).await;
        let catalogue = Catalogue::new(store.clone());
        let before = catalogue.current().await.unwrap().unwrap();
        let model = Metadata::named(RepoId::parse("org/name").unwrap());
        store.upsert(&[(model, Vec::new())]).await.unwrap();

        let turn = Arc::clone(&catalogue.turn).lock_owned().await;
        let asked = catalogue.clone();
        let asked = tokio::spawn(async move { asked.current().await.unwrap().unwrap() });
        // Time enough for an answer that does not wait.
        for _ in 0..50 {
            store.change_counter().await.unwrap();
        }
        drop(turn);
        let after = asked.await.unwrap();

        assert_eq!((before.len(), after.len()), (0, 1));
    }
}
