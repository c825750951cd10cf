//! The Hub's client in Rust, unchanged, against a live server: the 0.5 line here, the 1.x line in a program of its own.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use hf_hub::api::sync::{Api, ApiBuilder};
use serde_json::Value;
use stemma_tests::{Server, Zoo, databases, named};
use tempfile::TempDir;

const MODEL: &str = "mandoc/scribe-v1";

fn client(server: &Server, home: &TempDir, token: Option<&str>) -> Result<Api> {
    let api = ApiBuilder::new().with_endpoint(server.url("")).with_cache_dir(home.path().to_owned());
    Ok(api.with_progress(false).with_token(token.map(str::to_owned)).build()?)
}

#[tokio::test]
async fn the_rust_client_describes_and_downloads_and_is_kept_from_what_is_closed() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let server = Server::start(&database).await?;
        let run = |words: &[&str]| -> Result<String> {
            let out = server.stemma().args(words).output()?;
            ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
            Ok(String::from_utf8(out.stdout)?.trim().to_owned())
        };
        run(&["import", "dir", &zoo.path(MODEL)?.display().to_string(), "--id", MODEL, "--quiet"])?;
        let owner = run(&["token", "create", "mandoc"])?;
        let (home, closed) = (TempDir::with_prefix("stemma-test-")?, TempDir::with_prefix("stemma-test-")?);
        let (open, kept) = (client(&server, &home, None)?, zoo.path(MODEL)?);

        // The client blocks, and the server is another process.
        let found = tokio::task::spawn_blocking(move || -> Result<_> {
            let model = open.model(MODEL.to_owned());
            Ok((model.info()?, model.get("config.json")?, model.get("model.safetensors")?, model))
        });
        let (info, config, weights, model) = found.await??;

        ensure!(info.siblings.iter().any(|file| file.rfilename == "model.safetensors"), "{info:?}");
        ensure!(fs_err::read(config)? == fs_err::read(kept.join("config.json"))?);
        ensure!(fs_err::read(&weights)? == fs_err::read(kept.join("model.safetensors"))?);
        ensure!(weights.to_string_lossy().contains(&info.sha), "{weights:?} {}", info.sha);
        run(&["access", "set", MODEL, "--private"])?;
        let own = client(&server, &closed, Some(&owner))?;
        let asked = tokio::task::spawn_blocking(move || {
            (model.info().is_err(), own.model(MODEL.to_owned()).get("config.json").is_ok())
        });
        ensure!(asked.await? == (true, true), "private to its owner");
    }
    Ok(())
}

#[tokio::test]
async fn every_call_of_the_rust_client_of_the_1_line_works_unchanged() -> Result<()> {
    let Some(program) = named("STEMMA_TEST_HUB_RUST", "hf-hub 1.x") else { return Ok(()) };
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let server = Server::start_set(&database, &[("STEMMA_WRITES", "token")]).await?;
        let home = TempDir::with_prefix("stemma-test-")?;
        let run = |words: &[&str]| -> Result<String> {
            let out = server.stemma().args(words).output()?;
            ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
            Ok(String::from_utf8(out.stdout)?.trim().to_owned())
        };
        run(&["import", "dir", &zoo.path(MODEL)?.display().to_string(), "--id", MODEL, "--quiet"])?;
        let rows: String = (0..200).map(|n| format!("{{\"id\": \"crowd/m{n}\"}}\n")).collect();
        let dump = home.path().join("crowd.jsonl");
        fs_err::write(&dump, rows)?;
        run(&["import", "dump", &dump.display().to_string(), "--quiet"])?;
        let tokens = [run(&["user", "add", "alice"])?, run(&["token", "create", "bob"])?];

        let out = Command::new(&program)
            .arg(zoo.path("mandoc/scribe-v1-fr")?)
            .env("HF_ENDPOINT", server.url(""))
            .envs([("HF_TOKEN", &tokens[0]), ("OTHER_TOKEN", &tokens[1])])
            .envs([("HF_HOME", home.path())])
            .env("HUB_USER", "alice")
            .output()?;

        let printed = String::from_utf8(out.stdout)?;
        let told: Value = serde_json::from_str(&printed)
            .with_context(|| format!("{printed}\n{}", String::from_utf8_lossy(&out.stderr)))?;
        let passed = told["passed"].as_array().map_or(0, Vec::len);
        ensure!(told["failed"] == serde_json::json!({}) && passed == 13, "{database:?}: {told:#}");
    }
    Ok(())
}
