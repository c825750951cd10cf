//! Reads stored files again and compares them with their digests.

use std::collections::BTreeSet;

use domain::{Class, Digest, Fault as _};
use serde::Serialize;
use store::{Look, Store};
use weights::ReadAt as _;

use crate::{Error, Registry, faults::Faults, refetch::refetch};

/// Places of a damaged file that are named.
const PLACES: u64 = 20;

/// Digests asked for at once.
const AT_ONCE: u64 = 200;

/// What a check found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Fsck {
    /// Distinct files compared.
    pub files: u64,
    pub bytes: u64,
    pub damaged: Vec<Damage>,
    /// What `stemma gc` would remove; none where only some models were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_over: Option<LeftOver>,
    /// Models of the Hub whose import was queued again, for a damaged file.
    pub queued_again: Vec<String>,
}

/// Stored blobs that nothing names, older than `unnamed_blob_seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LeftOver {
    pub blobs: u64,
    pub bytes: u64,
}

/// A file that is not what its digest says.
#[derive(Debug, Clone, Serialize)]
pub struct Damage {
    pub digest: Digest,
    pub fault: String,
    /// Files that have these bytes, 20 at most.
    pub places: Vec<Place>,
}

/// A file of a model, in any of its revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    pub model: String,
    pub path: String,
}

/// Compares the files of the models named, or all, with their digests, and writes down when. A damaged one in a folder
/// is set aside, so that the next import of it stores it anew; that of a model of the configured Hub is queued.
///
/// # Errors
/// [`Error::UnknownModel`], with every other one beside it; when the database cannot be read or written. What is wrong with a file is in the report.
pub async fn fsck(registry: &Registry, models: &[String]) -> Result<Fsck, Error> {
    let mut report = look(registry, models).await?;
    report.queued_again = refetch(registry).await?;
    Ok(report)
}

async fn look(registry: &Registry, models: &[String]) -> Result<Fsck, Error> {
    let mut report = Fsck::default();
    let (mut rows, mut faults) = (Vec::new(), Faults::default());
    for name in models.iter().collect::<BTreeSet<_>>() {
        let row = registry.store.model_by_id(name).await?;
        rows.extend(faults.take(row.ok_or_else(|| Error::UnknownModel(name.clone()))));
    }
    let rows = faults.done(Some(rows))?;
    if models.is_empty() {
        let mut after: Option<Digest> = None;
        loop {
            let digests = registry.store.file_digests(after.as_ref(), AT_ONCE).await?;
            let Some(last) = digests.last() else { break };
            after = Some(*last);
            for digest in digests {
                compare(registry, digest, &mut report).await?;
            }
        }
        let found = registry.store.leftovers().await?;
        report.left_over = Some(LeftOver { blobs: found.unnamed.len() as u64, bytes: found.bytes() });
    }
    for row in rows {
        let files = match row.revision {
            Some(revision) => registry.store.files(revision).await?,
            None => Vec::new(),
        };
        let digests: BTreeSet<Digest> = files.into_iter().map(|file| file.digest).collect();
        for digest in digests {
            compare(registry, digest, &mut report).await?;
        }
    }
    Ok(report)
}

async fn compare(registry: &Registry, digest: Digest, report: &mut Fsck) -> Result<(), Error> {
    let store = &registry.store;
    let (mut before, mut compared) = (None, None);
    let read = loop {
        let (found, length, look) = match read(store, &digest).await {
            Err(error) if error.class() == Class::Unavailable => return Err(error.into()),
            Err(store::Error::BlobDamaged(_)) => {
                break Err("its bytes are damaged and were set aside".to_owned());
            }
            Err(error) => break Err(error.to_string()),
            Ok(read) => read,
        };
        compared = Some(length);
        if found == digest {
            break Ok(());
        }
        store.set_aside(&digest, look).await;
        // Whoever brought the file in again meanwhile put a sound one in its place.
        if look.is_none() || look == before || !store.has(&digest).await? {
            break Err(format!("its bytes have the digest {found}"));
        }
        before = look;
    };
    if let Some(bytes) = compared {
        registry.read.iter().for_each(|read| read.add(bytes));
        report.files += 1;
        report.bytes += bytes;
    }
    match read {
        Ok(()) => store.mark_verified(&digest).await?,
        Err(fault) => {
            let places = store.places_of(&digest, PLACES).await?;
            let places = places.into_iter().map(|(model, path)| Place { model, path }).collect();
            report.damaged.push(Damage { digest, fault, places });
        }
    }
    Ok(())
}

/// The digest that the bytes of a blob have, their number, and how the file looked when it was opened.
async fn read(store: &Store, digest: &Digest) -> store::Result<(Digest, u64, Option<Look>)> {
    let (blob, look) = store.open_untried(digest).await?;
    let length = blob.len();
    let found = tokio::task::spawn_blocking(move || blob.digest()).await??;
    Ok((found, length, look))
}
