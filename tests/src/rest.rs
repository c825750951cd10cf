//! Questions to a server's API that many tests ask.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reqwest::Client;
use serde_json::Value;

use crate::Server;

const ENOUGH: Duration = Duration::from_secs(120);

/// What an address of the API answers.
///
/// # Errors
/// When it answers anything but 200 and JSON.
pub async fn get(client: &Client, server: &Server, path: &str) -> Result<Value> {
    let answer = client.get(server.url(path)).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == 200, "{path}: {status} {text}");
    Ok(serde_json::from_str(&text)?)
}

/// Posts a request for a job and gives the result it ends with.
///
/// # Errors
/// When the request is refused, or the job fails or does not end.
pub async fn job(client: &Client, server: &Server, path: &str, body: Value) -> Result<Value> {
    let answer = client.post(server.url(path)).json(&body).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == 202, "{path}: {status} {text}");
    let queued: Value = serde_json::from_str(&text)?;
    let address = format!("/api/v1/jobs/{}", queued["id"].as_str().context("a job without an id")?);
    let deadline = Instant::now() + ENOUGH;
    loop {
        let mut job = get(client, server, &address).await?;
        match job["state"].as_str() {
            Some("queued" | "running") => ensure!(Instant::now() < deadline, "it does not end: {job}"),
            Some("succeeded") => return Ok(job["result"].take()),
            _ => anyhow::bail!("{job}\n{}", server.log_end()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
