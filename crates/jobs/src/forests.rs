//! The live family forest of this process, rebuilt when the registry changed.

use std::sync::Arc;

use analysis::lineage::{Forest, ForestEdge, Node};
use domain::EdgeStatus;
use store::Store;
use tokio::sync::Mutex;

use crate::Error;

/// A forest and the change counter it was built at.
type Built = (i64, Arc<Forest>);

/// Hands out the current forest; rebuilds it at most once per change of the registry.
#[derive(Clone)]
pub struct Forests {
    store: Store,
    cached: Arc<Mutex<Option<Built>>>,
}

impl Forests {
    /// An empty cache over `store`.
    pub fn new(store: Store) -> Self {
        Self { store, cached: Arc::default() }
    }

    /// The forest of everything published so far.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn current(&self) -> Result<Arc<Forest>, Error> {
        let mut cached = self.cached.lock().await;
        let version = self.store.change_counter().await?;
        if let Some((at, forest)) = cached.as_ref()
            && *at == version
        {
            return Ok(Arc::clone(forest));
        }
        let nodes = self.store.all_forest_nodes().await?;
        let edges = self.store.all_forest_edges().await?;
        let forest = tokio::task::spawn_blocking(move || {
            Arc::new(Forest::build(
                nodes.into_iter().map(|row| Node {
                    id: row.id,
                    name: row.name,
                    created_at: row.created_at,
                    ghost: row.ghost,
                    downloads: row.downloads.unwrap_or_default(),
                    license: row.license,
                }),
                edges.into_iter().map(|row| ForestEdge {
                    id: row.id,
                    child: row.child,
                    parent: row.parent,
                    relation: row.relation,
                    status: row.status,
                }),
            ))
        })
        .await?;
        *cached = Some((version, Arc::clone(&forest)));
        Ok(forest)
    }

    /// Writes down which edges close a cycle and which no longer do.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn settle(&self) -> Result<(), Error> {
        let forest = self.current().await?;
        let rejected: std::collections::HashSet<i64> =
            forest.rejected_cycle_edges().iter().copied().collect();
        let changes: Vec<(i64, EdgeStatus)> = self
            .store
            .all_forest_edges()
            .await?
            .into_iter()
            .filter_map(|edge| match (edge.status, rejected.contains(&edge.id)) {
                (EdgeStatus::Accepted, true) => Some((edge.id, EdgeStatus::RejectedCycle)),
                (EdgeStatus::RejectedCycle, false) => Some((edge.id, EdgeStatus::Accepted)),
                _ => None,
            })
            .collect();
        if !changes.is_empty() {
            self.store.set_edge_status(&changes).await?;
        }
        Ok(())
    }
}
