//! The Hub's own addresses in a browser's hands: files, namespaces, names with a past; and ids and numbers of the service.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, multipart};
use serde_json::Value;
use stemma_tests::{Database, Server, answer, client, databases};

/// A safetensors file of one F32 scalar.
fn weights(value: f32) -> Vec<u8> {
    let header = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(value.to_le_bytes());
    bytes
}

async fn upload(client: &Client, server: &Server, value: f32) -> Result<()> {
    let part = |bytes: Vec<u8>, name: &'static str| multipart::Part::bytes(bytes).file_name(name);
    let form = multipart::Form::new()
        .part("file", part(br#"{"model_type": "llama", "x": "<b>"}"#.to_vec(), "config.json"))
        .part("file", part(b"not opened".to_vec(), "pytorch_model.bin"))
        .part("file", part(weights(value), "model.safetensors"));
    let (status, told) = answer(client.post(server.url("/api/v1/models/acme/b")).multipart(form)).await?;
    ensure!(status == 201, "{told}");
    Ok(())
}

async fn page(client: &Client, server: &Server, address: &str) -> Result<(u16, String)> {
    let answer = client.get(server.url(address)).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

#[tokio::test]
async fn files_namespaces_and_names_with_a_past_have_pages() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        upload(&client, &server, 1.0).await?;
        let calm = page(&client, &server, "/acme/b").await?.1;
        let branch =
            client.post(server.url("/api/models/acme/b/branch/x%2F%C3%A9")).json(&serde_json::json!({}));
        ensure!(branch.send().await?.status().is_success(), "a branch with a slash");
        upload(&client, &server, 2.0).await?;
        let commits: Value =
            client.get(server.url("/api/models/acme/b/commits/main")).send().await?.json().await?;
        let [new, old] = [0, 1].map(|at| commits[at]["id"].as_str().unwrap_or_default().to_owned());

        let model = page(&client, &server, "/acme/b").await?.1;
        ensure!(!calm.contains("stands for other weights"), "{calm}");
        ensure!(model.contains("stands for other weights since"), "{model}");
        ensure!(model.contains(&format!("/acme/b/compare/{old}...{new}")), "{model}");
        ensure!(model.matches("not inspected</span>").count() == 1, "{model}");
        for (address, status, parts) in [
            ("/acme/b/blob/main/config.json".to_owned(), 200, ["&#60;b&#62;", "data-permanent"]),
            (format!("/acme/b/blob/{old}/model.safetensors"), 200, ["1 tensor by the header", "F32"]),
            ("/acme/b/blob/main/pytorch_model.bin".to_owned(), 200, ["not inspected", "sha256:"]),
            ("/acme/b/blob/main/nothing".to_owned(), 404, ["no file", "nothing"]),
            ("/acme/b/blob/none/config.json".to_owned(), 404, ["no revision", "none"]),
            ("/acme/b/resolve/x/%C3%A9/config.json".to_owned(), 200, ["model_type", "llama"]),
            ("/acme/b/resolve/%00x/%C3%A9/config.json".to_owned(), 404, ["revision", "acme/b"]),
            ("/acme/b/tree/%00x/%C3%A9".to_owned(), 404, ["Not found", "acme/b"]),
            ("/acme".to_owned(), 200, ["1 model here", "/acme/b"]),
            ("/nobody".to_owned(), 404, ["Not found", "nobody"]),
            ("/licences".to_owned(), 200, ["apache-2.0", "Licences that are known"]),
        ] {
            let (told, text) = page(&client, &server, &address).await?;
            ensure!(
                told == status && parts.iter().all(|part| text.contains(part)),
                "{address}: {told} {text}"
            );
        }
        let raw = client.get(server.url("/acme/b/raw/main/config.json")).send().await?;
        ensure!(raw.headers()["content-type"] == "text/plain; charset=utf-8", "{raw:?}");

        let body = serde_json::json!({ "fromRepo": "acme/b", "toRepo": "acme/c", "type": "model" });
        let renamed = client.post(server.url("/api/repos/move")).json(&body).send().await?;
        ensure!(renamed.status().is_success(), "{renamed:?}");
        let moved = client.get(server.url("/acme/b")).send().await?;
        let to =
            moved.headers().get("location").and_then(|to| to.to_str().ok()).unwrap_or_default().to_owned();
        ensure!(moved.status() == 308 && to == "/acme/c?formerly=acme%2Fb", "{moved:?}");
        let (_, reached) = page(&client, &server, &to).await?;
        ensure!(reached.contains("<code>acme/b</code> is an older name of this model"), "{reached}");
    }
    Ok(())
}

#[tokio::test]
async fn a_comparison_at_revisions_stays_what_it_was() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        upload(&client, &server, 1.0).await?;
        let now = page(&client, &server, "/compare/acme/b...acme/b").await?.1;
        let link = now.split("href=\"").find(|part| part.contains("\" data-permanent")).context("no link")?;
        let link = link.split('"').next().unwrap_or_default().to_owned();
        upload(&client, &server, 2.0).await?;

        let (status, then) = page(&client, &server, &link).await?;
        let crossed = link.replace("...acme/b@", "...acme/b@main?x=");
        let (_, crossed) = page(&client, &server, &crossed).await?;

        ensure!(status == 200 && then.contains("Tensors and files are those of"), "{then}");
        ensure!(then.contains("<h1 class=\"model\"><a href=\"/acme/b\">acme/b</a>"), "{then}");
        let lead = |text: &str| text.split("class=\"lead\">").nth(1).map(|rest| rest[..40].to_owned());
        ensure!(lead(&then) == lead(&now), "{:?} {:?}", lead(&then), lead(&now));
        ensure!(lead(&crossed) != lead(&now), "{crossed}");
    }
    Ok(())
}

