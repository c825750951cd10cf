//! Where a checkpoint folder would hang, were it imported: a registry of its own that holds it and what it descends from.

use std::path::Path;

use domain::{Claim, Limits, Metadata, RepoId};
use store::{ModelRow, Store};
use tempfile::TempDir;
use weights::Folder;

use crate::{Error, Registry};

/// A registry that holds the model of a folder with its ancestors, and nothing else. It is gone when this is dropped.
pub struct Foreseen {
    pub registry: Registry,
    /// The folder's model, called `local/` and the folder's name.
    pub row: ModelRow,
    _at: TempDir,
}

/// Reads what a folder says of itself and puts it below what `registry` knows of the parents that it names; nothing is
/// registered, and no weights are read. Without a registry the parents are names.
///
/// # Errors
/// What is wrong with the folder; when a database cannot be read.
pub async fn foreseen(
    registry: Option<&Registry>,
    limits: &Limits,
    folder: &Path,
) -> Result<Foreseen, Error> {
    let (metadata, claims) = told(folder, limits).await?;
    let id = metadata.id.clone();
    let at = tempfile::tempdir()?;
    let url = format!("sqlite://{}?mode=rwc", at.path().join("foreseen.sqlite").display());
    let store = Store::open(&url, &at.path().join("blobs").to_string_lossy()).await?;
    store.migrate().await?;
    let made = Registry::new(store, *limits, at.path().join("scratch"));
    if let Some(registry) = registry {
        made.store.upsert(&above(registry, &claims).await?).await?;
    }
    made.store.upsert(&[(metadata, claims)]).await?;
    made.forests.settle().await?;
    let row = made.store.model_by_id(id.as_str()).await?;
    let row = row.ok_or_else(|| Error::UnknownModel(id.to_string()))?;
    Ok(Foreseen { registry: made, row, _at: at })
}

/// What the small files of a folder say.
pub(crate) fn said(id: RepoId, folder: &Folder, limits: &Limits) -> Metadata {
    let files: Vec<String> = folder.files.iter().map(|file| file.path.as_str().to_owned()).collect();
    let told = hub::metadata::Folder {
        card: folder.readme.as_ref(),
        config: folder.config.as_ref(),
        adapter_config: folder.adapter_config.as_ref(),
        recipe: folder.recipe.as_ref(),
        files: &files,
    };
    hub::metadata::from_checkpoint(id, &told, limits)
}

/// The same of the folder at a path, and the parents that they claim.
async fn told(folder: &Path, limits: &Limits) -> Result<(Metadata, Vec<Claim>), Error> {
    let (at, limits) = (folder.to_owned(), *limits);
    tokio::task::spawn_blocking(move || {
        let whole = fs_err::canonicalize(&at)?;
        let folder = Folder::open(&at, &limits)?;
        let name = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let named = RepoId::parse(&format!("local/{name}")).or_else(|_| RepoId::parse("local/model"));
        let id = named.map_err(|error| Error::Invalid(error.to_string()))?;
        let mut metadata = said(id, &folder, &limits);
        let (claims, notes) = analysis::lineage::claims(&metadata, &limits);
        metadata.notes.extend(notes);
        Ok((metadata, claims))
    })
    .await?
}

/// The claimed parents that a registry knows, and their ancestors, with what trees and licences need of each.
async fn above(registry: &Registry, claims: &[Claim]) -> Result<Vec<(Metadata, Vec<Claim>)>, Error> {
    let forest = registry.forests.current().await?;
    let mut ids: Vec<i64> = Vec::new();
    for claim in claims {
        if let Some(row) = registry.store.model_by_id(claim.parent.as_str()).await? {
            ids.push(row.id);
            ids.extend(forest.ancestors(row.id, registry.limits.traversal));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    let rows = registry.store.models_by_ids(&ids).await?;
    let edges = registry.store.edges_of_many(&ids).await?;
    let parse = |name: &str| RepoId::parse(name).map_err(|error| Error::Invalid(error.to_string()));
    let mut found = Vec::new();
    // What is only a name becomes one again by the claims on it.
    for row in rows.iter().filter(|row| !row.ghost) {
        let mut own = Vec::new();
        for edge in edges.iter().filter(|edge| edge.child == row.id) {
            let Some(parent) = rows.iter().find(|row| row.id == edge.parent) else { continue };
            own.push(Claim {
                parent: parse(&parent.name)?,
                as_written: edge.as_written.clone(),
                relation: edge.relation,
                status: edge.status,
                evidence: edge.evidence.clone(),
            });
        }
        let metadata = Metadata {
            created_at: row.created_at,
            downloads: row.downloads,
            license: row.license.clone(),
            license_name: row.license_name.clone(),
            parameters: row.parameters,
            ..Metadata::named(parse(&row.name)?)
        };
        found.push((metadata, own));
    }
    Ok(found)
}
