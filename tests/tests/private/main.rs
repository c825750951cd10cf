//! Private and gated models: who sees what, on every address there is.

mod site;
mod sweep;
mod twins;

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, multipart};
use serde_json::{Value, json};
use stemma_tests::{Server, answer, databases, ended};

use site::{BASE, CHILD, CLOSED, Site};

#[tokio::test]
async fn a_tree_shows_a_private_model_as_a_nameless_ghost() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--private"]).await?;
        let path = "/api/v1/models/mandoc/scribe-v1/lineage?down=3";

        let (_, outside) = site.ask(path, None).await?;
        let (_, inside) = site.ask(path, Some(&site.reader)).await?;

        ensure!(outside.contains("private model ") && !outside.contains("scribe-v1-de"), "{outside}");
        ensure!(!inside.contains("private model ") && inside.contains("scribe-v1-de"), "{inside}");
    }
    Ok(())
}

#[tokio::test]
async fn no_calculation_reads_a_model_that_its_asker_may_not_read() -> Result<()> {
    let recipe = |model: &str| {
        let config = format!(
            "merge_method: linear\nmodels:\n  - model: mandoc/scribe-v1\n    parameters: {{weight: 0}}\n  \
             - model: {model}\n    parameters: {{weight: 1}}\n"
        );
        json!({ "config": config, "output": "bob/copy" })
    };
    let cases = [(&["--private"][..], (422, 404)), (&["--gate", "manual"][..], (403, 403))];
    for (settings, (no_merge, no_diff)) in cases {
        for database in databases() {
            let site = Site::with(&database, settings).await?;
            let diff = json!({ "tuned": CLOSED, "base": BASE });

            for token in [None, Some(site.other.as_str())] {
                let (merged, told) = site.send(("/api/v1/merges", recipe(CLOSED)), token).await?;
                ensure!(merged == no_merge, "{merged} {told}");
                let (diffed, told) = site.send(("/api/v1/diffs", diff.clone()), token).await?;
                ensure!(diffed == no_diff, "{diffed} {told}");
            }
            let (merged, told) = site.send(("/api/v1/merges", recipe(CLOSED)), Some(&site.reader)).await?;
            // A reader may look into it, but has no namespace `bob` to keep a private result in.
            ensure!(merged == if no_diff == 404 { 403 } else { 202 }, "{merged} {told}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_made_of_a_private_model_is_private_and_so_is_its_job() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--private"]).await?;
        let config = format!(
            "merge_method: linear\nmodels:\n  - model: mandoc/scribe-v1\n    parameters: {{weight: 0.5}}\n  \
             - model: {CLOSED}\n    parameters: {{weight: 0.5}}\n"
        );
        let wanted = json!({ "config": config, "output": "alice/soup" });

        let (status, job) = site.send(("/api/v1/merges", wanted), Some(&site.owner)).await?;

        ensure!(status == 202, "{status} {job}");
        let id = job["id"].as_str().context("no id")?.to_owned();
        let bearer = format!("Bearer {}", site.owner).parse()?;
        let headers = [(reqwest::header::AUTHORIZATION, bearer)].into_iter().collect();
        let own = Client::builder().no_proxy().default_headers(headers).build()?;
        let job = ended(&own, &site.server, &id).await?;
        ensure!(job["state"] == "succeeded", "{job}");
        for token in [None, Some(site.other.as_str()), Some(site.reader.as_str())] {
            let (status, _) = site.ask(&format!("/api/v1/jobs/{id}"), token).await?;
            let (listed, text) = site.ask("/api/v1/jobs", token).await?;
            ensure!(status == 404 && listed == 200 && !text.contains(&id), "{status} {text}");
            ensure!(site.ask("/api/v1/models/alice/soup", token).await?.0 == 404);
        }
        ensure!(site.ask("/api/v1/models/alice/soup", Some(&site.owner)).await?.0 == 200);
    }
    Ok(())
}

