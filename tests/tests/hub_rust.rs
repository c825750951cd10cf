//! The Hub's client in Rust, unchanged, against a live server.

use anyhow::{Result, ensure};
use hf_hub::api::sync::{Api, ApiBuilder};
use stemma_tests::{Server, Zoo, databases};
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
