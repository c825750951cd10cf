//! Questions to a server's API that many tests ask.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use crate::Server;

const ENOUGH: Duration = Duration::from_secs(240);

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

/// The status of an answer and what it says: JSON, or the text where it is none.
///
/// # Errors
/// When there is no answer.
pub async fn answer(request: RequestBuilder) -> Result<(u16, Value)> {
    let answer = request.send().await?;
    let (status, text) = (answer.status().as_u16(), answer.text().await?);
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
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
    let mut job = ended(client, server, queued["id"].as_str().context("a job without an id")?).await?;
    ensure!(job["state"] == "succeeded", "{job}\n{}", server.log_end());
    Ok(job["result"].take())
}

/// A job once it has ended, however it did.
///
/// # Errors
/// When the job cannot be asked for, or does not end.
pub async fn ended(client: &Client, server: &Server, job: &str) -> Result<Value> {
    let deadline = Instant::now() + ENOUGH;
    loop {
        let job = get(client, server, &format!("/api/v1/jobs/{job}")).await?;
        if !matches!(job["state"].as_str(), Some("queued" | "running")) {
            return Ok(job);
        }
        ensure!(Instant::now() < deadline, "it does not end: {job}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
