//! Promises over HTTP: a request repeated is one job, a digest seen once always gives the same bytes, and what
//! one client does wrong harms nobody else.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, multipart};
use serde_json::{Value, json};
use stemma_tests::{Database, Server, Zoo, answer, client, databases, ended, get, run_json};

struct Site {
    server: Server,
    client: Client,
    zoo: Zoo,
}

impl Site {
    async fn on(database: &Database) -> Result<Self> {
        let site = Self { server: Server::start(database).await?, client: client()?, zoo: Zoo::unpack()? };
        for id in ["mandoc/scribe-v1", "mandoc/scribe-v1-de"] {
            let (status, answer) = site.upload(id, id, None).await?;
            ensure!(status == 201, "{answer}");
        }
        Ok(site)
    }

    /// Uploads the files of `from` as `id`, one of them replaced.
    async fn upload(&self, id: &str, from: &str, replaced: Option<(&str, &[u8])>) -> Result<(u16, Value)> {
        let mut form = multipart::Form::new();
        for entry in fs_err::read_dir(self.zoo.path(from)?)? {
            let path = entry?.path();
            let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
            let bytes = match replaced {
                Some((other, bytes)) if other == name => bytes.to_vec(),
                _ => fs_err::read(&path)?,
            };
            form = form.part("file", multipart::Part::bytes(bytes).file_name(name));
        }
        answer(self.client.post(self.server.url(&format!("/api/v1/models/{id}"))).multipart(form)).await
    }

    async fn get(&self, path: &str) -> Result<(u16, Value)> {
        answer(self.client.get(self.server.url(path))).await
    }

    async fn bytes(&self, path: &str) -> Result<(u16, Vec<u8>)> {
        let answer = self.client.get(self.server.url(path)).send().await?;
        Ok((answer.status().as_u16(), answer.bytes().await?.to_vec()))
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Result<(u16, Value)> {
        answer(self.client.post(self.server.url(path)).header("idempotency-key", key).json(body)).await
    }

    async fn ended(&self, job: &Value) -> Result<Value> {
        ended(&self.client, &self.server, job["id"].as_str().context("a job without an id")?).await
    }
}

fn soup(output: &str) -> Value {
    let config = "merge_method: linear\nmodels:\n  - model: mandoc/scribe-v1\n    parameters: {weight: 0.1}\n  \
                  - model: mandoc/scribe-v1-de\n    parameters: {weight: 0.7}\n";
    json!({ "config": config, "output": output })
}

#[tokio::test]
async fn a_request_repeated_under_its_key_is_answered_with_its_job_for_good() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;
        let transfer = json!({ "source_base": "mandoc/scribe-v1", "source_tuned": "mandoc/scribe-v1-de",
            "target_base": "mandoc/scribe-v1", "lambda": 0.1, "output": "tests/again" });

        let (status, first) = site.post("/api/v1/transfers", "key-1", &transfer).await?;
        ensure!(status == 202, "{first}");
        ensure!(site.ended(&first).await?["state"] == "succeeded");
        let (status, again) = site.post("/api/v1/transfers", "key-1", &transfer).await?;
        ensure!(status == 202 && again["id"] == first["id"], "{status} {again}");

        let (status, other) = site.post("/api/v1/merges", "key-1", &soup("tests/other")).await?;
        ensure!(status == 422 && other["code"] == "idempotency_key_reused", "{status} {other}");
        let (status, taken) = site.post("/api/v1/merges", "key-2", &soup("tests/again")).await?;
        ensure!(status == 409 && taken["code"] == "output_exists", "{status} {taken}");
    }
    Ok(())
}

#[tokio::test]
async fn a_chat_template_asked_for_is_in_the_model_that_a_job_makes() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;
        let template = "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}";
        let mut body = soup("tests/talk");
        let config = format!("{}chat_template: '{template}'\n", body["config"].as_str().unwrap_or_default());
        body["config"] = json!(config);

        let (_, job) = site.post("/api/v1/merges", "talk", &body).await?;
        let job = site.ended(&job).await?;

        ensure!(job["state"] == "succeeded", "{job}");
        let written = site.bytes("/tests/talk/resolve/main/chat_template.jinja").await?;
        ensure!(written == (200, template.as_bytes().to_vec()), "{written:?}");

        let mut body = soup("tests/named");
        body["config"] =
            json!(format!("{}chat_template: chatml\n", body["config"].as_str().unwrap_or_default()));
        let (_, job) = site.post("/api/v1/merges", "named", &body).await?;
        let job = site.ended(&job).await?;
        ensure!(job["state"] == "succeeded", "{job}");
        let (status, written) = site.bytes("/tests/named/resolve/main/chat_template.jinja").await?;
        ensure!(status == 200 && String::from_utf8_lossy(&written).contains("<|im_start|>assistant"));
    }
    Ok(())
}

