//! Reads stored files again and compares them with their digests.

use std::collections::BTreeSet;

use domain::Digest;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use weights::ReadAt;

use crate::{Error, Registry, faults::Faults, refetch::refetch};

/// Places of a damaged file that are named.
const PLACES: u64 = 20;

/// Bytes read at once.
const BLOCK: usize = 1 << 20;
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
    let opened = registry.store.open_untried(&digest).await;
    let read = match opened {
        Ok(blob) => {
            let length = blob.len();
            let hashed = tokio::task::spawn_blocking(move || hash(&blob)).await?;
            hashed.map(|found| (found, length)).map_err(|error| error.to_string())
        }
        Err(store::Error::BlobDamaged(_)) => Err("its bytes are damaged and were set aside".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let fault = match read {
        Ok((found, bytes)) => {
            report.files += 1;
            report.bytes += bytes;
            if found == digest {
                None
            } else {
                registry.store.set_aside(&digest, None).await;
                Some(format!("its bytes have the digest {found}"))
            }
        }
        Err(fault) => Some(fault),
    };
    match fault {
        Some(fault) => {
            let places = registry.store.places_of(&digest, PLACES).await?;
            let places = places.into_iter().map(|(model, path)| Place { model, path }).collect();
            report.damaged.push(Damage { digest, fault, places });
        }
        None => registry.store.mark_verified(&digest).await?,
    }
    Ok(())
}

fn hash(blob: &dyn ReadAt) -> std::io::Result<Digest> {
    let (mut hasher, mut block) = (Sha256::new(), vec![0; BLOCK]);
    let mut done = 0;
    while done < blob.len() {
        let some = usize::try_from(blob.len() - done).unwrap_or(BLOCK).min(BLOCK);
        blob.read_at(done, &mut block[..some])?;
        hasher.update(&block[..some]);
        done += some as u64;
    }
    Ok(Digest::from_bytes(hasher.finalize().into()))
}
