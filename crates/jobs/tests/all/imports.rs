//! Models brought in from a Hub: under the fence of their job, with its asker's rights, and with everything that is noted.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
};

use domain::{Limits, Role, Viewer};
use hub::HubClient;
use jobs::{Mirror, Pulling, Registry, Take, mirror, submit_mirror};
use store::{AccountKind, AccountRow, JobRow};
use tempfile::TempDir;

/// A file of a model on a Hub: the model's id, a path, and what is in it.
type File = (&'static str, &'static str, &'static [u8]);

/// A Hub on this machine with these files.
fn hub(files: &'static [File]) -> HubClient {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(|stream| answer(stream.unwrap(), files)));
    HubClient::new(&address, &Limits::default()).unwrap()
}

fn answer(mut stream: TcpStream, files: &[File]) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let path = head[0].split(' ').nth(1).unwrap();
    let range =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let bytes = match range {
        None => {
            let id = path.trim_start_matches("/api/models/").split("/revision").next().unwrap();
            let own = files.iter().filter(|(model, ..)| *model == id);
            let listed: Vec<String> = own
                .map(|(_, path, bytes)| format!(r#"{{"rfilename":"{path}","size":{}}}"#, bytes.len()))
                .collect();
            let sha = "c".repeat(40);
            let body = format!(r#"{{"id":"{id}","sha":"{sha}","siblings":[{}]}}"#, listed.join(","));
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
            format!("{head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
                .into_bytes()
        }
        Some(range) => {
            let file = files.iter().find(|(id, name, _)| {
                path.starts_with(&format!("/{id}/resolve/")) && path.ends_with(&format!("/{name}"))
            });
            let bytes = file.unwrap().2;
            let (from, to) = range.split_once('-').unwrap();
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            let part = &bytes[from..(to + 1).min(bytes.len())];
            let head = format!(
                "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {from}-{}/{}\r\netag: \"one\"\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                from + part.len() - 1,
                bytes.len(),
                part.len()
            );
            [head.as_bytes(), part].concat()
        }
    };
    stream.write_all(&bytes).unwrap();
}

async fn before(files: &'static [File]) -> (TempDir, Registry) {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    (place, registry.with_hub(Some(hub(files)), Pulling::Nothing))
}

fn wanted(model: &str, take: Take, parents: u32) -> Mirror {
    Mirror { model: model.to_owned(), take, parents, onto: None }
}

async fn claimed(registry: &Registry, lease_seconds: i64) -> JobRow {
    registry.store.claim(&["import_model"], "worker", lease_seconds).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_import_that_another_worker_took_over_publishes_nothing() {
    let (_place, registry) =
        before(&[("bob/x", "README.md", b"# X\n"), ("bob/x", "config.json", b"{}")]).await;
    for take in [Take::None, Take::Full] {
        let wanted = wanted("bob/x", take, 0);
        submit_mirror(&registry, &wanted, None).await.unwrap();
        let slow = claimed(&registry, -1).await;
        let fast = claimed(&registry, 60).await;

        let late = mirror(&registry, &wanted, Some(&slow), &|_, _| Ok(())).await;

        assert!(matches!(late, Err(jobs::Error::Store(store::Error::LeaseLost(_)))), "{take}: {late:?}");
        assert!(registry.store.model_by_id("bob/x").await.unwrap().is_none(), "{take}");
        registry.store.cancel(&fast.id).await.unwrap();
        let stopped = mirror(&registry, &wanted, Some(&fast), &|_, _| Ok(())).await;
        assert!(
            matches!(stopped, Err(jobs::Error::Store(store::Error::Cancelled(_)))),
            "{take}: {stopped:?}"
        );
        assert!(registry.store.model_by_id("bob/x").await.unwrap().is_none(), "{take}");
        registry.store.set_cancelled(&fast.hold()).await.unwrap();
    }
}

#[tokio::test]
async fn parents_come_only_where_whoever_asked_may_write() {
    let (_place, registry) = before(&[
        ("bob/x", "README.md", b"---\nbase_model: [acme/y, free/z]\n---\n"),
        ("acme/y", "README.md", b"# Y\n"),
        ("free/z", "README.md", b"# Z\n"),
    ])
    .await;
    let account = |name: &str, kind| AccountRow { name: name.to_owned(), kind, admin: false, created_at: 0 };
    registry.store.add_account(&account("acme", AccountKind::Org)).await.unwrap();
    registry.store.add_account(&account("bob", AccountKind::User)).await.unwrap();
    let bob = registry.store.viewer_named("bob", Role::Admin).await.unwrap();
    let wanted = wanted("bob/x", Take::None, 1);
    for asker in [bob, Viewer::house()] {
        submit_mirror(&registry.seen_by(asker), &wanted, None).await.unwrap();
        let job = claimed(&registry, 60).await;

        let done = mirror(&registry, &wanted, Some(&job), &|_, _| Ok(())).await.unwrap();

        let faults: Vec<(&str, bool)> =
            done.iter().map(|one| (one.id.as_str(), one.fault.is_some())).collect();
        assert!(faults.contains(&("acme/y", true)), "{faults:?}");
        assert!(registry.store.model_by_id("acme/y").await.unwrap().unwrap().ghost);
        assert!(!registry.store.model_by_id("free/z").await.unwrap().unwrap().ghost);
        registry.store.finish(&job.hold(), serde_json::json!({})).await.unwrap();
    }
}

/// Weights of one tensor of two bytes.
const TINY: &[u8] =
    b"\x40\0\0\0\0\0\0\0{\"a.weight\":{\"dtype\":\"U8\",\"shape\":[1,2],\"data_offsets\":[0,2]}}  ab";

#[tokio::test]
async fn what_was_noted_of_the_files_stays_beside_what_the_hub_says() {
    let (_place, registry) = before(&[
        ("bob/q", "README.md", b"---\nlicense: [mit\n---\n# Q\n"),
        ("bob/q", "config.json", br#"{"quantization_config":{"quant_method":"gptq","bits":4}}"#),
        ("bob/q", "model.safetensors", TINY),
    ])
    .await;

    mirror(&registry, &wanted("bob/q", Take::Full, 0), None, &|_, _| Ok(())).await.unwrap();

    let row = registry.store.model_by_id("bob/q").await.unwrap().unwrap();
    let notes = registry.store.notes_of(row.id).await.unwrap();
    let mut codes: Vec<&str> = notes.iter().map(|note| note.code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["card_front_matter", "quantised"]);
}