#[tokio::test]
async fn what_a_request_leaves_out_is_not_in_the_model_that_a_job_makes() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;
        let mut body = soup("tests/lean");
        let lean = json!({"write_model_card": false, "copy_tokenizer": false, "out_shard_size": 100_000});
        body.as_object_mut()
            .into_iter()
            .for_each(|body| body.extend(lean.as_object().cloned().unwrap_or_default()));
        let (_, job) = site.post("/api/v1/merges", "lean", &body).await?;
        let job = site.ended(&job).await?;
        ensure!(job["state"] == "succeeded", "{job}");
        for (file, wanted) in
            [("README.md", 404), ("tokenizer.json", 404), ("model.safetensors.index.json", 200)]
        {
            let (status, _) = site.bytes(&format!("/tests/lean/resolve/main/{file}")).await?;
            ensure!(status == wanted, "{file}: {status}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_a_job_makes_has_a_record_of_how_it_was_made() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;
        let config = "merge_method: slerp\nbase_model: mandoc/scribe-v1\nparameters: {t: 0.4}\nmodels:\n  \
                      - model: mandoc/scribe-v1\n  - model: mandoc/scribe-v1-de\n";
        let mut records = Vec::new();
        for output in ["tests/first", "tests/second"] {
            let (_, job) =
                site.post("/api/v1/merges", output, &json!({ "config": config, "output": output })).await?;
            let job = site.ended(&job).await?;
            ensure!(job["state"] == "succeeded", "{job}");
            let (status, record) = site.get(&format!("/api/v1/models/{output}/provenance")).await?;
            ensure!(status == 200, "{record}");
            records.push(record);
        }

        let record = &records[0];
        ensure!(record["method"]["id"] == "slerp" && record["seed"] == 0, "{record}");
        let inputs = record["inputs"].as_array().context("no inputs")?;
        ensure!(inputs.len() == 2 && inputs.iter().all(|input| input["root"].is_string()), "{inputs:?}");
        let branches: Vec<&Value> =
            record["tensors"].as_array().into_iter().flatten().map(|tensor| &tensor["branch"]).collect();
        ensure!(branches.iter().any(|branch| *branch == "spherical"), "{branches:?}");
        ensure!(record["run"]["wall_seconds"].as_f64() > Some(0.0), "{record}");
        for field in
            ["recipe", "recipe_digest", "recipe_address", "inputs", "output", "tensors", "warnings", "engine"]
        {
            ensure!(records[0][field] == records[1][field] && !record[field].is_null(), "{field}");
        }
        let (_, page) = site.bytes("/tests/first").await?;
        ensure!(String::from_utf8_lossy(&page).contains("How it was made"));
        let told = site.server.stemma().args(["provenance", "tests/first"]).output()?;
        ensure!(serde_json::from_slice::<Value>(&told.stdout)? == *record);
        let (status, _) = site.get("/api/v1/models/mandoc/scribe-v1/provenance").await?;
        ensure!(status == 404, "{status}");
    }
    Ok(())
}

#[tokio::test]
async fn of_many_requests_for_one_output_one_is_queued() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;
        let body = soup("tests/one");

        let keys: Vec<String> = (0..8).map(|n| format!("key-{n}")).collect();
        let posts = keys.iter().map(|key| site.post("/api/v1/merges", key, &body));
        let answers = futures::future::try_join_all(posts).await?;

        let queued = answers.iter().filter(|(status, _)| *status == 202).count();
        let refused = answers.iter().filter(|(_, body)| body["code"] == "output_exists").count();
        ensure!((queued, refused) == (1, 7), "{answers:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_upload_takes_nothing_away_from_others() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;
        let wanted = json!({ "tuned": "mandoc/scribe-v1-de", "base": "mandoc/scribe-v1" });
        let (_, job) = site.post("/api/v1/diffs", "diff", &wanted).await?;
        let job = site.ended(&job).await?;
        let blob = format!("/api/v1/blobs/{}", job["result"]["blob"].as_str().context("no blob")?);
        let (status, diff) = site.bytes(&blob).await?;
        ensure!(status == 200, "{blob}: {status}");

        let mut form = multipart::Form::new();
        for (name, bytes) in [("model.safetensors", diff.as_slice()), ("config.json", b"{")] {
            form = form.part("file", multipart::Part::bytes(bytes.to_vec()).file_name(name));
        }
        let upload = site.client.post(site.server.url("/api/v1/models/tests/broken")).multipart(form);
        let (status, problem) = answer(upload).await?;
        ensure!(status == 422, "{problem}");

        ensure!(site.bytes(&blob).await? == (200, diff), "the diff is gone");
        let (status, _) = site.bytes("/mandoc/scribe-v1/resolve/main/tokenizer.json").await?;
        ensure!(status == 200);
    }
    Ok(())
}

