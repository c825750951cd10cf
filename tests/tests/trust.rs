//! Lineage that weights bear out or contradict, and people's corrections, on every database.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, multipart};
use serde_json::{Value, json};
use stemma_tests::{Server, Zoo, client, databases, get};

const BASE: &str = "mandoc/scribe-v1";
const STRANGER: &str = "papyrus/reed-v1";
const TRUE: &str = "mandoc/scribe-v1-de";
const SILENT: &str = "mandoc/scribe-v1-fr";
const FALSE: &str = "community/mystery-de";

/// Uploads a model of the zoo, with its card or without.
async fn upload(client: &Client, server: &Server, zoo: &Zoo, (id, card): (&str, Card)) -> Result<()> {
    let mut form = multipart::Form::new();
    for entry in fs_err::read_dir(zoo.path(id)?)? {
        let path = entry?.path();
        let name = path.file_name().context("a file without a name")?.to_string_lossy().into_owned();
        if name != "README.md" || card == Card::Kept {
            form = form.part("file", multipart::Part::bytes(fs_err::read(&path)?).file_name(name));
        }
    }
    let answer = client.post(server.url(&format!("/api/v1/models/{id}"))).multipart(form).send().await?;
    ensure!(answer.status() == 201, "{id}: {}", answer.text().await?);
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Card {
    Kept,
    LeftOut,
}

async fn page(client: &Client, server: &Server, path: &str) -> Result<String> {
    Ok(client.get(server.url(path)).send().await?.text().await?)
}

async fn edges(client: &Client, server: &Server, id: &str) -> Result<Vec<Value>> {
    let list = get(client, server, &format!("/api/v1/models/{id}/edges")).await?;
    Ok(list["items"].as_array().context("no list")?.clone())
}

async fn registry(client: &Client, server: &Server, zoo: &Zoo) -> Result<()> {
    for id in [BASE, STRANGER, TRUE, FALSE] {
        upload(client, server, zoo, (id, Card::Kept)).await?;
    }
    upload(client, server, zoo, (SILENT, Card::LeftOut)).await
}

#[tokio::test]
async fn weights_verify_contradict_and_propose_parents() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);

        registry(&client, &server, &zoo).await?;

        let told = edges(&client, &server, TRUE).await?;
        ensure!(told.len() == 1 && told[0]["verdict"]["verdict"] == "verified", "{told:?}");
        let told = edges(&client, &server, SILENT).await?;
        ensure!(told.len() == 1 && told[0]["parent"] == BASE && told[0]["status"] == "proposed", "{told:?}");
        let told = edges(&client, &server, FALSE).await?;
        let claimed = told.iter().find(|edge| edge["parent"] == BASE).context("no claim")?;
        let real = told.iter().find(|edge| edge["parent"] == STRANGER).context("no proposal")?;
        ensure!(
            claimed["status"] == "accepted" && claimed["verdict"]["verdict"] == "contradicted",
            "{claimed}"
        );
        ensure!(real["status"] == "proposed" && real["evidence"][0]["source"] == "weights", "{real}");
        ensure!(edges(&client, &server, STRANGER).await?.is_empty());
        let listed = get(&client, &server, "/api/v1/contradictions").await?;
        ensure!(listed["items"].as_array().is_some_and(|items| items.len() == 1), "{listed}");
        ensure!(
            listed["items"][0]["model"] == FALSE && listed["items"][0]["instead"] == STRANGER,
            "{listed}"
        );
        let tree = get(&client, &server, &format!("/api/v1/models/{FALSE}/lineage")).await?;
        let focus = usize::try_from(tree["focus"].as_u64().context("no focus")?)?;
        let node = &tree["nodes"][focus];
        let above = node["parent"].as_u64().and_then(|at| usize::try_from(at).ok()).context("no parent")?;
        let marked = match tree["nodes"][above]["name"].as_str() {
            Some(BASE) => &node["contradicted"],
            _ => &node["other_parents"][0]["contradicted"],
        };
        ensure!(*marked == true, "{tree}");
        let out = server.stemma().args(["tree", FALSE, "--json"]).output()?;
        let told: Value = serde_json::from_slice(&out.stdout)?;
        ensure!(told["nodes"][told["focus"].as_u64().unwrap_or_default() as usize] == *node, "{told}");
        no_descent_is_concluded_from_it(&client, &server).await?;
        let out = server.stemma().args(["contradictions", "--json"]).output()?;
        let told: Value = serde_json::from_slice(&out.stdout)?;
        ensure!(told["items"] == listed["items"], "{told}");
        let out = server.stemma().args(["lineage", "--refresh", "--json", TRUE]).output()?;
        let told: Value = serde_json::from_slice(&out.stdout)?;
        ensure!(told[0]["verified"] == 1 && told[0]["parents"][0] == BASE, "{told}");
        ensure!(page(&client, &server, "/contradictions").await?.contains("mystery-de"));
        ensure!(page(&client, &server, &format!("/{TRUE}")).await?.contains("✓ Verified by the weights"));
    }
    Ok(())
}

