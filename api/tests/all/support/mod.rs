//! The REST interface over a registry of its own, and small models to put in it.

#![allow(clippy::unwrap_used, dead_code)]

pub mod schema;

use actix_web::{
    App,
    body::to_bytes,
    http::{StatusCode, header::HeaderMap},
    test::{TestRequest, call_service, init_service},
    web::Data,
};
use domain::{Limits, Metadata, RepoId};
use jobs::{Registry, ingest_folder};
use serde_json::{Value, json};
use store::Store;
use tempfile::TempDir;
use tokio::sync::watch;

/// Rows and columns of every matrix.
const SIDE: usize = 4;

/// A registry on SQLite; the folder goes with it.
pub struct Place {
    _at: TempDir,
    pub registry: Registry,
    _leave: watch::Sender<bool>,
    leaving: watch::Receiver<bool>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub kind: String,
    /// Empty where there is none.
    pub etag: String,
    pub body: Value,
    pub headers: HeaderMap,
}

impl Answer {
    /// Pointers of the faults listed.
    pub fn pointers(&self) -> Vec<&str> {
        let items = self.body["errors"].as_array().into_iter().flatten();
        items.filter_map(|item| item["pointer"].as_str()).collect()
    }

    /// A header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Whether it is an error as all errors are, with this status and code.
    pub fn is_problem(&self, status: u16, code: &str) -> bool {
        let body = self.status.as_u16() == status && self.body["code"] == code;
        body && self.kind.starts_with("application/problem+json")
    }
}

impl Place {
    pub async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        let at = TempDir::new().unwrap();
        let database = format!("sqlite://{}?mode=rwc", at.path().join("test.sqlite").display());
        let store = Store::open(&database, at.path().join("blobs").to_str().unwrap()).await.unwrap();
        store.migrate().await.unwrap();
        let registry = Registry::new(store, limits, at.path().join("scratch"));
        let (leave, leaving) = watch::channel(false);
        Self { _at: at, registry, _leave: leave, leaving }
    }

    /// Sends a request.
    pub async fn send(&self, request: TestRequest) -> Answer {
        let limits = self.registry.limits;
        let app = App::new()
            .wrap(actix_web::middleware::from_fn(http::tag_answers))
            .app_data(Data::new(self.registry.clone()))
            .app_data(Data::new(api::Leaving(self.leaving.clone())))
            .app_data(actix_web::web::PayloadConfig::new(limits.body_bytes))
            .configure(|config| api::configure(config, &limits, http::Doors::default()));
        let answer = call_service(&init_service(app).await, request.to_request()).await;
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let etag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = to_bytes(answer.into_body()).await.unwrap();
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        Answer { status, kind: kind.unwrap_or_default(), etag: etag.unwrap_or_default(), body, headers }
    }

    pub async fn get(&self, address: &str) -> Answer {
        self.send(TestRequest::get().uri(address)).await
    }

    pub async fn post(&self, address: &str, body: Value) -> Answer {
        self.send(TestRequest::post().uri(address).set_json(body)).await
    }

    /// The end of a job that was accepted, worked on here.
    pub async fn worked(&self, accepted: &Answer) -> Answer {
        let id = accepted.body["id"].as_str().unwrap();
        let (stop, stopped) = watch::channel(false);
        let worker = actix_web::rt::spawn(jobs::run_worker(self.registry.clone(), stopped));
        // The events of a job end with it.
        self.get(&format!("/api/v1/jobs/{id}/events")).await;
        stop.send(true).unwrap();
        worker.await.unwrap();
        self.get(&format!("/api/v1/jobs/{id}")).await
    }

    /// A merge of `config` into `output`.
    pub async fn merge(&self, config: &str, output: &str) -> Answer {
        self.post("/api/v1/merges", json!({ "config": config, "output": output })).await
    }

    /// A model of two layers whose weights are all `value`.
    pub async fn ingest(&self, id: &str, (value, licence): (f32, &str)) {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("model.safetensors"), checkpoint(value)).unwrap();
        let card = format!("---\nlicense: {licence}\n---\n# A model\n");
        fs_err::write(folder.path().join("README.md"), card).unwrap();
        ingest_folder(&self.registry, folder.path(), &RepoId::parse(id).unwrap(), &|_, _| {}).await.unwrap();
    }

    /// A model known by what the Hub says of it.
    pub async fn know(&self, id: &str, licence: &str) {
        let named = Metadata::named(RepoId::parse(id).unwrap());
        let metadata = Metadata { downloads: Some(12), license: Some(licence.to_owned()), ..named };
        self.registry.store.upsert(&[(metadata, Vec::new())]).await.unwrap();
    }
}

fn checkpoint(value: f32) -> Vec<u8> {
    let size = SIDE * SIDE * 4;
    let entry = |layer: usize| {
        format!(
            "\"model.layers.{layer}.mlp.up_proj.weight\": {{\"dtype\": \"F32\", \"shape\": [{SIDE}, {SIDE}], \
             \"data_offsets\": [{}, {}]}}",
            layer * size,
            (layer + 1) * size
        )
    };
    let header = format!("{{{}, {}}}", entry(0), entry(1));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    (0..2 * SIDE * SIDE).for_each(|_| bytes.extend(value.to_le_bytes()));
    bytes
}