#[tokio::test]
async fn a_revision_stays_what_it_was_after_another_took_its_place() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;
        let path = "/api/v1/models/mandoc/scribe-v1-de";
        let (_, before) = site.get(path).await?;
        let old = before["digest"].as_str().context("no digest")?.to_owned();
        let file = format!("/mandoc/scribe-v1-de/resolve/{old}/model.safetensors");
        let bytes = site.bytes(&file).await?;
        ensure!(bytes.0 == 200, "{file}: {}", bytes.0);

        let card = b"---\nlicense: mit\nbase_model: papyrus/reed-v1\n---\n";
        let (status, _) =
            site.upload("mandoc/scribe-v1-de", "mandoc/scribe-v1", Some(("README.md", card))).await?;
        ensure!(status == 201);

        let (_, after) = site.get(path).await?;
        let parents: Vec<&Value> = after["parents"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|p| p["status"] == "accepted")
            .map(|p| &p["id"])
            .collect();
        ensure!(after["digest"] != before["digest"] && parents == ["papyrus/reed-v1"], "{after}");
        ensure!(site.bytes(&file).await? == bytes, "a digest seen once always gives the same bytes");
        let versions = format!("/api/v1/diffs?a=mandoc/scribe-v1-de@{old}&b=mandoc/scribe-v1-de");
        let (_, report) = site.get(&versions).await?;
        ensure!(report["totals"]["relative_l2"].as_f64() > Some(0.1), "{report}");
        let nowhere = format!("/api/v1/diffs?a=mandoc/scribe-v1@{}&b=mandoc/scribe-v1", "0".repeat(64));
        let (status, problem) = site.get(&nowhere).await?;
        ensure!(status == 404 && problem["code"] == "unknown_revision", "{status} {problem}");
    }
    Ok(())
}

#[tokio::test]
async fn two_revisions_are_compared_by_files_and_tensors() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;
        let path = "/api/v1/models/mandoc/scribe-v1-de";
        let (_, before) = site.get(path).await?;
        let old = before["digest"].as_str().context("no digest")?.to_owned();
        let card = b"---\nlicense: mit\n---\n";
        let (status, _) =
            site.upload("mandoc/scribe-v1-de", "mandoc/scribe-v1", Some(("README.md", card))).await?;
        ensure!(status == 201);

        let (status, told) = site.get(&format!("{path}/compare/{old}...main")).await?;
        let (_, same) = site.get(&format!("{path}/compare/main...main")).await?;
        let (missing, problem) = site.get(&format!("{path}/compare/main...nowhere")).await?;
        let (odd, _) = site.get(&format!("{path}/compare/main")).await?;

        ensure!(status == 200, "{told}");
        let changed = told["files"]["changed"].as_array().context("no files")?;
        ensure!(changed.contains(&json!("model.safetensors")), "{told}");
        ensure!(
            told["tensors"]["differing"].as_u64() > Some(0) && !told["step"]["level"].is_null(),
            "{told}"
        );
        ensure!(same["tensors"]["differing"] == 0 && same["tensors"]["same"].as_u64() > Some(0), "{same}");
        ensure!(same["files"]["differing"] == 0 && same["step"]["level"].is_null(), "{same}");
        ensure!(missing == 404 && problem["code"] == "unknown_revision" && odd == 400, "{odd} {problem}");
    }
    Ok(())
}

#[tokio::test]
async fn another_site_cannot_make_a_browser_change_the_registry() -> Result<()> {
    let site = Site::on(&Database::Sqlite).await?;
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://elsewhere.example")] {
        let form = multipart::Form::new()
            .part("file", multipart::Part::bytes(b"# mine".to_vec()).file_name("README.md"));
        let post = site.client.post(site.server.url("/api/v1/models/mandoc/scribe-v1"));

        let (status, problem) = answer(post.header(name, value).multipart(form)).await?;

        ensure!(status == 403, "{name}: {status} {problem}");
    }
    let (_, model) = site.get("/api/v1/models/mandoc/scribe-v1").await?;
    ensure!(model["has_weights"] == true, "{model}");
    Ok(())
}

#[tokio::test]
async fn every_limit_in_force_is_told_by_the_service_and_the_command_alike() -> Result<()> {
    let settings = [("STEMMA_LIMITS__PAGE", "7")];
    let server = Server::start_set(&Database::Sqlite, &settings).await?;
    let mut command = server.stemma();
    command.envs(settings);

    let told = get(&client()?, &server, "/api/v1/limits").await?;
    let shown = run_json(command, "config show")?;

    ensure!(told["page"] == 7 && shown["limits.page"]["source"] == "STEMMA_LIMITS__PAGE", "{told} {shown}");
    let limits = told.as_object().context("no limits")?;
    ensure!(limits.len() > 40, "{limits:?}");
    let fixed = limits["fixed"].as_object().context("nothing fixed")?;
    ensure!(fixed["path_parts"] == 64, "{fixed:?}");
    for (name, value) in fixed {
        let (shown, value) = (&shown[format!("fixed.{name}")]["value"], value.to_string());
        ensure!(*shown == value, "{name}: {value} {shown}");
    }
    for (name, value) in limits.iter().filter(|(name, _)| *name != "fixed") {
        let (shown, value) = (&shown[format!("limits.{name}")]["value"], value.to_string());
        ensure!(*shown == value, "{name}: {value} {shown}");
    }
    Ok(())
}