/// Paths, comparisons and kinship with the model whose weights contradict its card.
async fn no_descent_is_concluded_from_it(client: &Client, server: &Server) -> Result<()> {
    let path = get(client, server, &format!("/api/v1/path?from={TRUE}&to={FALSE}")).await?;
    ensure!(path["steps"][1]["edge"]["contradicted"] == false, "{path}");
    ensure!(path["steps"][2]["edge"]["contradicted"] == true, "{path}");
    let shown = page(client, server, &format!("/lineage?from={TRUE}&to={FALSE}")).await?;
    ensure!(shown.contains("No path between them holds") && !shown.contains("Both descend"), "{shown}");
    let compared = page(client, server, &format!("/compare/{TRUE}...{FALSE}")).await?;
    ensure!(!compared.contains("Nearest common ancestor"), "{compared}");
    let kinship = page(client, server, &format!("/kinship?of={TRUE}&of={FALSE}")).await?;
    ensure!(!kinship.contains("from which all of them descend"), "{kinship}");
    Ok(())
}

#[tokio::test]
async fn people_correct_edges_and_the_tree_follows() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        registry(&client, &server, &zoo).await?;
        let root = async || -> Result<Value> {
            let tree = get(&client, &server, &format!("/api/v1/models/{FALSE}/lineage")).await?;
            Ok(tree["nodes"][0]["name"].clone())
        };
        ensure!(root().await? == STRANGER, "the weights outweigh the card");
        let out = server.stemma().args(["edge", "confirm", FALSE, BASE, "--by", "anybody"]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        ensure!(root().await? == BASE, "a person outweighs both");

        let form = format!("model={FALSE}&parent={BASE}&decision=reject&reason=never+was");
        let answer = client.post(server.url("/edges")).body(form).send().await?;
        ensure!(answer.status() == 303, "{}", answer.text().await?);
        let path = format!("/api/v1/models/{FALSE}/edges/confirm");
        let body = json!({ "parent": STRANGER, "reason": "trained here" });
        let answer = client.post(server.url(&path)).json(&body).send().await?;
        ensure!(answer.status() == 200, "{}", answer.text().await?);

        ensure!(root().await? == STRANGER);
        let told = edges(&client, &server, FALSE).await?;
        let rejected = told.iter().find(|edge| edge["parent"] == BASE).context("no claim")?;
        ensure!(rejected["status"] == "rejected_person" && rejected["decisions"][0]["person"] == "anybody");
        ensure!(rejected["evidence"].as_array().is_some_and(|all| !all.is_empty()), "{rejected}");
        let listed = get(&client, &server, "/api/v1/contradictions").await?;
        ensure!(listed["items"].as_array().is_some_and(Vec::is_empty), "{listed}");
        let shown = page(&client, &server, &format!("/{FALSE}")).await?;
        ensure!(shown.contains("a person rejected it") && shown.contains("never was"), "{shown}");
        let words = ["edge", "add", SILENT, "org/teacher", "--relation", "merge", "--by", "ann", "--json"];
        let out = server.stemma().args(words).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let told = edges(&client, &server, SILENT).await?;
        let added = told.iter().find(|edge| edge["parent"] == "org/teacher").context("not added")?;
        ensure!(added["relation"] == "merge" && added["decisions"][0]["decision"] == "add", "{added}");
        let missing = json!({ "parent": "org/nobody" });
        let answer = client.post(server.url(&path)).json(&missing).send().await?;
        ensure!(answer.status() == 404, "{}", answer.text().await?);
    }
    Ok(())
}

