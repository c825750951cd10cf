//! Search over HTTP: counts are those of a plain look at every model, and follow every change.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use reqwest::Client;
use serde_json::{Value, json};
use stemma_tests::{Server, client, databases, get};

/// Metadata of 260 models, the same every time.
fn rows() -> Vec<Value> {
    let licences = [Value::Null, json!("mit"), json!("apache-2.0"), json!("llama3")];
    let row = |at: usize| {
        let mut tags = vec![format!("topic-{}", at % 3)];
        if at >= 20 {
            let relation = ["finetune", "adapter", "quantized"][at % 3];
            tags.push(format!("base_model:{relation}:team-{}/model-{}", at / 4 % 9, at / 4));
        }
        let (task, kind) = (["text-generation", "fill-mask"][at % 2], ["llama", "qwen2", "bert"][at % 3]);
        let size = [10_000_000_u64, 100_000_000, 1_000_000_000, 7_000_000_000, 70_000_000_000][at % 5];
        json!({
            "id": format!("team-{}/model-{at}", at % 9),
            "downloads": at * 37 % 101,
            "createdAt": "2024-05-01T00:00:00.000Z",
            "license": &licences[at % 4],
            "pipeline_tag": task,
            "library_name": if at % 3 == 1 { "peft" } else { "transformers" },
            "config": { "model_type": kind },
            "safetensors": { "parameters": { "BF16": size, "F32": 5 }, "total": size + 5 },
            "tags": tags,
        })
    };
    (0..260).map(row).collect()
}

fn import(server: &Server, rows: &[Value]) -> Result<()> {
    let dump = server.data().join("models.jsonl");
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs_err::write(&dump, lines.join("\n"))?;
    let out = server.stemma().args(["import", "dump"]).arg(&dump).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    fs_err::remove_file(dump)?;
    Ok(())
}

/// Every model that a question finds, page by page.
async fn all(client: &Client, server: &Server, question: &str) -> Result<Vec<String>> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(client, server, &format!("/api/v1/models?limit=90&{question}{cursor}")).await?;
        let items = page["items"].as_array().context("no items")?;
        found.extend(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
        let Some(next) = page["next"].as_str() else {
            ensure!(page["total"] == found.len(), "{} of {}", found.len(), page["total"]);
            return Ok(found);
        };
        cursor = format!("&cursor={next}");
    }
}

async fn counts(client: &Client, server: &Server, question: &str) -> Result<BTreeMap<String, u64>> {
    let page = get(client, server, &format!("/api/v1/models?limit=1&facets=true&{question}")).await?;
    let mut counts = BTreeMap::new();
    for facet in page["facets"].as_array().context("no facets")? {
        let name = facet["facet"].as_str().context("a facet without a name")?;
        for value in facet["values"].as_array().context("no values")? {
            let word = value["value"].as_str().context("a value without a word")?;
            counts.insert(format!("{name}={word}"), value["count"].as_u64().context("no count")?);
        }
    }
    Ok(counts)
}

#[tokio::test]
async fn every_count_is_the_number_of_models_that_its_link_finds() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        import(&server, &rows())?;

        for question in ["", "search=model-1", "author=team-3&tag=topic-0", "license=mit", "relation=adapter"]
        {
            let counts = counts(&client, &server, question).await?;

            ensure!(question.contains('=') || counts.len() > 15, "{counts:?}");
            for (link, count) in counts {
                let facet = link.split('=').next().unwrap_or_default();
                let others = question.split('&').filter(|part| !part.starts_with(&format!("{facet}=")));
                let narrowed = others.chain([link.as_str()]).collect::<Vec<_>>().join("&");
                let found = all(&client, &server, &narrowed).await?;
                let distinct: BTreeSet<&String> = found.iter().collect();
                ensure!(distinct.len() as u64 == count, "{link} of `{question}`: {count}, {found:?}");
            }
        }
        let mit = rows().iter().filter(|row| row["license"] == "mit").count();
        ensure!(counts(&client, &server, "").await?["license=mit"] == mit as u64);
    }
    Ok(())
}

#[tokio::test]
async fn the_index_follows_what_is_imported_changed_and_corrected() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        import(&server, &rows())?;
        let before = counts(&client, &server, "").await?;

        let changed = json!({ "id": "team-0/model-0", "license": "gemma", "downloads": 5_000_000 });
        let new = json!({ "id": "new/child", "license": "gemma",
            "tags": ["base_model:merge:nobody/has-seen-it"] });
        import(&server, &[changed, new])?;
        let after = counts(&client, &server, "").await?;

        ensure!(after["license=gemma"] == 2 && after["relation=merge"] == 1, "{after:?}");
        ensure!(after["weights=no"] == before["weights=no"] + 2, "the ghost is found too: {after:?}");
        let first = get(&client, &server, "/api/v1/models?limit=1").await?;
        ensure!(first["items"][0]["id"] == "team-0/model-0", "{first}");
        let typed = get(&client, &server, "/api/v1/typeahead?q=has-seen").await?;
        ensure!(typed[0]["id"] == "nobody/has-seen-it", "{typed}");

        let rejected = json!({ "parent": "nobody/has-seen-it" });
        let answer =
            client.post(server.url("/api/v1/models/new/child/edges/reject")).json(&rejected).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        let left = counts(&client, &server, "").await?;
        ensure!(!left.contains_key("relation=merge"), "{left:?}");
    }
    Ok(())
}

#[tokio::test]
async fn names_that_begin_with_what_is_typed_come_first() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        import(&server, &rows())?;

        let typed = get(&client, &server, "/api/v1/typeahead?q=Model-25&limit=4").await?;
        let empty = get(&client, &server, "/api/v1/typeahead?q=%20").await?;

        let names: Vec<&str> =
            typed.as_array().context("no list")?.iter().filter_map(|m| m["id"].as_str()).collect();
        ensure!(names.len() == 4 && names[0] == "team-7/model-25", "{names:?}");
        ensure!(names.iter().all(|name| name.contains("/model-25")), "{names:?}");
        ensure!(empty == json!([]));
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_its_name() -> Result<()> {
    let (server, client) = (Server::start(&stemma_tests::Database::Sqlite).await?, client()?);
    for (question, told) in [
        ("size=huge", "under-100m"),
        ("weights=maybe", "one of yes, no"),
        ("sort=magic", "parameters"),
        ("relation=cousin", "finetune"),
        ("cursor=name.x", "cursor"),
        ("color=red", "color"),
    ] {
        let answer = client.get(server.url(&format!("/api/v1/models?{question}"))).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);

        ensure!(status.is_client_error() && text.contains(told), "{question}: {status} {text}");
    }
    Ok(())
}
