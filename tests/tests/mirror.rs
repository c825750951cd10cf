//! One Stemma mirrors another, as it would any Hub.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stemma_tests::{Server, Zoo, client, databases};

const TUNED: &str = "mandoc/scribe-v1-de";
const BASE: &str = "mandoc/scribe-v1";

fn run(mut command: Command, words: &[&str]) -> Result<Value> {
    let out = command.args(words).args(["--json", "--quiet"]).output()?;
    ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// A server with two models, and their digests.
async fn origin(zoo: &Zoo) -> Result<(Server, Value, Value)> {
    let server = Server::start(&stemma_tests::Database::Sqlite).await?;
    let import = |id: &str| {
        let folder = zoo.path(id)?.display().to_string();
        run(server.stemma(), &["import", "dir", &folder, "--id", id])
    };
    let (base, tuned) = (import(BASE)?, import(TUNED)?);
    Ok((server, base, tuned))
}

#[tokio::test]
async fn a_mirrored_model_is_the_same_model_with_its_parents() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, base, tuned) = origin(&zoo).await?;
    for database in databases() {
        let mirror = Server::start(&database).await?;
        let here = || {
            let mut command = mirror.stemma();
            command.env("STEMMA_HUB", origin.url(""));
            command
        };

        let told = run(here(), &["import", "hub", TUNED, "--parents", "1"])?;
        let again = run(here(), &["import", "hub", TUNED])?;

        ensure!(told[0]["id"] == TUNED && told[0]["digest"] == tuned["digest"], "{told}");
        ensure!(told[1]["id"] == BASE && told[1]["digest"] == base["digest"], "{told}");
        ensure!(again[0]["digest"] == tuned["digest"] && again[0]["known"].as_u64() >= Some(1), "{again}");
        let near = run(here(), &["kinship", TUNED, BASE])?;
        let far = run(origin.stemma(), &["kinship", TUNED, BASE])?;
        ensure!(near["matrices"] == far["matrices"], "{near} {far}");
    }
    Ok(())
}

#[tokio::test]
async fn metadata_and_headers_come_without_weights() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, ..) = origin(&zoo).await?;
    let mirror = Server::start(&stemma_tests::Database::Sqlite).await?;
    let client = client()?;
    let get = async |path: String| -> Result<Value> {
        Ok(client.get(mirror.url(&path)).send().await?.json().await?)
    };
    let import = |id: &str, weights: &str| {
        let mut command = mirror.stemma();
        command.env("STEMMA_HUB", origin.url(""));
        run(command, &["import", "hub", id, "--weights", weights])
    };

    import(TUNED, "none")?;
    import(BASE, "headers")?;

    let tuned = get(format!("/api/v1/models/{TUNED}")).await?;
    ensure!(tuned["has_weights"] == false && tuned["parents"][0]["id"] == BASE, "{tuned}");
    ensure!(tuned["architecture"] == "LlamaForCausalLM" && !tuned["card"].is_null(), "{tuned}");
    let base = get(format!("/api/v1/models/{BASE}")).await?;
    ensure!(base["has_weights"] == false && base["parameters"].as_u64() > Some(1_000_000), "{base}");
    Ok(())
}

#[tokio::test]
async fn an_import_over_rest_is_a_job_and_needs_a_hub_of_the_operators_choice() -> Result<()> {
    let server = Server::start(&stemma_tests::Database::Sqlite).await?;
    let client = client()?;

    let body = json!({ "model": TUNED });
    let answer = client.post(server.url("/api/v1/imports")).json(&body).send().await?;
    let status = answer.status();
    let problem: Value = answer.json().await?;
    let odd = json!({ "model": TUNED, "endpoint": "http://127.0.0.1:1" });
    let refused = client.post(server.url("/api/v1/imports")).json(&odd).send().await?;

    ensure!(status == 409 && problem["code"] == "no_hub", "{problem}");
    ensure!(refused.status() == 400, "no client names the endpoint: {}", refused.text().await?);
    let told = run(server.stemma(), &["doctor"]).context("still alive")?;
    ensure!(told["database"] == "ok", "{told}");
    Ok(())
}
