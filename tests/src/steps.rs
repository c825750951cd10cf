//! What a reader does in a browser, a step at a time, and a registry to do it in.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use thirtyfour::{By, error::WebDriverResult};

pub use crate::filled::filled;
use crate::{Browser, Database, Server, Zoo, answer, client};

const ENOUGH: Duration = Duration::from_secs(30);

/// A server without a worker, and the number of a merge that waits there.
///
/// # Errors
/// When the program cannot be started, an import fails or the merge is refused.
pub async fn waiting_merge() -> Result<(Server, String)> {
    let (server, zoo) = (Server::start_with(&Database::Sqlite, &["--no-worker"]).await?, Zoo::unpack()?);
    for id in ["mandoc/scribe-v1-de", "mandoc/scribe-v1-fr"] {
        run(server.stemma().args(["import", "dir"]).arg(zoo.path(id)?).args(["--id", id]))?;
    }
    let config = "merge_method: linear\nmodels:\n  - {model: mandoc/scribe-v1-de, parameters: {weight: 1}}\n  \
                  - {model: mandoc/scribe-v1-fr, parameters: {weight: 1}}\n";
    let request = client()?.post(server.url("/api/v1/merges"));
    let (status, job) = answer(request.json(&json!({ "config": config, "output": "me/both" }))).await?;
    ensure!(status == 202, "{job}");
    let id = job["id"].as_str().context("no id")?.to_owned();
    Ok((server, id))
}

pub(crate) fn run(command: &mut std::process::Command) -> Result<()> {
    let out = command.output()?;
    ensure!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

/// A page may be in the middle of giving way to the next one: what fails then is tried again for a while.
///
/// # Errors
/// When it does not come to that in time.
pub async fn settled<T>(look: impl AsyncFn() -> WebDriverResult<T>) -> Result<T> {
    let deadline = Instant::now() + ENOUGH;
    loop {
        match look().await {
            Ok(seen) => return Ok(seen),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// The text of the first element of a selector.
///
/// # Errors
/// When it does not come to that in time.
pub async fn text(browser: &Browser, selector: &str) -> Result<String> {
    settled(async || browser.find(By::Css(selector)).await?.text().await)
        .await
        .with_context(|| format!("no {selector}"))
}

/// Follows the link of this text.
///
/// # Errors
/// When it does not come to that in time.
pub async fn follow(browser: &Browser, link: &str) -> Result<()> {
    settled(async || browser.find(By::LinkText(link)).await?.click().await)
        .await
        .with_context(|| format!("no link {link}"))
}

/// Fills a field by its name.
///
/// # Errors
/// When it does not come to that in time.
pub async fn fill(browser: &Browser, name: &str, value: &str) -> Result<()> {
    settled(async || {
        let field = browser.find(By::Name(name)).await?;
        field.clear().await?;
        field.send_keys(value).await
    })
    .await
    .with_context(|| format!("no field {name}"))
}

/// Presses the button of this label.
///
/// # Errors
/// When it does not come to that in time.
pub async fn press(browser: &Browser, label: &str) -> Result<()> {
    let button = format!("//main//button[normalize-space()='{label}']");
    settled(async || browser.find(By::XPath(button.as_str())).await?.click().await)
        .await
        .with_context(|| format!("no button {label}"))
}

/// Waits until a page on which `selector` says `part` has taken the place of the one before.
///
/// # Errors
/// When it does not come to that in time.
pub async fn arrived(browser: &Browser, selector: &str, part: &str) -> Result<()> {
    let deadline = Instant::now() + ENOUGH;
    loop {
        let seen = text(browser, selector).await?;
        if seen.contains(part) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{selector} still says `{seen}`");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the job page says how the job ended.
///
/// # Errors
/// When it does not come to that in time.
pub async fn job_ended(browser: &Browser) -> Result<String> {
    let deadline = Instant::now() + ENOUGH;
    loop {
        let state = match browser.find(By::Css("[data-field=state]")).await {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        if matches!(state.as_str(), "succeeded" | "failed" | "cancelled") {
            return Ok(state);
        }
        ensure!(
            Instant::now() < deadline,
            "the job page still says `{state}`: {}",
            text(browser, "main").await?
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
