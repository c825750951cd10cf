//! A fresh store per test, on either database; builders for what the tests store.

use std::{io::Write as _, sync::Once};

use domain::{Claim, EdgeStatus, Evidence, Metadata, Relation, RepoId, Source};
use sea_orm::{ConnectionTrait as _, Database};
use store::{FileRow, NewCommit, Publish, Store};
use ulid::Ulid;

/// Makes `sqlite::name` and `postgres::name` out of `async fn name(db: Db)`.
macro_rules! db_test {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                super::$name($crate::common::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                if let Some(db) = $crate::common::postgres().await {
                    super::$name(db).await;
                }
            })+
        }
    };
}
pub(crate) use db_test;

/// A migrated, empty store; the folder goes with it.
pub struct Db {
    pub store: Store,
    pub url: String,
    pub folder: tempfile::TempDir,
}

async fn open(url: String, folder: tempfile::TempDir) -> Db {
    let blobs = folder.path().join("blobs");
    let store = Store::open(&url, blobs.to_str().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    Db { store, url, folder }
}

pub async fn sqlite() -> Db {
    let folder = tempfile::tempdir().unwrap();
    open(format!("sqlite://{}/stemma.db?mode=rwc", folder.path().display()), folder).await
}

/// The same on PostgreSQL; none where no cluster is named.
pub async fn postgres() -> Option<Db> {
    let named = std::env::var("STEMMA_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
    let Some(admin) = named else {
        static SAID: Once = Once::new();
        let what = "PostgreSQL: STEMMA_TEST_POSTGRES is not set; scripts/test sees to it";
        // `eprintln!` would be kept back with what a test that passes prints.
        SAID.call_once(|| drop(writeln!(std::io::stderr(), "LEFT OUT: {what}")));
        return None;
    };
    let name = format!("stemma_test_{}", Ulid::generate()).to_lowercase();
    let server = Database::connect(&admin).await.unwrap();
    server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    server.close().await.unwrap();
    let (place, _) = admin.rsplit_once('/').unwrap();
    Some(open(format!("{place}/{name}"), tempfile::tempdir().unwrap()).await)
}

pub fn id(text: &str) -> RepoId {
    RepoId::parse(text).unwrap()
}

pub fn named(name: &str) -> Metadata {
    Metadata::named(id(name))
}

/// A revision of these files, of which nothing else is known.
pub fn files_only(name: &str, files: Vec<FileRow>) -> Publish {
    Publish {
        metadata: named(name),
        claims: Vec::new(),
        files,
        tensors: Vec::new(),
        sketches: Vec::new(),
        signature: None,
        recipe: None,
        provenance: None,
        fence: None,
        weights_of: None,
        survey: None,
        commit: NewCommit::default(),
    }
}

pub fn claim(parent: &str, relation: Relation, source: Source, confidence: f64) -> Claim {
    Claim {
        parent: id(parent),
        as_written: parent.to_owned(),
        relation,
        status: EdgeStatus::Accepted,
        evidence: vec![Evidence { source, detail: format!("names {}", parent.to_lowercase()), confidence }],
    }
}

pub fn card_claim(parent: &str) -> Claim {
    claim(parent, Relation::Finetune, Source::Card, 0.8)
}
