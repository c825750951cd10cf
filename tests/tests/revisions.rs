//! Two revisions of one model side by side, over REST and as a page.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, multipart};
use serde_json::Value;
use stemma_tests::{Server, answer, client, databases};

/// A safetensors file of F32 scalars by name.
fn weights(values: &[(&str, f32)]) -> Result<Vec<u8>> {
    let mut entries = serde_json::Map::new();
    for (at, (name, _)) in values.iter().enumerate() {
        let entry = serde_json::json!({ "dtype": "F32", "shape": [1], "data_offsets": [at * 4, at * 4 + 4] });
        entries.insert((*name).to_owned(), entry);
    }
    let header = serde_json::to_vec(&entries)?;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(values.iter().flat_map(|(_, value)| value.to_le_bytes()));
    Ok(bytes)
}

async fn upload(client: &Client, server: &Server, (config, weights): (&str, Vec<u8>)) -> Result<()> {
    let part = |bytes: Vec<u8>, name: &'static str| multipart::Part::bytes(bytes).file_name(name);
    let form = multipart::Form::new()
        .part("file", part(config.as_bytes().to_vec(), "config.json"))
        .part("file", part(weights, "model.safetensors"));
    let (status, told) = answer(client.post(server.url("/api/v1/models/a/b")).multipart(form)).await?;
    ensure!(status == 201, "{told}");
    Ok(())
}

#[tokio::test]
async fn two_revisions_differ_by_files_tensors_and_keys_of_the_configuration() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        let old = r#"{"model_type": "llama", "rope": {"factor": 2}, "gone": 1}"#;
        upload(&client, &server, (old, weights(&[("w.a", 1.0), ("w.b", 2.0)])?)).await?;
        let new = r#"{"model_type": "llama", "rope": {"factor": 4}}"#;
        upload(&client, &server, (new, weights(&[("w.a", 1.0), ("w.b", 3.0), ("w.c", 4.0)])?)).await?;
        let commits: Value =
            client.get(server.url("/api/models/a/b/commits/main")).send().await?.json().await?;
        let first = commits[1]["id"].as_str().context("no first commit")?;

        let (status, told) =
            answer(client.get(server.url(&format!("/api/v1/models/a/b/compare/{first}...main")))).await?;
        let page = client.get(server.url(&format!("/a/b/compare/{first}...main"))).send().await?;
        let model = client.get(server.url("/a/b")).send().await?.text().await?;

        ensure!(status == 200, "{told}");
        ensure!(told["config"][0]["key"] == "gone" && told["config"][0]["to"].is_null(), "{told}");
        ensure!(told["config"][1]["key"] == "rope.factor" && told["config"][1]["to"] == 4, "{told}");
        ensure!(told["tensors"]["changed"][0] == "w.b" && told["tensors"]["added"][0] == "w.c", "{told}");
        let (status, page) = (page.status(), page.text().await?);
        ensure!(
            status == 200 && ["rope.factor", "w.b", "w.c"].iter().all(|word| page.contains(word)),
            "{page}"
        );
        ensure!(!page.contains("w.a"), "{page}");
        let link = format!("/a/b/compare/{first}...");
        ensure!(model.contains(&link), "{model}");
        let nowhere = client.get(server.url("/a/b/compare/nothing...main")).send().await?;
        ensure!(nowhere.status() == 404, "{nowhere:?}");
    }
    Ok(())
}
