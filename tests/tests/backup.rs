//! The drill: a registry in use is copied, lost, brought back, and answers as before.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stemma_tests::{Database, Place, Server, client, get, job, run_json, steps::filled};

const ENOUGH: Duration = Duration::from_secs(60);
const MODELS: [&str; 4] =
    ["mandoc/scribe-v1", "mandoc/scribe-v1-de", "mandoc/scribe-v1-fr", "community/scribe-es-lora"];

fn files_under(folder: &Path) -> usize {
    let entries = fs_err::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    entries.map(|path| if path.is_dir() { files_under(&path) } else { 1 }).sum()
}

async fn manifests(server: &Server) -> Result<Vec<Value>> {
    let client = client()?;
    let mut all = Vec::new();
    for id in MODELS {
        let mut manifest = get(&client, server, &format!("/api/v1/models/{id}/manifest")).await?;
        for file in manifest["files"].as_array_mut().context("no files")? {
            // A server has another address after each start.
            file["url"] = Value::Null;
            // A check says anew when it was.
            file["verified_at"] = Value::Null;
        }
        all.push(manifest);
    }
    Ok(all)
}

#[tokio::test]
async fn a_registry_that_was_copied_in_use_and_lost_is_brought_back() -> Result<()> {
    let mut server = filled(&Database::Sqlite).await?;
    let elsewhere = tempfile::TempDir::with_prefix("stemma-copy-")?;
    let folder = elsewhere.path().join("copy");

    // A copy that is killed once it has begun.
    let mut first = server.stemma();
    let mut first = first.arg("backup").arg(&folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let deadline = Instant::now() + ENOUGH;
    while files_under(&folder.join("blobs")) == 0 {
        ensure!(Instant::now() < deadline, "nothing is copied");
        std::thread::yield_now();
    }
    first.kill()?;
    first.wait()?;

    // One beside a job that publishes.
    let body = json!({ "tuned": MODELS[1], "base": MODELS[0] });
    let client = client()?;
    let (copied, done) = tokio::join!(
        async {
            let mut command = server.stemma();
            command.arg("backup").arg(&folder);
            tokio::task::spawn_blocking(move || run_json(command, "")).await
        },
        job(&client, &server, "/api/v1/diffs", body)
    );
    let (copied, _) = (copied??, done?);
    let mut command = server.stemma();
    command.arg("backup").arg(&folder);
    let again = run_json(command, "")?;
    ensure!(copied["lacking"] == json!([]) && again["blobs"].as_u64() <= Some(1), "{copied} {again}");
    ensure!(again["known"].as_u64() > Some(10) && folder.join("database.sqlite").is_file(), "{again}");
    let before = manifests(&server).await?;

    let mut refused = server.stemma();
    let refused = refused.arg("restore").arg(&folder).output()?;
    ensure!(refused.status.code() == Some(4), "{}", String::from_utf8_lossy(&refused.stderr));
    for name in ["stemma.sqlite", "stemma.sqlite-wal", "stemma.sqlite-shm"] {
        let path = server.data().join(name);
        if path.exists() {
            fs_err::remove_file(path)?;
        }
    }
    fs_err::remove_dir_all(server.data().join("blobs"))?;
    let mut command = server.stemma();
    command.arg("restore").arg(&folder);
    let restored = run_json(command, "")?;
    server.restart().await?;

    ensure!(restored["lacking"] == json!([]) && restored["blobs"] != 0, "{restored}");
    let sound = run_json(server.stemma(), "fsck")?;
    ensure!(sound["damaged"] == json!([]) && sound["files"].as_u64() > Some(10), "{sound}");
    ensure!(manifests(&server).await? == before, "other files");
    let config = "merge_method: linear\nmodels:\n  - model: mandoc/scribe-v1-de\n    parameters: {weight: 0.5}\n  \
                  - model: mandoc/scribe-v1-fr\n    parameters: {weight: 0.5}\n";
    job(&client, &server, "/api/v1/merges", json!({ "config": config, "output": "tests/soup" })).await?;
    Ok(())
}

#[test]
fn shells_are_told_the_commands() -> Result<()> {
    let place = Place::on(&Database::Sqlite)?;

    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&format!("completions {shell}"))?;

        ensure!(script.contains("fsck") && script.contains("max-shard-size"), "{shell}: {script}");
    }
    Ok(())
}

#[test]
fn leftovers_are_told_by_a_check_and_removed_on_request() -> Result<()> {
    for database in stemma_tests::databases() {
        let place = Place::on(&database)?;
        place.run("migrate")?;
        let blobs = place.data.path().join("blobs/blobs/sha256/ab");
        fs_err::create_dir_all(&blobs)?;
        let old = blobs.join(format!("ab{}", "0".repeat(62)));
        fs_err::write(&old, "left over")?;
        let then = std::time::SystemTime::now() - Duration::from_hours(72);
        fs_err::File::options().write(true).open(&old)?.into_parts().0.set_modified(then)?;
        fs_err::write(blobs.join(format!("ab{}", "1".repeat(62))), "young")?;

        let checked = place.json("fsck")?;
        let looked = place.json("gc --dry-run")?;
        ensure!(old.exists(), "it was only to be looked for");
        let removed = place.json("gc")?;

        ensure!(checked["left_over"] == json!({ "blobs": 1, "bytes": 9 }), "{checked}");
        ensure!(looked["blobs"] == 1 && looked["removed"] == false, "{looked}");
        ensure!(removed == json!({ "blobs": 1, "bytes": 9, "removed": true }), "{removed}");
        ensure!(!old.exists() && files_under(&blobs) == 1, "other files are gone");
    }
    Ok(())
}