#[tokio::test]
async fn an_advisory_reaches_every_descendant_until_it_is_withdrawn() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        registry(&client, &server, &zoo).await?;
        let grandchild = "community/scribe-de-code";
        upload(&client, &server, &zoo, (grandchild, Card::Kept)).await?;
        let of = async |id: &str| -> Result<Vec<Value>> {
            let list = get(&client, &server, &format!("/api/v1/models/{id}/advisories")).await?;
            Ok(list["items"].as_array().context("no list")?.clone())
        };

        let body = json!({
            "model": BASE, "kind": "recall", "severity": "high", "summary": "Leaks <secrets>",
            "details": "Stop using it.", "link": "https://example.org/why",
        });
        let answer = client.post(server.url("/api/v1/advisories")).json(&body).send().await?;
        ensure!(answer.status() == 201, "{}", answer.text().await?);
        let filed: Value = serde_json::from_str(&answer.text().await?)?;
        let id = filed["id"].as_str().context("no id")?.to_owned();

        let told = of(grandchild).await?;
        ensure!(told.len() == 1 && told[0]["through"] == BASE, "{told:?}");
        ensure!(told[0]["path"] == json!([BASE, TRUE, grandchild]), "{told:?}");
        let told = of(SILENT).await?;
        ensure!(told.len() == 1 && told[0]["by_weights"] == true, "known by its weights alone: {told:?}");
        ensure!(of(STRANGER).await?.is_empty());
        let first = get(&client, &server, &format!("/api/v1/advisories/{id}?limit=2")).await?;
        let next = first["next"].as_str().context("no more")?;
        let rest = get(&client, &server, &format!("/api/v1/advisories/{id}?cursor={next}")).await?;
        let count = |page: &Value| page["affected_models"].as_array().map_or(0, Vec::len);
        ensure!(first["affected_models"][0]["model"] == BASE && count(&first) == 2, "{first}");
        ensure!(first["affected_total"] == 5 && count(&rest) == 3, "{first} {rest}");
        let shown = page(&client, &server, &format!("/{grandchild}")).await?;
        ensure!(shown.contains("through ancestor") && shown.contains(BASE), "{shown}");
        let atom = page(&client, &server, "/api/v1/advisories.atom").await?;
        ensure!(atom.contains("Leaks &lt;secrets&gt;") && atom.contains(&id), "{atom}");
        let feed = get(&client, &server, &format!("/api/v1/models/{grandchild}/advisories.json")).await?;
        ensure!(feed["items"].as_array().is_some_and(|items| items.len() == 1), "{feed}");

        let out =
            server.stemma().args(["advisory", "withdraw", &id, "--reason", "fixed", "--json"]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

        ensure!(of(grandchild).await?.is_empty());
        let listed = get(&client, &server, "/api/v1/advisories").await?;
        ensure!(listed["items"][0]["database_specific"]["withdrawn_reason"] == "fixed", "{listed}");
        let bad = json!({ "model": BASE, "kind": "recall", "severity": "high", "summary": "x", "link": "javascript:1" });
        let answer = client.post(server.url("/api/v1/advisories")).json(&bad).send().await?;
        ensure!(answer.status() == 422, "{}", answer.text().await?);
    }
    Ok(())
}
