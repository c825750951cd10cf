//! Bad input: one clear error each, over the command line and over HTTP, and nothing left behind.

use std::path::Path;

use anyhow::{Result, ensure};
use reqwest::{Client, multipart};
use serde_json::{Value, json};
use stemma_tests::{Server, Zoo, client, databases};

/// A checkpoint folder with one file replaced.
fn spoiled(zoo: &Zoo, at: &Path, change: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    fs_err::create_dir_all(at)?;
    for entry in fs_err::read_dir(zoo.path("mandoc/scribe-v1")?)? {
        let path = entry?.path();
        if let Some(name) = path.file_name() {
            fs_err::copy(&path, at.join(name))?;
        }
    }
    change(at)
}

/// Every blob below the registry's folder, staged ones too.
fn blobs(data: &Path) -> Result<Vec<String>> {
    let (mut found, mut waiting) = (Vec::new(), vec![data.join("blobs")]);
    while let Some(folder) = waiting.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs_err::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            } else {
                found.push(entry.path().display().to_string());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn header(text: &str, data: usize) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

type Change = Box<dyn FnOnce(&Path) -> Result<()>>;

fn bad_checkpoints() -> Vec<(&'static str, &'static str, Change)> {
    let write = |name: &'static str, bytes: Vec<u8>| -> Change {
        Box::new(move |at| Ok(fs_err::write(at.join(name), bytes)?))
    };
    let overlap = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    let twice = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let climb = r#"{"weight_map":{"a":"../model.safetensors"}}"#;
    let cut: Change = Box::new(|at| {
        let whole = fs_err::read(at.join("model.safetensors"))?;
        Ok(fs_err::write(at.join("model.safetensors"), &whole[..whole.len() / 2])?)
    });
    vec![
        ("a truncated shard", "truncated", cut),
        ("overlapping tensors", "model.safetensors", write("model.safetensors", header(overlap, 12))),
        ("a name twice", "duplicate", write("model.safetensors", header(twice, 4))),
        (
            "a header longer than any",
            "header_too_large",
            write("model.safetensors", u64::MAX.to_le_bytes().to_vec()),
        ),
        ("an index that climbs", "index", write("model.safetensors.index.json", climb.into())),
        ("a config that is no JSON", "config.json", write("config.json", b"{".to_vec())),
    ]
}

#[tokio::test]
async fn a_bad_checkpoint_is_named_and_leaves_nothing_behind() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        for (what, hint, change) in bad_checkpoints() {
            let folder = server.data().join("spoiled").join(what.replace(' ', "-"));
            spoiled(&zoo, &folder, change)?;

            let out =
                server.stemma().args(["import", "dir"]).arg(&folder).args(["--id", "tests/bad"]).output()?;
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            ensure!(matches!(out.status.code(), Some(1 | 5)), "{what}: {:?} {said}", out.status);
            ensure!(said.starts_with("error[") && said.contains(hint), "{what}: {said}");

            let (status, problem) = post(&client, &server, &folder).await?;
            ensure!(matches!(status, 413 | 422), "{what}: {status} {problem}");
            ensure!(problem.to_string().contains(hint), "{what}: {problem}");
        }
        ensure!(blobs(server.data())?.is_empty(), "{:?}", blobs(server.data())?);
        let missing = client.get(server.url("/api/v1/models/tests/bad")).send().await?;
        ensure!(missing.status() == 404, "{}", missing.status());
    }
    Ok(())
}

async fn post(client: &Client, server: &Server, folder: &Path) -> Result<(u16, Value)> {
    let mut form = multipart::Form::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        form = form.part("file", multipart::Part::bytes(fs_err::read(&path)?).file_name(name));
    }
    let answer = client.post(server.url("/api/v1/models/tests/bad")).multipart(form).send().await?;
    let status = answer.status().as_u16();
    let kind = answer.headers().get("content-type").map(|v| v.to_str().unwrap_or_default().to_owned());
    ensure!(kind.as_deref() == Some("application/problem+json"), "{status} as {kind:?}");
    Ok((status, answer.json().await?))
}

