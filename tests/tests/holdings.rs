//! What models hold: found by the name of a tensor and by kinship to a pinned model, listed in a manifest, checked
//! against its digests.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stemma_tests::{Database, Server, Zoo, answer, client, databases, ended, get, steps::filled};

const TENSOR: &str = "model.layers.0.self_attn.q_proj.weight";

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str()).collect()
}

#[tokio::test]
async fn a_tensor_is_found_by_its_name_and_an_unknown_one_by_its_neighbours() -> Result<()> {
    for database in databases() {
        let (server, client) = (filled(&database).await?, client()?);

        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page =
                get(&client, &server, &format!("/api/v1/models?tensor={TENSOR}&limit=4{cursor}")).await?;
            found.extend(ids(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let unknown =
            get(&client, &server, "/api/v1/models?tensor=model.layers.0.self_attn.qproj.weight").await?;
        let page =
            client.get(server.url(&format!("/search?search=tensor:{TENSOR}"))).send().await?.text().await?;
        let none =
            client.get(server.url("/search?search=tensor:nobody.has.this")).send().await?.text().await?;
        let (status, refused) =
            answer(client.get(server.url(&format!("/api/v1/models?tensor={TENSOR}&license=mit")))).await?;

        let zoo = Zoo::unpack()?.ids()?;
        let mut sorted = found.clone();
        sorted.sort();
        sorted.dedup();
        ensure!(found.len() == sorted.len() && sorted.len() > 4, "{found:?}");
        ensure!(sorted.iter().all(|id| zoo.contains(id)), "{sorted:?}");
        ensure!(ids(&unknown).is_empty() && unknown["near"][0] == TENSOR, "{unknown}");
        ensure!(page.contains("mandoc/scribe-v1-de") && !page.contains("evil/card"), "{page}");
        ensure!(
            none.contains("No model here holds a tensor called") && none.contains("search=tensor%3A")
                || none.contains("search=tensor:"),
            "{none}"
        );
        ensure!(
            status == 400 && refused["detail"].as_str().is_some_and(|told| told.contains("license")),
            "{refused}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn results_are_sorted_by_kinship_to_a_pinned_model_and_narrowed_to_those_with_sketches() -> Result<()> {
    for database in databases() {
        let (server, client) = (filled(&database).await?, client()?);
        let relatives = get(&client, &server, "/api/v1/models/mandoc/scribe-v1-de/relatives?limit=3").await?;

        let query = "/api/v1/models?pin=mandoc/scribe-v1-de&sort=kinship&limit=3";
        let first = get(&client, &server, query).await?;
        let cursor = first["next"].as_str().context("only one page")?;
        let second = get(&client, &server, &format!("{query}&cursor={cursor}")).await?;
        let with = get(&client, &server, "/api/v1/models?kinship=yes&limit=100").await?;
        let without = get(&client, &server, "/api/v1/models?kinship=no&limit=100").await?;
        let page = client.get(server.url("/search?pin=mandoc/scribe-v1-de&sort=kinship")).send().await?;
        let page = page.text().await?;
        let (status, told) = answer(client.get(server.url("/api/v1/models?sort=kinship"))).await?;
        let (lost, missing) =
            answer(client.get(server.url("/api/v1/models?sort=kinship&pin=evil/card"))).await?;

        let nearest = &relatives["relatives"][0]["model"];
        ensure!(first["items"][0]["id"] == *nearest, "{first} but {relatives}");
        let cosines: Vec<f64> =
            first["kinship"].as_array().context("no numbers")?.iter().filter_map(Value::as_f64).collect();
        ensure!(cosines.len() == 3 && cosines.is_sorted_by(|a, b| a >= b), "{cosines:?}");
        ensure!(!ids(&first).iter().chain(&ids(&second)).any(|id| *id == "mandoc/scribe-v1-de"), "{second}");
        ensure!(ids(&second).iter().all(|id| !ids(&first).contains(id)), "{second}");
        ensure!(ids(&with).contains(&"mandoc/scribe-v1") && !ids(&with).contains(&"evil/card"), "{with}");
        ensure!(ids(&without).contains(&"evil/card"), "{without}");
        ensure!(page.contains("Pinned: ") && page.contains("cosine of the weights about 0."), "{page}");
        ensure!(status == 400 && told["detail"].as_str().is_some_and(|told| told.contains("pin")), "{told}");
        ensure!(
            lost == 422 && missing["detail"].as_str().is_some_and(|told| told.contains("no stored sketches")),
            "{missing}"
        );
    }
    Ok(())
}

/// The file of this name somewhere below a folder.
fn found(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<PathBuf> =
        fs_err::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let here = entries.iter().find(|path| path.is_file() && path.file_name().is_some_and(|own| own == name));
    here.cloned().or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| found(path, name)))
}

#[tokio::test]
async fn a_manifest_lists_every_file_and_damage_is_found_by_a_check() -> Result<()> {
    for database in databases() {
        let (server, client, zoo) = (Server::start(&database).await?, client()?, Zoo::unpack()?);
        let (id, folder) = ("mandoc/scribe-v1", zoo.path("mandoc/scribe-v1")?);
        let out = server.stemma().args(["import", "dir"]).arg(&folder).args(["--id", id]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

        let manifest = get(&client, &server, &format!("/api/v1/models/{id}/manifest")).await?;
        let commit = manifest["commit"].as_str().context("no commit")?;
        let same = get(&client, &server, &format!("/api/v1/models/{id}/manifest?revision={commit}")).await?;
        let page = client.get(server.url(&format!("/{id}"))).send().await?.text().await?;
        let (status, _) =
            answer(client.get(server.url(&format!("/api/v1/models/{id}/manifest?revision=no")))).await?;

        let files = manifest["files"].as_array().context("no files")?;
        let weights = files.iter().find(|file| file["path"] == "model.safetensors").context("no weights")?;
        ensure!(manifest == same && status == 404, "{same}");
        ensure!(weights["tensors"] == 39 && manifest["tensors"] == 39, "{weights}");
        ensure!(weights["verified_at"].is_i64() && page.contains("Download manifest"), "{weights}");
        let bytes = client.get(weights["url"].as_str().context("no url")?).send().await?.bytes().await?;
        ensure!(json!(bytes.len()) == weights["size"], "{weights}");

        let sound = server.stemma().args(["fsck", "--json"]).output()?;
        ensure!(sound.status.success(), "{}", String::from_utf8_lossy(&sound.stderr));
        let hex = weights["sha256"].as_str().context("no digest")?;
        let blob = found(server.data(), hex).context("no blob")?;
        let mut damaged = fs_err::read(&blob)?;
        damaged[100] ^= 1;
        fs_err::remove_file(&blob)?;
        fs_err::write(&blob, damaged)?;
        let url = weights["url"].as_str().context("no url")?;
        let (status, refused) = answer(client.get(url)).await?;
        ensure!(status == 502 && refused["code"] == "blob_damaged", "{refused}");
        let manifest = get(&client, &server, &format!("/api/v1/models/{id}/manifest")).await?;
        let files = manifest["files"].as_array().context("no files")?;
        let bad: Vec<_> = files.iter().filter(|file| file["damaged"] == true).collect();
        ensure!(bad.len() == 1 && bad[0]["path"] == "model.safetensors", "{bad:?}");
        ensure!(bad[0]["verified_at"].is_null(), "{bad:?}");
        let page = client.get(server.url(&format!("/{id}"))).send().await?.text().await?;
        ensure!(page.matches("✗ damaged").count() == 1, "{page}");
        let broken = server.stemma().args(["fsck", id]).output()?;
        let told = String::from_utf8_lossy(&broken.stdout).into_owned();
        ensure!(!broken.status.success() && told.contains(hex) && told.contains("1 damaged"), "{told}");
        ensure!(told.contains(&format!("{id}  model.safetensors")), "{told}");

        let again = server.stemma().args(["import", "dir"]).arg(&folder).args(["--id", id]).output()?;
        ensure!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
        ensure!(client.get(url).send().await?.bytes().await? == bytes, "other bytes");
        ensure!(server.stemma().args(["fsck", id]).output()?.status.success());
        let page = client.get(server.url(&format!("/{id}"))).send().await?.text().await?;
        ensure!(!page.contains("✗ damaged"), "{page}");
    }
    Ok(())
}

#[tokio::test]
async fn jobs_of_every_kind_that_ended_without_a_result_are_asked_for_again() -> Result<()> {
    let (server, client) = (Server::start_with(&Database::Sqlite, &["--no-worker"]).await?, client()?);
    let zoo = Zoo::unpack()?;
    for id in ["mandoc/scribe-v1", "mandoc/scribe-v1-de"] {
        let out = server.stemma().args(["import", "dir"]).arg(zoo.path(id)?).args(["--id", id]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    let (base, tuned) = ("mandoc/scribe-v1", "mandoc/scribe-v1-de");
    for (path, body) in [
        ("/api/v1/diffs", json!({ "tuned": tuned, "base": base })),
        (
            "/api/v1/adapters/extract",
            json!({ "tuned": tuned, "base": base, "rank": 2, "output": "me/adapter" }),
        ),
    ] {
        let (status, first) = answer(client.post(server.url(path)).json(&body)).await?;
        ensure!(status == 202, "{path}: {first}");
        let first = first["id"].as_str().context("no id")?;
        let (early, _) = answer(client.post(server.url(&format!("/api/v1/jobs/{first}/retry")))).await?;
        client.delete(server.url(&format!("/api/v1/jobs/{first}"))).send().await?;
        ended(&client, &server, first).await?;

        let (status, again) = answer(client.post(server.url(&format!("/api/v1/jobs/{first}/retry")))).await?;
        let (before, after) = (
            get(&client, &server, &format!("/api/v1/jobs/{first}")).await?,
            get(&client, &server, &format!("/api/v1/jobs/{}", again["id"].as_str().unwrap_or_default()))
                .await?,
        );

        ensure!(early == 422, "a job that waits was asked for again: {early}");
        ensure!(status == 202 && after["state"] == "queued", "{path}: {status} {again}");
        ensure!(after["kind"] == before["kind"] && after["id"] != before["id"], "{after}");
    }
    Ok(())
}

#[tokio::test]
async fn a_job_tells_what_happened_to_it_line_by_line() -> Result<()> {
    for database in databases() {
        let (server, client) = (filled(&database).await?, client()?);
        let body = json!({ "tuned": "mandoc/scribe-v1-de", "base": "mandoc/scribe-v1" });
        let (status, queued) = answer(client.post(server.url("/api/v1/diffs")).json(&body)).await?;
        ensure!(status == 202, "{queued}");

        let id = queued["id"].as_str().context("no id")?;
        let job = ended(&client, &server, id).await?;
        let page = client.get(server.url(&format!("/jobs/{id}"))).send().await?.text().await?;

        let lines: Vec<&str> = job["log"]
            .as_array()
            .context("no log")?
            .iter()
            .filter_map(|line| line["line"].as_str())
            .collect();
        ensure!(lines.first() == Some(&"attempt 1") && lines.last() == Some(&"done"), "{lines:?}");
        ensure!(lines.contains(&"writing tensors"), "{lines:?}");
        ensure!(lines.get(1).is_some_and(|line| line.starts_with("computes on ")), "{lines:?}");
        ensure!(page.contains("writing tensors") && page.contains("<h2>Log, UTC</h2>"), "{page}");
    }
    Ok(())
}

#[tokio::test]
async fn kinship_leaves_out_a_model_without_weights_and_says_why_over_rest_and_on_the_command_line()
-> Result<()> {
    for database in databases() {
        let (server, client) = (filled(&database).await?, client()?);
        let [de, fr, bare] = ["mandoc/scribe-v1-de", "mandoc/scribe-v1-fr", "evil/card"];
        let query = format!("of={de}&of={bare}&of={fr}&base=mandoc/scribe-v1");

        let told = get(&client, &server, &format!("/api/v1/kinship?{query}&per_layer=true")).await?;
        let two =
            get(&client, &server, &format!("/api/v1/kinship?of={de}&of={fr}&base=mandoc/scribe-v1")).await?;
        let table = client.get(server.url(&format!("/api/v1/kinship?{query}&format=csv"))).send().await?;
        let (table, words) = (table.text().await?, ["kinship", de, bare, fr, "--base", "mandoc/scribe-v1"]);
        let said = server.stemma().args(words).output()?;
        let document = server.stemma().args(words).arg("--json").output()?;
        let (status, refused) =
            answer(client.get(server.url(&format!("/api/v1/kinship?of={de}&of={bare}")))).await?;

        ensure!(told["models"] == json!([de, fr, bare]), "{told}");
        let cosine = &told["matrices"]["cosine"];
        ensure!(cosine[0][1] == two["matrices"]["cosine"][0][1] && cosine[0][1].is_f64(), "{told} {two}");
        ensure!(cosine[2] == json!([null, null, null]) && cosine[0][2].is_null(), "{told}");
        ensure!(told["layers"][0]["matrices"]["cosine"][2] == json!([null, null, null]), "{told}");
        let left_out = &told["left_out"];
        let reason = left_out[0]["reason"].as_str().unwrap_or_default();
        ensure!(left_out[0]["model"] == bare && reason.contains("known by its metadata only"), "{told}");
        ensure!(two["left_out"].is_null(), "{two}");
        ensure!(table.lines().last().is_some_and(|line| line.starts_with("evil/card,,,")), "{table}");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        ensure!(said.contains(&format!("not compared: {bare}: {reason}")), "{said}");
        let document: Value = serde_json::from_slice(&document.stdout)?;
        ensure!(document["left_out"] == *left_out && document["models"] == told["models"], "{document}");
        ensure!(
            status == 409 && refused["code"] == "no_weights",
            "with one alone there is no pair: {refused}"
        );
    }
    Ok(())
}