#[tokio::test]
async fn answers_have_ids_and_the_metrics_tell_of_jobs_bytes_and_room() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        upload(&client, &server, 1.0).await?;

        for address in ["/", "/api/v1/models", "/no/such", "/static/stemma.css", "/metrics"] {
            let made = client.get(server.url(address)).send().await?;
            let kept = client.get(server.url(address)).header("x-request-id", "mine-7").send().await?;
            ensure!(made.headers()["x-request-id"].len() == 26, "{address} {made:?}");
            ensure!(kept.headers()["x-request-id"] == "mine-7", "{address} {kept:?}");
        }
        let metrics = page(&client, &server, "/metrics").await?.1;
        let value = |name: &str| -> Result<f64> {
            let line =
                metrics.lines().find(|line| line.starts_with(name)).with_context(|| metrics.clone())?;
            Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
        };
        ensure!(
            value("stemma_jobs{state=\"queued\"}")? == 0.0 && value("stemma_jobs{state=\"failed\"}")? == 0.0
        );
        ensure!(value("stemma_jobs_oldest_queued_seconds")? == 0.0, "{metrics}");
        ensure!(value("stemma_ingested_bytes_total")? >= weights(1.0).len() as f64, "{metrics}");
        ensure!(value("stemma_blob_store_free_bytes")? > 0.0, "{metrics}");
    }
    Ok(())
}

#[tokio::test]
async fn the_log_is_an_object_a_line_where_that_is_asked_for() -> Result<()> {
    let server = Server::start_set(&Database::Sqlite, &[("STEMMA_LOG_FORMAT", "json")]).await?;
    fs_err::remove_dir_all(server.data().join("blobs"))?;

    let asked = client()?.get(server.url("/readyz")).header("x-request-id", "mine-8");
    let answer = asked.send().await?;

    ensure!(answer.status() == 503, "{answer:?}");
    let log = server.log_end();
    let lines = log.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let told =
        |line: &Value| ["timestamp", "level", "target", "message"].iter().all(|key| line[key].is_string());
    ensure!(!lines.is_empty() && lines.iter().all(told), "{log}");
    let own = lines.iter().find(|line| line["span"]["request_id"] == "mine-8").context(log.clone())?;
    ensure!(own["level"] == "WARN" && own["status"] == 503 && own["route"] == "/readyz", "{own}");
    Ok(())
}
