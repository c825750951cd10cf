//! The live family forest of this process, rebuilt when the registry changed.

use std::{pin::pin, sync::Arc};

use analysis::{
    catalogue::size_class,
    lineage::{Forest, ForestBuilder, ForestEdge, Shown, Standing},
};
use futures::TryStreamExt as _;
use store::{Standings, Store};

use crate::{
    Error,
    live::{Kept, Live},
};

/// Confidence from which weights know which of two models came first: odds of four to one.
const KNOWN: f64 = 0.8;

/// Forests that are built to settle one change; whoever changes the registry again and again settles that too.
const TRIES: usize = 3;

/// Hands out the current forest; rebuilds it at most once per change of the registry.
#[derive(Clone)]
pub struct Forests {
    store: Store,
    /// Decides which models are shown.
    eyes: Store,
    live: Live<Forest>,
}

impl Forests {
    /// An empty cache over `store`.
    pub fn new(store: Store) -> Self {
        Self { eyes: store.clone(), store, live: Live::default() }
    }

    /// The same forests, with what is hidden through `eyes` as nameless ghosts.
    #[must_use]
    pub fn seen_through(&self, eyes: Store) -> Self {
        Self { eyes, ..self.clone() }
    }

    /// The forest for readers: of everything published so far, or while that is being built the one before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn current(&self) -> Result<Arc<Forest>, Error> {
        let this = self.clone();
        let forest = self.live.current(&self.store, |_| async move { this.build().await }).await?;
        self.veiled(forest).await
    }

    /// As [`Self::current`], but never the one before: for what is kept as made of everything published so far.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn newest(&self) -> Result<Arc<Forest>, Error> {
        let (_, forest) = self.fresh().await?;
        self.veiled(forest).await
    }

    async fn veiled(&self, forest: Arc<Forest>) -> Result<Arc<Forest>, Error> {
        let hidden = self.eyes.hidden().await?;
        Ok(if hidden.is_empty() { forest } else { Arc::new(forest.veiled(hidden)) })
    }

    /// Writes down which edges close a cycle and which no longer do; readers see what was published before.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn settle(&self) -> Result<(), Error> {
        for _ in 0..TRIES {
            let (at, forest) = self.fresh().await?;
            if forest.restated().is_empty() || self.store.set_edge_status(at, forest.restated()).await? {
                break;
            }
        }
        Ok(())
    }

    /// [`Self::settle`] after what is committed and would be told as failed: a failure is logged, and the next change settles
    /// this one too.
    pub async fn settle_committed(&self) {
        if let Err(error) = self.settle().await {
            tracing::warn!(%error, "the forest is not settled before the next change: {error}");
        }
    }

    async fn fresh(&self) -> Result<Kept<Forest>, Error> {
        let this = self.clone();
        self.live.fresh(&self.store, |_| async move { this.build().await }).await
    }

    async fn build(&self) -> Result<Forest, Error> {
        let mut builder = ForestBuilder::default();
        builder.outweigh(self.store.outweighed_edges(KNOWN).await?);
        builder.contradict(self.store.contradicted_edges().await?);
        let Standings { leading, made, stated } = self.store.standings().await?;
        builder.lead(leading);
        builder.found(stated.into_iter().map(|id| (id, Standing::Stated)));
        builder.found(made.into_iter().map(|id| (id, Standing::Made)));
        let mut parts = pin!(self.store.forest_nodes());
        while let Some(rows) = parts.try_next().await? {
            rows.iter().for_each(|row| {
                builder.add(Shown {
                    id: row.id,
                    name: &row.name,
                    created_at: row.created_at,
                    ghost: row.ghost,
                    downloads: row.downloads,
                    license: row.license.as_deref(),
                    size: row.parameters.and_then(|parameters| u8::try_from(size_class(parameters)).ok()),
                });
            });
        }
        let mut parts = pin!(self.store.forest_edges());
        while let Some(rows) = parts.try_next().await? {
            rows.into_iter().for_each(|row| {
                builder.connect(ForestEdge {
                    id: row.id,
                    child: row.child,
                    parent: row.parent,
                    relation: row.relation,
                    status: row.status,
                });
            });
        }
        Ok(tokio::task::spawn_blocking(move || builder.finish()).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{Metadata, RepoId};

    use crate::{Subject, report};

    #[tokio::test]
    async fn a_report_waits_for_the_forest_that_is_being_built() {
        let folder = tempfile::tempdir().unwrap();
        let registry = crate::testing::registry(&folder).await;
        let before = report(&registry, Subject::Families).await.unwrap();
        let building = registry.forests.live.stalled().await;
        let model = Metadata::named(RepoId::parse("o/new").unwrap());
        registry.store.upsert(&[(model, Vec::new())]).await.unwrap();

        let mut asked = Box::pin(report(&registry, Subject::Families));
        let early = tokio::time::timeout(Duration::from_millis(200), &mut asked).await;
        drop(building);
        let now = asked.await.unwrap();

        assert!(early.is_err(), "{early:?}");
        assert_ne!(now, before);
        assert_eq!(report(&registry, Subject::Families).await.unwrap(), now);
    }
}
