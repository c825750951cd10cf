//! Work stopped before its end, by whom it concerns: who asked for it, who may write what it makes, administrators.

use domain::{Act, Role};
use store::JobRow;

use crate::{Error, Registry};

/// Cancels a job: at once when it waits, at its next heartbeat when it runs. Gives the job as it is then; none for one that
/// is unknown or hidden.
///
/// # Errors
/// [`Error::OthersWork`] where the viewer may not, [`Error::JobOver`] for one that has ended; when the database refuses.
pub async fn cancel(registry: &Registry, id: &str) -> Result<Option<JobRow>, Error> {
    let Some(job) = registry.store.job(id).await? else { return Ok(None) };
    if !may_cancel(registry, &job).await? {
        return Err(Error::OthersWork(format!("job `{id}`")));
    }
    let stopped = registry.store.cancel(id).await?;
    match registry.store.job(id).await? {
        Some(job) if !stopped => Err(Error::JobOver { id: job.id, state: job.state }),
        job => Ok(job),
    }
}

/// Whether the viewer may stop a job that they see.
///
/// # Errors
/// When the database cannot be read.
pub async fn may_cancel(registry: &Registry, job: &JobRow) -> Result<bool, Error> {
    let asker = registry.store.asker(&job.id).await?;
    let made = ["output", "model"].iter().find_map(|key| job.payload.get(key)?.as_str());
    may_stop(registry, asker, made.map(|name| name.split('@').next().unwrap_or(name))).await
}

/// Whether the viewer may stop what `asker` asked for and what makes the model `made`. What nobody with a name asked for
/// is stopped by whoever may ask for the same.
pub async fn may_stop(registry: &Registry, asker: Option<String>, made: Option<&str>) -> Result<bool, Error> {
    let viewer = registry.store.viewer();
    if viewer.everywhere == Some(Role::Admin) {
        return Ok(true);
    }
    let named = viewer.name.as_ref().map(|name| name.to_ascii_lowercase());
    match (asker, made) {
        (Some(asker), _) if Some(&asker) == named.as_ref() => Ok(true),
        (Some(_), made) => {
            let namespace = made.and_then(|name| name.split_once('/')).map(|(namespace, _)| namespace);
            Ok(namespace.is_some() && viewer.role_in(namespace) >= Some(Role::Write))
        }
        (None, None) => Ok(true),
        (None, Some(made)) => match registry.store.may(Act::Write, made).await {
            Ok(()) => Ok(true),
            Err(store::Error::NotYours { .. } | store::Error::Hidden(_)) => Ok(false),
            Err(error) => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use domain::Viewer;
    use serde_json::json;
    use store::NewJob;

    use super::*;

    async fn registry() -> (tempfile::TempDir, Registry) {
        let folder = tempfile::tempdir().unwrap();
        let registry = crate::testing::registry(&folder).await;
        (folder, registry)
    }

    fn person(name: &str, role: (&str, Role)) -> Viewer {
        let own = (name.to_ascii_lowercase(), Role::Admin);
        let roles = [own, (role.0.to_owned(), role.1)].into();
        Viewer { name: Some(name.to_owned()), roles, everywhere: None }
    }

    fn to(output: &str) -> NewJob {
        let payload = json!({ "output": output });
        NewJob { kind: "merge_models".to_owned(), payload, idempotency_key: None, output: None }
    }

    #[tokio::test]
    async fn a_job_is_stopped_by_its_asker_by_writers_of_its_result_and_by_administrators() {
        let (_folder, registry) = registry().await;
        let cases = [
            (person("Alice", ("acme", Role::Read)), true),
            (person("writer", ("acme", Role::Write)), true),
            (Viewer { everywhere: Some(Role::Admin), ..person("boss", ("x", Role::Read)) }, true),
            (Viewer { everywhere: Some(Role::Read), ..person("boss", ("x", Role::Read)) }, false),
            (person("reader", ("acme", Role::Read)), false),
            (person("bob", ("other", Role::Admin)), false),
            (Viewer::default(), false),
        ];
        for (viewer, allowed) in cases {
            let alice = registry.store.seen_by(person("alice", ("acme", Role::Read)));
            let (job, _) = alice.enqueue(to("acme/out"), 99).await.unwrap();

            let told = cancel(&registry.seen_by(viewer.clone()), &job.id).await;

            let state = registry.store.job(&job.id).await.unwrap().unwrap().state;
            assert_eq!(state, if allowed { "cancelled" } else { "queued" }, "{viewer:?}");
            match told {
                Ok(Some(job)) => assert!(allowed && job.state == "cancelled", "{viewer:?}"),
                Err(Error::OthersWork(_)) => assert!(!allowed, "{viewer:?}"),
                other => panic!("{viewer:?}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn what_nobody_asked_for_is_stopped_by_whoever_may_ask_for_it() {
        let (_folder, registry) = registry().await;
        let account = store::AccountRow {
            name: "acme".to_owned(),
            kind: store::AccountKind::Org,
            admin: false,
            created_at: 0,
        };
        registry.store.add_account(&account).await.unwrap();
        let (open, _) = registry.store.enqueue(to("free/out"), 99).await.unwrap();
        let (owned, _) = registry.store.enqueue(to("acme/out"), 99).await.unwrap();
        let nobody = registry.seen_by(Viewer::default());

        let owners = cancel(&nobody, &owned.id).await;
        let stopped = cancel(&nobody, &open.id).await.unwrap().unwrap();
        let again = cancel(&nobody, &open.id).await;

        assert!(matches!(owners, Err(Error::OthersWork(_))), "{owners:?}");
        assert_eq!(stopped.state, "cancelled");
        assert!(matches!(again, Err(Error::JobOver { .. })), "{again:?}");
        assert!(cancel(&nobody, "nothing").await.unwrap().is_none());
    }
}
