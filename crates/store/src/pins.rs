//! Blobs in the hands of an unfinished ingest or job: no clean-up takes them away under it.

use std::collections::HashSet;

use domain::Digest;
use futures::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use sea_orm::DatabaseTransaction;
use ulid::Ulid;

use crate::{
    Error, Hold, Result, Store,
    access::upload_prefix,
    blobs::ASKED_AT_ONCE,
    leftovers::named,
    queue,
    sql::{self, MOST_KEYS, Params},
};

/// Seconds after which the pins of a holder that vanished no longer count.
const LONGEST: i64 = 24 * 3_600;

/// Somebody who is putting blobs together; one per ingest. Ends with [`Store::release`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(String);

impl Holder {
    /// A holder of nothing yet.
    #[expect(clippy::new_without_default, reason = "every holder is another one")]
    pub fn new() -> Self {
        Self(Ulid::generate().to_string())
    }

    /// A holder whose blobs are `owner`'s until a commit names them.
    pub fn upload_of(owner: Option<&str>) -> Self {
        let owner = owner.map(str::to_ascii_lowercase);
        Self(format!("{}{}", upload_prefix(owner.as_deref()), Ulid::generate()))
    }
}

/// Makes the uploads of an owner, in lower case, nobody's: pins that have run out are how a sweep knows which blobs to
/// look at.
pub async fn disown(tx: &DatabaseTransaction, owner: &str) -> Result<()> {
    let prefix = upload_prefix(Some(owner));
    let of_owner = format!("substr(holder, 1, {}) = $1", prefix.len());
    for sql in [
        format!(
            "INSERT INTO pins (holder, digest, until) SELECT DISTINCT 'disowned', digest, 0 FROM pins WHERE {of_owner}
             ON CONFLICT DO NOTHING"
        ),
        format!("DELETE FROM pins WHERE {of_owner}"),
    ] {
        let mut params = Params::default();
        params.add(prefix.as_str());
        sql::run(tx, &sql, params).await?;
    }
    Ok(())
}

impl Store {
    /// Pins a blob, stored or about to be.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn pin(&self, holder: &Holder, digest: &Digest) -> Result<()> {
        // In the writers' turn: a clean-up has either seen the pin or is over before the blob is put.
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!(
            "INSERT INTO pins (holder, digest, until) VALUES ({}, {}, {} + {LONGEST})
             ON CONFLICT (holder, digest) DO UPDATE SET until = excluded.until",
            params.add(holder.0.as_str()),
            params.add(digest.to_string()),
            sql::now(self.backend())
        );
        sql::run(&tx, &sql, params).await?;
        Ok(tx.commit().await?)
    }

    /// Ends a holder whose blobs are published, or left to another worker.
    ///
    /// # Errors
    /// When the database refuses; the pins end by themselves then.
    pub async fn release(&self, holder: &Holder) -> Result<()> {
        self.discard(holder, &[]).await.map(drop)
    }

    /// Ends a holder and removes those of `digests` that nobody else needs: no file of a revision, no job's
    /// result, no other holder. Gives the number removed.
    ///
    /// # Errors
    /// When database or blob store refuse; blobs then stay.
    pub async fn discard(&self, holder: &Holder, digests: &[Digest]) -> Result<u64> {
        // In the writers' turn: a publish either committed before, or looks for its blobs after.
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        // Expired pins of others stay: they are how a sweep knows which blobs to look at.
        let sql = format!("DELETE FROM pins WHERE holder = {}", params.add(holder.0.as_str()));
        sql::run(&tx, &sql, params).await?;
        let removed = self.remove_unneeded(&tx, digests).await?;
        tx.commit().await?;
        Ok(removed)
    }

    /// Counts the pins of a holder that still works as new ones.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn renew(&self, holder: &Holder) -> Result<()> {
        let mut params = Params::default();
        let sql = format!(
            "UPDATE pins SET until = {} + {LONGEST} WHERE holder = {}",
            sql::now(self.backend()),
            params.add(holder.0.as_str())
        );
        sql::run(self.db(), &sql, params).await?;
        Ok(())
    }

    /// Takes one blob out of a holder's hands, and away where nobody else needs it; the holder keeps the others. Gives the
    /// number removed.
    ///
    /// # Errors
    /// When database or blob store refuse; the blob then stays.
    pub async fn let_go(&self, holder: &Holder, digest: &Digest) -> Result<u64> {
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!(
            "DELETE FROM pins WHERE holder = {} AND digest = {}",
            params.add(holder.0.as_str()),
            params.add(digest.to_string())
        );
        sql::run(&tx, &sql, params).await?;
        let removed = self.remove_unneeded(&tx, &[*digest]).await?;
        tx.commit().await?;
        Ok(removed)
    }

    /// Removes those of `digests` that no file of a revision, no job's result and no living pin names.
    pub(crate) async fn remove_unneeded(&self, tx: &DatabaseTransaction, digests: &[Digest]) -> Result<u64> {
        let mut removed = 0;
        for digests in digests.chunks(MOST_KEYS) {
            let used = named(tx, digests).await?;
            let unused: HashSet<&Digest> = digests.iter().filter(|digest| !used.contains(digest)).collect();
            let removals: Vec<_> = unused.into_iter().map(|digest| self.remove(*digest)).collect();
            let mut gone = stream::iter(removals).buffer_unordered(ASKED_AT_ONCE);
            while let Some(gone) = gone.try_next().await? {
                removed += gone;
            }
        }
        Ok(removed)
    }

    /// Removes blobs, several at once; one that is gone already is no fault.
    pub(crate) async fn remove_each(&self, digests: &[Digest]) -> Result<()> {
        let remove = |digest: &Digest| -> BoxFuture<'static, Result<()>> {
            let (blobs, digest) = (self.blobs().clone(), *digest);
            Box::pin(async move { blobs.remove(&digest).await })
        };
        let removals: Vec<_> = digests.iter().map(remove).collect();
        stream::iter(removals).buffer_unordered(ASKED_AT_ONCE).try_collect().await
    }

    /// Removes a blob; 0 where there was none.
    fn remove(&self, digest: Digest) -> BoxFuture<'static, Result<u64>> {
        let store = self.clone();
        Box::pin(async move {
            if !store.has(&digest).await? {
                return Ok(0);
            }
            store.blobs().remove(&digest).await?;
            Ok(1)
        })
    }

    /// Keeps a blob as the result of a job, under the job's fence.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when the job was handed on, [`Error::BlobMissing`].
    pub async fn keep_result(&self, hold: &Hold, digest: &Digest) -> Result<()> {
        let tx = self.begin_write().await?;
        queue::hold(&tx, hold).await?;
        if !self.has(digest).await? {
            return Err(Error::BlobMissing(*digest));
        }
        let mut params = Params::default();
        let sql = format!(
            "INSERT INTO job_blobs (job, digest) VALUES ({}, {}) ON CONFLICT DO NOTHING",
            params.add(hold.job.as_str()),
            params.add(digest.to_string())
        );
        sql::run(&tx, &sql, params).await?;
        Ok(tx.commit().await?)
    }
}
