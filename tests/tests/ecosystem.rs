//! What descent says of a registry: exports, licences, versions and reports, over HTTP and on the command line.

use anyhow::{Context as _, Result, ensure};
use reqwest::Client;
use serde_json::{Value, json};
use stemma_tests::{Server, client, databases};

/// A family with a licence that was dropped on the way, a ghost and a merge.
fn dump() -> String {
    let row = |id: &str, licence: Option<&str>, parents: &[&str], merged: &[&str]| {
        let card = json!({ "license": licence, "base_model": parents });
        json!({
            "id": id, "cardData": card, "tags": merged, "pipeline_tag": "text-generation",
            "library_name": "transformers", "downloads": 5, "createdAt": "2024-03-01T00:00:00.000Z",
        })
        .to_string()
    };
    [
        row("org/root-7b-v1", Some("llama3"), &[], &[]),
        row("org/other", Some("gemma"), &[], &[]),
        row("me/middle", Some("mit"), &["org/root-7b-v1"], &[]),
        row("me/leaf", Some("apache-2.0"), &["me/middle"], &[]),
        row("me/twin", Some("apache-2.0"), &["me/middle"], &[]),
        row("me/soup", None, &["org/root-7b-v1", "org/other", "gone/ghost"], &["merge"]),
    ]
    .join("\n")
}

struct Site {
    server: Server,
    client: Client,
}

impl Site {
    async fn on(database: &stemma_tests::Database) -> Result<Self> {
        let server = Server::start(database).await?;
        let file = server.data().join("models.jsonl");
        fs_err::write(&file, dump())?;
        let out = server.stemma().args(["import", "dump"]).arg(&file).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Ok(Self { server, client: client()? })
    }

    /// Status, media type, file name and body.
    async fn get(&self, path: &str) -> Result<(u16, String, String, String)> {
        let answer = self.client.get(self.server.url(path)).send().await?;
        let head = |name: &str| {
            answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (kind, name) = (head("content-type"), head("content-disposition"));
        Ok((answer.status().as_u16(), kind, name, answer.text().await?))
    }

    async fn json(&self, path: &str) -> Result<Value> {
        let (status, _, _, body) = self.get(path).await?;
        ensure!(status == 200, "{path}: {status} {body}");
        Ok(serde_json::from_str(&body)?)
    }

    fn run(&self, words: &str) -> Result<String> {
        let out = self.server.stemma().args(words.split_whitespace()).output()?;
        ensure!(out.status.success(), "{words}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8(out.stdout)?)
    }
}

#[tokio::test]
async fn a_tree_is_downloaded_in_every_format_under_a_name_of_its_own() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;

        for (format, media, ending, holds) in [
            ("dot", "text/vnd.graphviz", "dot", "\"org/root-7b-v1\" -> \"me/soup\" [label=\"merge\""),
            (
                "graphml",
                "application/graphml+xml",
                "graphml",
                "<edge source=\"gone/ghost\" target=\"me/soup\">",
            ),
            ("csv", "text/csv", "csv", "me/soup,org/root-7b-v1,merge,"),
            ("jsonl", "application/jsonl", "jsonl", "\"parent\":\"org/root-7b-v1\""),
            ("newick", "text/x-nh", "nwk", "'me/soup'"),
            ("prov", "application/ld+json", "prov.jsonld", "\"prov:wasDerivedFrom\""),
            ("cyclonedx", "application/vnd.cyclonedx+json", "cdx.json", "\"specVersion\": \"1.6\""),
            ("spdx", "application/spdx+json", "spdx.json", "\"ancestorOf\""),
            ("graph", "application/json", "graph.json", "\"evidence\""),
        ] {
            let (status, kind, name, body) =
                site.get(&format!("/api/v1/models/me/soup/lineage?format={format}")).await?;
            ensure!(status == 200 && kind.starts_with(media), "{format}: {status} {kind}");
            ensure!(name == format!("attachment; filename=\"me-soup.{ending}\""), "{name}");
            ensure!(body.contains(holds), "{format}: {body}");
            ensure!(site.run(&format!("tree me/soup --down 1 --format {format}"))? == body, "{format}");
        }

        let (status, _, _, body) = site.get("/api/v1/models/me/soup/lineage?format=png").await?;
        ensure!(status == 400 && body.contains("cyclonedx"), "{status} {body}");
    }
    Ok(())
}

#[tokio::test]
async fn a_dropped_licence_is_reported_with_its_rule_and_the_way_down() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;

        let leaf = site.json("/api/v1/models/me/leaf/licence").await?;
        ensure!(leaf["spdx"] == "Apache-2.0" && leaf["conflicts"] == 1, "{leaf}");
        let root = &leaf["ancestors"][1];
        ensure!(root["rule"] == "own_terms" && root["dropped_by"] == "me/middle", "{root}");
        ensure!(root["path"] == json!(["org/root-7b-v1", "me/middle", "me/leaf"]), "{root}");
        let soup = site.json("/api/v1/models/me/soup/licence").await?;
        ensure!(soup["tensions"][0]["licences"] == json!(["gemma", "llama3"]), "{soup}");
        ensure!(site.run("licence me/leaf")?.contains("dropped by me/middle"));
        let report = site.json("/api/v1/reports/licences").await?;
        ensure!(report["conflicts"][0]["child"] == "me/middle" && report["tensions"] == 1, "{report}");
        let (_, _, _, page) = site.get("/me/leaf").await?;
        ensure!(page.contains("Licence along the way") && page.contains("/me/middle"), "{page}");
    }
    Ok(())
}

#[tokio::test]
async fn every_report_is_the_same_twice_and_comes_as_a_table() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;

        for subject in ["traits", "mutation", "drift", "families", "licences", "names"] {
            let report = site.json(&format!("/api/v1/reports/{subject}")).await?;
            let told: Value = serde_json::from_str(&site.run(&format!("report {subject} --json"))?)?;
            ensure!(told == report, "{subject}: {told} {report}");
            let (status, kind, name, table) =
                site.get(&format!("/api/v1/reports/{subject}?format=csv")).await?;
            ensure!(status == 200 && kind.starts_with("text/csv"), "{subject}: {status} {kind}");
            ensure!(name.ends_with(&format!("\"{subject}.csv\"")), "{name}");
            ensure!(table.lines().count() > 1, "{subject}: {table}");
        }

        let mutation = site.json("/api/v1/reports/mutation").await?;
        let rates = mutation["rates"].as_array().context("rates")?;
        let licence = rates.iter().find(|rate| rate["trait"] == "licence" && rate["relation"] == "finetune");
        ensure!(licence.context("a rate")?["both"] == 3, "{mutation}");
        let (status, _, _, body) = site.get("/api/v1/reports/weather").await?;
        ensure!(status == 404 && body.contains("mutation"), "{status} {body}");
    }
    Ok(())
}

#[tokio::test]
async fn versions_follow_the_line_and_say_what_is_only_claimed() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;

        let versions = site.json("/api/v1/models/me/leaf/versions").await?;

        let line = versions["line"].as_array().context("a line")?;
        let told: Vec<&str> = line.iter().filter_map(|release| release["version"].as_str()).collect();
        ensure!(told == ["1.0.0", "1.1.0", "1.2.0"], "{versions}");
        ensure!(line[0]["stated"] == "v1" && versions["version"] == "1.2.0", "{versions}");
        let weights = line[1]["changes"].as_array().context("changes")?;
        ensure!(weights.iter().any(|c| c["part"] == "weights" && c["measured"] == false), "{versions}");
        ensure!(site.run("versions me/leaf")?.contains("1.2.0  me/leaf"));
    }
    Ok(())
}
