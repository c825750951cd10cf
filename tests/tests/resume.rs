//! What a killed process was computing is gone on with, and its bytes are those of one that was left alone.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stemma_tests::{Bucket, Database, Server, client, databases, ended, get, stemma};
use tempfile::TempDir;

const ENOUGH: Duration = Duration::from_secs(240);
/// So many that a process which is looked at now and then does not end unseen.
const TENSORS: u64 = 48;
/// Elements of a tensor.
const ELEMENTS: u64 = 1 << 18;

/// A checkpoint of so many F32 tensors, each of one value that grows from `first`.
fn checkpoint(folder: &Path, (tensors, first): (u64, f32)) -> Result<()> {
    let mut entries = serde_json::Map::new();
    let mut data = Vec::new();
    for at in 0..tensors {
        let place = [at * ELEMENTS * 4, (at + 1) * ELEMENTS * 4];
        let entry = json!({"dtype": "F32", "shape": [ELEMENTS / 1024, 1024], "data_offsets": place});
        entries.insert(format!("model.layers.{at:02}.weight"), entry);
        data.extend((0..ELEMENTS).flat_map(|_| (first + at as f32).to_le_bytes()));
    }
    let header = serde_json::to_vec(&entries)?;
    fs_err::create_dir_all(folder)?;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    fs_err::write(folder.join("model.safetensors"), bytes)?;
    Ok(fs_err::write(folder.join("config.json"), b"{}")?)
}

fn recipe(models: [&str; 2]) -> String {
    let [a, b] = models;
    format!(
        "merge_method: slerp\nbase_model: {a}\nparameters: {{t: 0.3}}\nmodels:\n  - model: {a}\n  - model: {b}\n"
    )
}

/// Ends a process without warning once a journal in `folder` names some tensors; fails when it ends before.
fn kill_in_the_middle(mut child: Child, folder: &Path) -> Result<()> {
    let deadline = Instant::now() + ENOUGH;
    loop {
        if journals(folder)?.iter().any(|journal| journal.lines().count() > 4) {
            child.kill()?;
            let status = child.wait()?;
            ensure!(status.code().is_none(), "it had ended before it was killed: {status}");
            return Ok(());
        }
        ensure!(child.try_wait()?.is_none(), "it ended before it was killed");
        ensure!(Instant::now() < deadline, "nothing is written");
        std::thread::yield_now();
    }
}

fn journals(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).into_iter().flatten() {
        let journal = entry?.path().join("journal.jsonl");
        found.extend(fs_err::read_to_string(journal));
    }
    Ok(found)
}

