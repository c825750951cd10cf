//! Whether who asked for a job may still have what it reads and still publish what it makes.

use domain::{Act, RepoId, Role};
use serde_json::Value;
use store::{JobRow, Store, pinned_models};

use crate::{Error, Registry, kinds::IMPORT_MODEL};

/// The storage as whoever asked for a job may see it now; none for the program's own jobs and those of nobody.
///
/// # Errors
/// When the database cannot be read.
pub(crate) async fn asker_of(registry: &Registry, job: &JobRow) -> Result<Option<Store>, Error> {
    let Some(asker) = registry.store.asker(&job.id).await? else { return Ok(None) };
    let viewer = registry.store.viewer_named(&asker, Role::Admin).await?;
    Ok(Some(registry.store.seen_by(viewer)))
}

/// Asks again with the roles that the asker has now; the program's own jobs, and those of nobody, need none.
///
/// # Errors
/// As somebody who asked for the job now would be refused.
pub(crate) async fn still_may(registry: &Registry, job: &JobRow) -> Result<(), Error> {
    let Some(theirs) = asker_of(registry, job).await? else { return Ok(()) };
    for name in pinned_models(&job.payload) {
        theirs.may(Act::Read, name.as_str()).await?;
    }
    let output = match job.kind == IMPORT_MODEL.id {
        true => job.payload.get("model").and_then(Value::as_str).and_then(|name| name.split('@').next()),
        false => job.payload.get("output").and_then(Value::as_str),
    };
    if let Some(output) = output.and_then(|text| RepoId::parse(text).ok()) {
        theirs.may(Act::Write, output.as_str()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::Limits;
    use serde_json::json;
    use store::{AccountKind, AccountRow, MemberRow, NewJob};

    use super::*;

    #[tokio::test]
    async fn a_member_who_left_gets_nothing_of_a_job_that_waited() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::testing::store(&folder).await;
        let account =
            |name: &str, kind| AccountRow { name: name.to_owned(), kind, admin: false, created_at: 0 };
        for (name, kind) in
            [("acme", AccountKind::Org), ("erin", AccountKind::User), ("eorg", AccountKind::Org)]
        {
            store.add_account(&account(name, kind)).await.unwrap();
        }
        for (org, role) in [("acme", Role::Read), ("eorg", Role::Write)] {
            let (org, person) = (org.to_owned(), "erin".to_owned());
            store.set_member(&MemberRow { org, person, role }).await.unwrap();
        }
        let metadata = domain::Metadata::named(RepoId::parse("acme/secret").unwrap());
        store.upsert(&[(metadata, vec![])]).await.unwrap();
        let row = store.model_by_id("acme/secret").await.unwrap().unwrap();
        store.set_openness(row.id, store::Openness { private: Some(true), gated: None }).await.unwrap();
        let viewer = store.viewer_named("Erin", Role::Admin).await.unwrap();
        let new = NewJob {
            kind: "merge_models".to_owned(),
            payload: json!({ "output": "eorg/out", "pins": { "acme/secret": "sha256:00" } }),
            idempotency_key: None,
            output: None,
        };
        let (job, _) = store.seen_by(viewer).enqueue(new, 1).await.unwrap();
        let import = NewJob {
            kind: IMPORT_MODEL.id.to_owned(),
            payload: json!({ "model": "eorg/mirrored@main", "take": "full", "parents": 0 }),
            idempotency_key: None,
            output: None,
        };
        let erin = store.viewer_named("erin", Role::Admin).await.unwrap();
        let (import, _) = store.seen_by(erin).enqueue(import, 2).await.unwrap();
        let registry = Registry::new(store.clone(), Limits::default(), folder.path().join("scratch"));
        still_may(&registry, &job).await.unwrap();
        still_may(&registry, &import).await.unwrap();

        store.remove_member("acme", "erin").await.unwrap();
        let left = still_may(&registry, &job).await;
        let row = MemberRow { org: "acme".to_owned(), person: "erin".to_owned(), role: Role::Read };
        store.set_member(&row).await.unwrap();
        store.remove_member("eorg", "erin").await.unwrap();
        let cannot_write = still_may(&registry, &job).await;
        let cannot_import = still_may(&registry, &import).await;

        assert!(matches!(left, Err(Error::Store(store::Error::Hidden(_)))), "{left:?}");
        assert!(matches!(cannot_write, Err(Error::Store(store::Error::NotYours { .. }))), "{cannot_write:?}");
        assert!(
            matches!(cannot_import, Err(Error::Store(store::Error::NotYours { .. }))),
            "{cannot_import:?}"
        );
    }
}
