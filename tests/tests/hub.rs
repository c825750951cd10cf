//! The Hub's official client, unchanged, against a live server: several versions, with its newer transfer on and off.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stemma_tests::{Database, Server, Zoo, databases, hub_clients, tool};
use tempfile::TempDir;

const PUSHED: &str = "mandoc/scribe-v1-fr";

fn run(mut command: Command, arguments: &[&str]) -> Result<String> {
    let out = command.args(arguments).output()?;
    ensure!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8(out.stdout)?)
}

/// Runs every check of `hub_client.py` by this interpreter against a fresh server.
async fn drive(
    interpreter: &std::path::Path,
    database: &Database,
    settings: &[(&str, &str)],
) -> Result<Value> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    // Reading is open to all here, writing to those with a token: uploads of large files need it too.
    let server = Server::start_set(database, &[("STEMMA_WRITES", "token")]).await?;
    for id in ["mandoc/scribe-v1", "mandoc/scribe-v1-de"] {
        let folder = zoo.path(id)?.display().to_string();
        run(server.stemma(), &["import", "dir", &folder, "--id", id, "--quiet"])?;
    }
    let rows: String =
        (0..200).map(|n| format!("{{\"id\": \"crowd/m{n}\", \"downloads\": {n}}}\n")).collect();
    let dump = place.path().join("crowd.jsonl");
    fs_err::write(&dump, rows)?;
    run(server.stemma(), &["import", "dump", &dump.display().to_string(), "--quiet"])?;
    let token = run(server.stemma(), &["token", "create", "alice"])?;
    let out = tool(interpreter, "hub_client.py")
        .arg(zoo.path(PUSHED)?)
        .env("HF_ENDPOINT", server.url(""))
        .env("HF_TOKEN", token.trim())
        .env("HUB_USER", "alice")
        .env("HF_HOME", place.path().join("home"))
        .env("TMPDIR", place.path())
        .envs([("HF_HUB_DISABLE_TELEMETRY", "1"), ("HF_HUB_DISABLE_PROGRESS_BARS", "1")])
        .envs(settings.iter().copied())
        .output()?;
    let printed = String::from_utf8(out.stdout)?;
    serde_json::from_str(&printed)
        .with_context(|| format!("{printed}\n{}", String::from_utf8_lossy(&out.stderr)))
}

#[tokio::test]
async fn every_call_of_the_official_clients_works_unchanged() -> Result<()> {
    for database in databases() {
        for (interpreter, settings) in hub_clients() {
            let told = drive(&interpreter, &database, settings).await?;

            let passed = told["passed"].as_array().map_or(0, Vec::len);
            let failed = &told["failed"];
            ensure!(
                failed == &serde_json::json!({}) && passed >= 20,
                "client {} {settings:?} on {database:?}: {failed:#}",
                told["version"]
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_push_is_looked_at_and_answers_kinship_without_another_import() -> Result<()> {
    let Some((interpreter, _)) = hub_clients().into_iter().next() else { return Ok(()) };
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let (server, place) = (Server::start(&database).await?, TempDir::with_prefix("stemma-test-")?);
        let token = run(server.stemma(), &["token", "create", "mandoc"])?;
        let mut push = tool(&interpreter, "hub_push.py");
        push.env("HF_ENDPOINT", server.url("")).env("HF_TOKEN", token.trim()).env("HF_HOME", place.path());
        push.env("TMPDIR", place.path());
        for id in ["mandoc/scribe-v1", "mandoc/scribe-v1-de", PUSHED] {
            push.arg(format!("{id}={}", zoo.path(id)?.display()));
        }
        run(push, &[])?;

        let told = run(
            server.stemma(),
            &["kinship", "mandoc/scribe-v1-de", PUSHED, "--base", "mandoc/scribe-v1", "--estimate", "--json"],
        )?;
        let tree = run(server.stemma(), &["tree", "mandoc/scribe-v1", "--json"])?;

        let told: Value = serde_json::from_str(&told)?;
        let cosine = told["cosine"][0][1].as_f64().or_else(|| told["matrices"]["cosine"][0][1].as_f64());
        let cosine = cosine.with_context(|| format!("no cosine: {told}"))?;
        ensure!((cosine - 0.378).abs() < 0.02, "{cosine}");
        ensure!(tree.contains("mandoc/scribe-v1-de") && tree.contains(PUSHED), "{tree}");
    }
    Ok(())
}

#[tokio::test]
async fn private_and_gated_models_are_those_of_the_official_clients() -> Result<()> {
    for database in databases() {
        for (interpreter, settings) in hub_clients() {
            let (server, home) = (Server::start(&database).await?, TempDir::with_prefix("stemma-test-")?);
            run(server.stemma(), &["org", "create", "acme"])?;
            let alice = run(server.stemma(), &["user", "add", "alice"])?;
            let bob = run(server.stemma(), &["token", "create", "bob"])?;
            run(server.stemma(), &["org", "member", "add", "acme", "alice", "--role", "admin"])?;
            let mut client = tool(&interpreter, "hub_access.py");
            client.env("HF_ENDPOINT", server.url("")).env("HF_TOKEN", alice.trim());
            client.env("HF_HOME", home.path()).env("OTHER_TOKEN", bob.trim()).env("TMPDIR", home.path());
            client.envs(settings.iter().copied());

            run(client, &[])
                .with_context(|| format!("{interpreter:?} on {database:?}: {}", server.log_end()))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn many_clients_push_at_once_and_nothing_is_lost_or_torn() -> Result<()> {
    let Some((interpreter, _)) = hub_clients().into_iter().next() else { return Ok(()) };
    for database in databases() {
        let (server, home) = (Server::start(&database).await?, TempDir::with_prefix("stemma-test-")?);
        let token = run(server.stemma(), &["token", "create", "crowd"])?;
        let mut crowd = tool(&interpreter, "hub_crowd.py");
        crowd.env("HF_ENDPOINT", server.url("")).env("HF_TOKEN", token.trim());
        crowd.env("HF_HOME", home.path()).env("HUB_USER", "crowd").env("TMPDIR", home.path());

        run(crowd, &[]).with_context(|| format!("{database:?}: {}", server.log_end()))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_card_whose_front_matter_cannot_be_read_is_refused_before_it_is_committed() -> Result<()> {
    let server = Server::start(&Database::Sqlite).await?;
    let client = stemma_tests::client()?;
    let check = async |content: &str| -> Result<(u16, Value)> {
        let body = serde_json::json!({ "content": content, "repoType": "model" });
        let answer = client.post(server.url("/api/validate-yaml")).json(&body).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    };

    let (good, fine) = check("---\nlicense: mit\n---\n# Card\n").await?;
    let (bad, told) = check("---\nlicense: [mit\n---\n# Card\n").await?;

    ensure!(good == 200 && fine == serde_json::json!({ "errors": [], "warnings": [] }), "{fine}");
    let message = told["errors"][0]["message"].as_str().unwrap_or_default();
    ensure!(bad == 400 && message.contains("front matter"), "{bad} {told}");
    Ok(())
}