fn quiet(mut command: Command) -> Result<Child> {
    Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

fn files(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let read = |entry: std::io::Result<fs_err::DirEntry>| {
        let path = entry?.path();
        Ok((path.strip_prefix(folder)?.to_owned(), fs_err::read(&path)?))
    };
    let mut files = fs_err::read_dir(folder)?.map(read).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

#[test]
fn a_merge_into_the_same_folder_goes_on_where_it_was_killed() -> Result<()> {
    let place = TempDir::with_prefix("stemma-test-")?;
    let at = place.path();
    checkpoint(&at.join("a"), (TENSORS, 1.0))?;
    checkpoint(&at.join("b"), (TENSORS, 2.0))?;
    fs_err::write(at.join("merge.yml"), recipe(["a", "b"]))?;
    let merge = |out: &str| {
        let mut command = stemma(at);
        command.args(["merge", "merge.yml", out, "--max-shard-size", "5000000", "--json"]);
        command
    };
    fs_err::create_dir_all(at.join("made"))?;

    kill_in_the_middle(quiet(merge("made/out"))?, &at.join("made"))?;
    ensure!(!at.join("made/out").exists(), "half a model has its final name");
    let again = merge("made/out").output()?;
    ensure!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    ensure!(merge("calm/out").output()?.status.success());

    let told: Value = serde_json::from_slice(&again.stdout)?;
    ensure!(told["resumed_bytes"].as_u64() >= Some(3 * ELEMENTS * 4), "{told}");
    ensure!(files(&at.join("made/out"))? == files(&at.join("calm/out"))?, "other bytes");
    ensure!(fs_err::read_dir(at.join("made"))?.count() == 1, "scratch is left");
    Ok(())
}

/// Imports the models that the recipe names, of so many tensors.
fn imported(server: &Server, tensors: u64) -> Result<()> {
    for (id, first) in [("a", 1.0), ("b", 2.0)] {
        checkpoint(&server.data().join(id), (tensors, first))?;
        let out = server.stemma().args(["import", "dir", id, "--id", &format!("tests/{id}")]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}

async fn queued(server: &Server, output: &str) -> Result<String> {
    asked(server, output, recipe(["tests/a", "tests/b"])).await
}

async fn asked(server: &Server, output: &str, config: String) -> Result<String> {
    let body = json!({ "config": config, "output": output });
    let answer = client()?.post(server.url("/api/v1/merges")).json(&body).send().await?;
    let job: Value = answer.json().await?;
    Ok(job["id"].as_str().with_context(|| job.to_string())?.to_owned())
}

/// Waits until nothing is left in a folder: a worker tidies up after its job is seen to have ended.
async fn emptied(folder: &Path) -> Result<()> {
    let deadline = Instant::now() + ENOUGH;
    while fs_err::read_dir(folder)?.count() > 0 {
        ensure!(Instant::now() < deadline, "scratch is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_job_whose_worker_was_killed_goes_on_with_its_tensors() -> Result<()> {
    for database in databases() {
        let bucket = Bucket::start()?;
        a_merge_goes_on(&database, &[]).await?;
        if let Some(bucket) = &bucket {
            a_merge_goes_on(&database, &bucket.settings()).await.context("with a bucket")?;
        }
    }
    Ok(())
}

/// Of a registry with these settings.
async fn a_merge_goes_on(database: &Database, settings: &[(&str, &str)]) -> Result<()> {
    let server = Server::start_configured(database, (&["--no-worker"], settings)).await?;
    let here = || {
        let mut command = server.stemma();
        command.envs(settings.iter().copied());
        command
    };
    for (id, first) in [("a", 1.0), ("b", 2.0)] {
        checkpoint(&server.data().join(id), (TENSORS, first))?;
        let out = here().args(["import", "dir", id, "--id", &format!("tests/{id}")]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    let (client, scratch) = (client()?, server.data().join("scratch"));
    let worker = || {
        let mut command = here();
        command.arg("worker").env("STEMMA_LIMITS__LEASE_SECONDS", "2");
        quiet(command)
    };

    let job = queued(&server, "tests/made").await?;
    kill_in_the_middle(worker()?, &scratch)?;
    let mut second = worker()?;
    let made = ended(&client, &server, &job).await?;
    // Of the same recipe nothing would be computed again; this one only says what format the numbers have anyway.
    let other = recipe(["tests/a", "tests/b"]) + "dtype: float32\n";
    let calm = asked(&server, "tests/calm", other).await?;
    let calm = ended(&client, &server, &calm).await?;
    emptied(&scratch).await?;
    second.kill()?;
    second.wait()?;

    ensure!(made["state"] == "succeeded" && made["attempts"] == 2, "{made}");
    ensure!(made["result"]["resumed_bytes"].as_u64() >= Some(3 * ELEMENTS * 4), "{made}");
    ensure!(calm["result"]["resumed_bytes"] == 0, "{calm}");
    let weights = async |id: &str| {
        let files = get(&client, &server, &format!("/api/v1/models/tests/{id}/files")).await?;
        let all = files.as_array().or(files["items"].as_array()).cloned().unwrap_or_default();
        let weights = all.into_iter().find(|file| file["path"] == "model.safetensors");
        Ok::<_, anyhow::Error>(weights.context("no weights")?["digest"].clone())
    };
    ensure!(weights("made").await? == weights("calm").await?, "other bytes");
    Ok(())
}

#[tokio::test]
async fn a_service_that_is_asked_to_stop_ends_its_streams_and_without_a_failure() -> Result<()> {
    for database in databases() {
        let mut server = Server::start_with(&database, &["--no-worker"]).await?;
        imported(&server, 1)?;
        let job = queued(&server, "tests/made").await?;
        let followed = client()?.get(server.url(&format!("/api/v1/jobs/{job}/events"))).send().await?;

        let ended = server.stop().await?;

        ensure!(ended.success(), "{ended}");
        // A stream that was cut has no end.
        ensure!(followed.text().await?.contains("queued"));
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_is_asked_to_stop_leaves_no_job_behind_that_looks_as_if_it_ran() -> Result<()> {
    for database in databases() {
        let mut server = Server::start(&database).await?;
        imported(&server, 16)?;
        let job = queued(&server, "tests/made").await?;
        let deadline = Instant::now() + ENOUGH;
        while get(&client()?, &server, &format!("/api/v1/jobs/{job}")).await?["state"] == "queued" {
            ensure!(Instant::now() < deadline, "no worker takes it");
        }

        let ended = server.stop().await?;

        ensure!(ended.success(), "{ended}");
        server.restart().await?;
        let made = stemma_tests::ended(&client()?, &server, &job).await?;
        ensure!(made["state"] == "succeeded" && made["attempts"] == 1, "{made}");
    }
    Ok(())
}
