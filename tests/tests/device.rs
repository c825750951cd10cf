//! Which device computes, and why: told by the doctor, the service, its jobs and its pages.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stemma_tests::{Database, Server, Zoo, answer, client, ended, get, stemma};
use tempfile::TempDir;

const RECIPE: &str = "{merge_method: linear, models: [{model: mandoc/scribe-v1-de, parameters: {weight: 0.5}}, \
                      {model: mandoc/scribe-v1-fr, parameters: {weight: 0.5}}]}";

/// What the doctor says with this device configured.
fn doctor(device: &str) -> Result<(Option<i32>, Value)> {
    let place = TempDir::with_prefix("stemma-test-")?;
    let made = stemma(place.path()).args(["user", "add", "ada"]).output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let out = stemma(place.path()).env("STEMMA_DEVICE", device).args(["doctor", "--json"]).output()?;
    let text = if out.status.success() { &out.stdout } else { &out.stderr };
    let told = serde_json::from_slice(text).with_context(|| String::from_utf8_lossy(text).into_owned())?;
    Ok((out.status.code(), told))
}

#[test]
fn the_doctor_tells_the_device_and_why() -> Result<()> {
    let (_, processor) = doctor("cpu")?;
    let (_, auto) = doctor("auto")?;
    let (exit, card) = doctor("gpu")?;
    let (wrong, refused) = doctor("tpu")?;

    ensure!(processor["device"]["used"] == "cpu", "{processor}");
    ensure!(processor["device"]["why"] == "the configuration asks for the processor", "{processor}");
    if auto["device"]["used"] == "gpu" {
        ensure!(exit == Some(0) && card["device"] == auto["device"], "{card}");
    } else {
        let why = auto["device"]["why"].as_str().context("no reason")?;
        ensure!(
            exit == Some(6) && card["code"] == "device" && card.to_string().contains(why),
            "{card} {why}"
        );
    }
    ensure!(wrong == Some(1) && refused["code"] == "config", "{wrong:?} {refused}");
    ensure!(refused.to_string().contains("use auto, cpu or gpu"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_job_its_page_and_exact_kinship_tell_the_device() -> Result<()> {
    let server = Server::start_set(&Database::Sqlite, &[("STEMMA_DEVICE", "cpu")]).await?;
    let client = client()?;
    let zoo = Zoo::unpack()?;
    for id in zoo.ids()? {
        let out = server.stemma().args(["import", "dir"]).arg(zoo.path(&id)?).args(["--id", &id]).output()?;
        ensure!(out.status.success(), "{id}: {}", String::from_utf8_lossy(&out.stderr));
    }

    let ready = get(&client, &server, "/readyz").await?;
    let wanted = json!({ "config": RECIPE, "output": "tests/soup" });
    let (status, queued) = answer(client.post(server.url("/api/v1/merges")).json(&wanted)).await?;
    let id = queued["id"].as_str().with_context(|| format!("{status} {queued}"))?;
    let made = ended(&client, &server, id).await?;
    let page = client.get(server.url(&format!("/jobs/{id}"))).send().await?.text().await?;
    let pair = "of=mandoc/scribe-v1-de&of=mandoc/scribe-v1-fr&base=mandoc/scribe-v1&exact=true";
    let kin = get(&client, &server, &format!("/api/v1/kinship?{pair}")).await?;

    let told = json!({ "used": "cpu", "why": "the configuration asks for the processor" });
    ensure!(ready["device"] == told, "{ready}");
    ensure!(made["result"]["device"] == told && made["device"] == "cpu", "{made}");
    ensure!(page.contains("cpu (the configuration asks for the processor)"), "{page}");
    ensure!(kin["exact"] == true && kin["device"] == told, "{}", kin["device"]);
    Ok(())
}