#[tokio::test]
async fn a_gated_model_is_described_to_all_and_read_by_those_let_in() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--gate", "manual"]).await?;
        let file = format!("/{CLOSED}/resolve/main/config.json");
        let requests = format!("/api/models/{CLOSED}/user-access-request");
        let read = async || anyhow::Ok(site.ask(&file, Some(&site.other)).await?.0);
        let (_, files) = site.ask(&format!("/api/v1/models/{CLOSED}/files"), None).await?;
        let files: Value = serde_json::from_str(&files)?;
        let digest = files["items"][0]["digest"].as_str().context("no digest")?.to_owned();
        let blob = format!("/api/v1/blobs/{digest}");

        let refused = site.client.get(site.server.url(&file)).send().await?;
        let (described, info) = site.ask(&format!("/api/models/{CLOSED}"), None).await?;

        ensure!(refused.status() == 403 && refused.headers()["x-error-code"] == "GatedRepo", "{refused:?}");
        ensure!(described == 200 && info.contains("\"gated\":\"manual\""), "{info}");
        ensure!(site.ask(&blob, None).await?.0 == 404, "a digest is no way around the gate");
        ensure!(site.ask(&blob, Some(&site.reader)).await?.0 == 200);
        let (asked, told) =
            site.send((&format!("/{CLOSED}/ask-access"), json!({})), Some(&site.other)).await?;
        ensure!(asked == 200 && told["status"] == "pending", "{asked} {told}");
        ensure!(read().await? == 403);
        let (status, _) = site.ask(&format!("{requests}/pending"), Some(&site.reader)).await?;
        ensure!(status == 403, "a reader does not decide: {status}");
        let (_, pending) = site.ask(&format!("{requests}/pending"), Some(&site.owner)).await?;
        ensure!(pending.contains("\"user\":\"bob\""), "{pending}");
        let yes = json!({ "user": "bob", "status": "accepted" });
        let (status, told) = site.send((&format!("{requests}/handle"), yes), Some(&site.owner)).await?;
        ensure!(status == 200, "{status} {told}");
        ensure!(read().await? == 200 && site.ask(&blob, Some(&site.other)).await?.0 == 200);
        let no = json!({ "user": "bob", "status": "rejected" });
        site.send((&format!("{requests}/handle"), no), Some(&site.owner)).await?;
        ensure!(read().await? == 403);
        let diff = json!({ "tuned": CLOSED, "base": BASE });
        let (status, job) = site.send(("/api/v1/diffs", diff), Some(&site.owner)).await?;
        ensure!(status == 202, "{status} {job}");
        let id = job["id"].as_str().context("no id")?.to_owned();
        let job = ended(&site.client, &site.server, &id).await?;
        let blob = format!("/api/v1/blobs/{}", job["result"]["blob"].as_str().context("no blob")?);
        for (token, told) in
            [(None, 404), (Some(&site.other), 404), (Some(&site.owner), 200), (Some(&site.reader), 200)]
        {
            let (status, _) = site.ask(&blob, token.map(String::as_str)).await?;
            ensure!(
                status == told,
                "a difference and its base are the model behind the gate: {status} {token:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_object_that_one_may_not_have_must_be_sent_to_be_committed() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--gate", "manual"]).await?;
        let (_, files) = site.ask(&format!("/api/v1/models/{CLOSED}/files"), None).await?;
        let files: Value = serde_json::from_str(&files)?;
        let items = files["items"].as_array().context("no files")?;
        let weights = items.iter().find(|file| file["path"] == "model.safetensors").context("no weights")?;
        let oid = weights["digest"].as_str().context("no digest")?.replace("sha256:", "");
        site.send(("/api/repos/create", json!({ "name": "bob/thief" })), Some(&site.other)).await?;
        let batch = json!({ "operation": "upload", "objects": [{ "oid": oid, "size": weights["size"] }] });
        let file = json!({ "path": "w.safetensors", "algo": "sha256", "oid": oid, "size": weights["size"] });
        let lines = [
            json!({ "key": "header", "value": { "summary": "take" } }),
            json!({ "key": "lfsFile", "value": file }),
        ];
        let body = lines.map(|line| line.to_string()).join("\n");

        let (_, told) =
            site.send(("/bob/thief.git/info/lfs/objects/batch", batch), Some(&site.other)).await?;
        let commit = site.client.post(site.server.url("/api/models/bob/thief/commit/main"));
        let commit = commit.bearer_auth(&site.other).body(body).send().await?;

        ensure!(told["objects"][0]["actions"]["upload"].is_object(), "{told}");
        ensure!(commit.status() == 400, "{}", commit.text().await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_somebody_has_is_written_by_its_members_alone() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--public"]).await?;
        let upload = async |id: &str, token: Option<&str>| -> Result<u16> {
            let part = multipart::Part::bytes(b"# Card\n".to_vec()).file_name("README.md");
            let form = multipart::Form::new().part("file", part);
            let mut request =
                site.client.post(site.server.url(&format!("/api/v1/models/{id}"))).multipart(form);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            Ok(request.send().await?.status().as_u16())
        };

        ensure!(upload("nobody/model", None).await? == 201, "open where nobody is at home");
        for token in [None, Some(site.other.as_str()), Some(site.reader.as_str())] {
            ensure!(upload("mandoc/new", token).await? == 403);
            ensure!(upload(CLOSED, token).await? == 403);
            let gone = json!({ "name": CLOSED });
            let mut request = site.client.delete(site.server.url("/api/repos/delete")).json(&gone);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            ensure!(request.send().await?.status() == 403);
            let hidden = json!({ "name": "nobody/hidden", "private": true });
            let (status, told) = site.send(("/api/repos/create", hidden), token).await?;
            ensure!(status == 403, "nobody could see it: {status} {told}");
        }
        ensure!(upload("mandoc/new", Some(&site.owner)).await? == 201);
        ensure!(upload("alice/new", Some(&site.other)).await? == 403);
        ensure!(upload("bob/new", None).await? == 201, "bob has tokens, but was not added as a user");
    }
    Ok(())
}