#[tokio::test]
async fn a_bad_recipe_lists_every_fault_and_queues_nothing() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        let at = zoo.path("mandoc/scribe-v1")?;
        let out =
            server.stemma().args(["import", "dir"]).arg(at).args(["--id", "mandoc/scribe-v1"]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        for (config, hints) in [
            ("merge_method: liner\nmodels: [{model: mandoc/scribe-v1}]\n", vec!["linear"]),
            ("merge_method: linear\nmodles: [{model: mandoc/scribe-v1}]\n", vec!["models"]),
            (
                "merge_method: linear\nmodels:\n  - model: no/where\n    parameters: {weight: 1}\n  - model: nor/there\n    parameters: {weight: 1}\n",
                vec!["no/where", "nor/there"],
            ),
            (
                "merge_method: ties\nmodels: [{model: mandoc/scribe-v1, parameters: {weight: 1}}]\n",
                vec!["base_model"],
            ),
            ("merge_method: [", vec!["YAML"]),
        ] {
            for query in ["", "?dry_run=true"] {
                let answer = client
                    .post(server.url(&format!("/api/v1/merges{query}")))
                    .json(&json!({ "config": config, "output": "tests/never" }))
                    .send()
                    .await?;
                let (status, text) = (answer.status(), answer.text().await?);
                ensure!(status == 422, "{config}: {status} {text}");
                ensure!(hints.iter().all(|hint| text.contains(hint)), "{config}: {text}");
            }
            let file = server.data().join("recipe.yml");
            fs_err::write(&file, config)?;
            let out = server.stemma().arg("merge").arg(&file).arg(server.data().join("never")).output()?;
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            ensure!(out.status.code() == Some(1), "{config}: {:?} {said}", out.status);
            ensure!(hints.iter().all(|hint| said.contains(hint)), "{config}: {said}");
            ensure!(!server.data().join("never").exists(), "{config}: an output folder was left");
        }
        let jobs: Value = client.get(server.url("/api/v1/jobs")).send().await?.json().await?;
        ensure!(jobs["items"].as_array().is_some_and(Vec::is_empty), "{jobs}");
    }
    Ok(())
}

#[tokio::test]
async fn a_dry_run_lists_faults_of_every_kind_at_once_and_then_what_the_merge_will_need() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        for id in ["mandoc/scribe-v1", "mandoc/scribe-v1-de"] {
            let at = zoo.path(id)?;
            let out = server.stemma().args(["import", "dir"]).arg(at).args(["--id", id]).output()?;
            ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
        let asked = async |config: &str| -> Result<(u16, Value)> {
            let body = json!({ "config": config, "output": "tests/never" });
            let answer = client.post(server.url("/api/v1/merges?dry_run=true")).json(&body).send().await?;
            Ok((answer.status().as_u16(), answer.json().await?))
        };

        let (written, unread) = asked(
            "merge_method: tiess\nmodles: []\nmodels: [{model: mandoc/scribe-v1, parameters: {densty: 0.5}}]\n\
             dtype: int8\nchat_template: 3\nseed: -1\n",
        )
        .await?;
        let (found, unknown) = asked(
            "merge_method: ties\nbase_model: no/where\nmodels:\n  - model: nor/there\n  - model: mandoc/scribe-v1\n\
             parameters: {density: 0.5}\n",
        )
        .await?;
        let (told, forecast) = asked(
            "merge_method: ties\nbase_model: mandoc/scribe-v1\nmodels:\n  - model: mandoc/scribe-v1-de\n    \
             parameters: {weight: 1.5, density: 0.5}\n",
        )
        .await?;

        let pointers = |problem: &Value| -> Vec<String> {
            let items = problem["errors"].as_array().into_iter().flatten();
            items.filter_map(|item| Some(item["pointer"].as_str()?.to_owned())).collect()
        };
        ensure!(written == 422, "{unread}");
        for pointer in ["/merge_method", "/modles", "/dtype", "/chat_template", "/seed"] {
            ensure!(pointers(&unread).iter().any(|found| found == pointer), "{pointer}: {unread}");
        }
        ensure!(found == 422 && pointers(&unknown).len() >= 3, "{unknown}");
        let said = unknown.to_string();
        ensure!(
            ["no/where", "nor/there", "`weight` is missing"].iter().all(|told| said.contains(told)),
            "{said}"
        );
        ensure!(told == 200, "{forecast}");
        let number = |field: &str| forecast[field].as_u64().unwrap_or_default();
        ensure!(number("bytes") > 0 && number("disk_bytes") >= number("bytes"), "{forecast}");
        ensure!(number("memory_bytes") > 0 && number("tensors") > 0, "{forecast}");
        ensure!(forecast["warnings"].to_string().contains("1.5 is outside the usual"), "{forecast}");
        let jobs: Value = client.get(server.url("/api/v1/jobs")).send().await?.json().await?;
        ensure!(jobs["items"].as_array().is_some_and(Vec::is_empty), "{jobs}");
    }
    Ok(())
}

#[tokio::test]
async fn a_missing_base_and_a_stranger_are_told_apart() -> Result<()> {
    let server = Server::start(&stemma_tests::Database::Sqlite).await?;
    let client = client()?;
    let answer = client.get(server.url("/api/v1/kinship?of=a/b&of=c/d&base=e/f")).send().await?;
    ensure!(answer.status() == 404, "{}", answer.status());
    let problem: Value = answer.json().await?;
    ensure!(problem["code"] == "unknown_model", "{problem}");
    for (args, code) in [
        (vec!["tree", "no/where"], 3),
        (vec!["kinship", "a/b", "c/d"], 3),
        (vec!["kinship", "a/b"], 2),
        (vec!["import", "dump", "no-such-file.jsonl"], 3),
    ] {
        let out = server.stemma().args(&args).output()?;
        ensure!(
            out.status.code() == Some(code),
            "{args:?}: {:?} {}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok(())
}