#[tokio::test]
async fn a_claim_on_somebody_elses_private_model_attaches_once_that_is_public() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--private"]).await?;
        let card = format!("---\nbase_model: {CLOSED}\n---\n# Card\n");
        let part = multipart::Part::bytes(card.into_bytes()).file_name("README.md");
        let form = multipart::Form::new().part("file", part);
        let request = site.client.post(site.server.url("/api/v1/models/bob/named")).multipart(form);
        ensure!(request.bearer_auth(&site.other).send().await?.status() == 201);
        let children = async || -> Result<(String, String)> {
            let path = format!("/api/v1/models/{CLOSED}/children");
            let (_, inside) = site.ask(&path, Some(&site.owner)).await?;
            let (_, parents) = site.ask("/api/v1/models/bob/named", None).await?;
            Ok((inside, parents))
        };

        let (closed, claimed) = children().await?;
        let settings = site.client.put(site.server.url(&format!("/api/models/{CLOSED}/settings")));
        let opened = settings.bearer_auth(&site.owner).json(&json!({ "private": false })).send().await?;
        let (open, attached) = children().await?;

        ensure!(opened.status() == 200);
        ensure!(!closed.contains("bob/named"), "its owner hears of a claim that it cannot check: {closed}");
        let parent =
            |text: &str| -> Result<Value> { Ok(serde_json::from_str::<Value>(text)?["parents"][0].clone()) };
        ensure!(parent(&claimed)?["id"] == CLOSED && parent(&claimed)?["ghost"] == true, "{claimed}");
        ensure!(open.contains("bob/named"), "{open}");
        ensure!(parent(&attached)?["id"] == CLOSED && parent(&attached)?["ghost"] == false, "{attached}");
    }
    Ok(())
}

#[tokio::test]
async fn a_job_and_a_search_are_ended_by_whom_they_concern() -> Result<()> {
    for database in databases() {
        let site = Site::on(Server::start_with(&database, &["--no-worker"]).await?, &["--public"])?;
        let merge =
            format!("merge_method: linear\nmodels:\n  - model: {BASE}\n    parameters: {{weight: 1}}\n");
        let merge = json!({ "config": merge, "output": "mandoc/merged" });
        let asked = json!({ "strategy": "greedy", "method": "slerp", "models": [CLOSED, CHILD], "base": BASE,
            "k": 2, "output": "mandoc/found" });
        let (status, job) = site.send(("/api/v1/merges", merge), Some(&site.owner)).await?;
        ensure!(status == 202, "{status} {job}");
        let (status, search) = site.send(("/api/v1/searches", asked), Some(&site.owner)).await?;
        ensure!(status == 201, "{status} {search}");
        let [job, search] = [&job, &search].map(|made| made["id"].as_str().unwrap_or_default().to_owned());
        let (of_job, of_search) = (format!("/api/v1/jobs/{job}"), format!("/api/v1/searches/{search}"));
        let end = async |path: &str, token: Option<&str>| {
            let request = site.client.delete(site.server.url(path));
            answer(match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            })
            .await
        };
        let button = async |token: &str| -> Result<bool> {
            Ok(site.ask(&format!("/jobs/{job}"), Some(token)).await?.1.contains("Stop this job"))
        };

        for token in [None, Some(site.other.as_str()), Some(site.reader.as_str())] {
            for path in [&of_job, &of_search] {
                let (status, told) = end(path, token).await?;
                ensure!(
                    status == 403 && told["code"] == "not_yours",
                    "{path} for {token:?}: {status} {told}"
                );
            }
            for path in [format!("{of_search}/finish"), format!("/jobs/{job}/cancel")] {
                let (status, told) = site.send((&path, json!({})), token).await?;
                ensure!(status == 403, "{path} for {token:?}: {status} {told}");
            }
        }
        ensure!(!button(&site.other).await? && button(&site.owner).await?);
        ensure!(site.read(&of_job, None).await?["state"] == "queued");
        ensure!(site.read(&of_search, None).await?["state"] == "running");

        let (cancelled, told) = end(&of_job, Some(&site.owner)).await?;
        let (again, over) = end(&of_job, Some(&site.owner)).await?;
        let (ended, found) = end(&of_search, Some(&site.owner)).await?;

        ensure!(cancelled == 202 && told["state"] == "cancelled", "{cancelled} {told}");
        ensure!(again == 409 && over["code"] == "job_over", "{again} {over}");
        ensure!(ended == 200 && found["state"] == "cancelled", "{ended} {found}");
    }
    Ok(())
}
