//! What pages say where something is missing or asked for that there is not.

use anyhow::{Result, ensure};
use reqwest::{Client, redirect::Policy};
use serde_json::Value;
use stemma_tests::{Database, Server, client, databases, get, steps::filled};

/// Status and text of a page.
async fn page(client: &Client, server: &Server, path: &str) -> Result<(u16, String)> {
    let answer = client.get(server.url(path)).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// A checkpoint of one small tensor, whose name the tiny models have in another shape.
fn otherwise_shaped() -> Vec<u8> {
    let header = r#"{"model.norm.weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &[0; 8]].concat()
}

#[tokio::test]
async fn models_of_other_shapes_are_compared_by_their_headers() -> Result<()> {
    let (server, client) = (filled(&Database::Sqlite).await?, client()?);
    let small = server.data().join("small");
    fs_err::create_dir(&small)?;
    fs_err::write(small.join("model.safetensors"), otherwise_shaped())?;
    let out = server.stemma().args(["import", "dir"]).arg(&small).args(["--id", "tests/small"]).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    let (status, told) = page(&client, &server, "/compare/tests/small...mandoc/scribe-v1").await?;

    let counted =
        "0 tensors are the same in both, 1 in another shape, 0 only in the first, 38 only in the second.";
    ensure!(status == 200 && told.contains(counted), "{told}");
    ensure!(told.contains("No weights are compared, since no tensor can be compared"), "{told}");
    ensure!(told.contains("model.norm.weight: [2] against"), "{told}");
    Ok(())
}

#[tokio::test]
async fn models_whose_weights_cannot_be_compared_are_compared_by_what_is_known() -> Result<()> {
    for database in databases() {
        let (server, client) = (filled(&database).await?, client()?);
        let bare = server.data().join("bare");
        fs_err::create_dir(&bare)?;
        fs_err::write(bare.join("config.json"), r#"{"model_type": "llama", "hidden_size": 7}"#)?;
        let out = server.stemma().args(["import", "dir"]).arg(&bare).args(["--id", "tests/bare"]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

        let (status, known) =
            page(&client, &server, "/compare/mandoc/scribe-v1...tests/bare?view=base").await?;
        let (_, name) = page(&client, &server, "/compare/evil/card...mandoc/scribe-v1").await?;
        let (missing, _) = page(&client, &server, "/compare/mandoc/scribe-v1...no/model").await?;

        ensure!(status == 200 && known.contains("No weights are compared, since"), "{known}");
        ensure!(known.contains("hidden_size") && known.contains("not known here"), "{known}");
        ensure!(name.contains("No weights are compared") && name.contains(">Metadata<"), "{name}");
        ensure!(missing == 404, "{missing}");
    }
    Ok(())
}

#[tokio::test]
async fn an_adapter_has_its_nearest_models_on_its_page_and_in_the_search() -> Result<()> {
    for database in databases() {
        let (server, client) = (filled(&database).await?, client()?);
        let relatives =
            get(&client, &server, "/api/v1/models/community/scribe-es-lora/relatives?limit=1").await?;
        let nearest = relatives["relatives"][0]["model"].as_str().unwrap_or("none").to_owned();

        let (kin, part) = page(&client, &server, "/community/scribe-es-lora/kin").await?;
        let (found, search) =
            page(&client, &server, "/search?pin=community/scribe-es-lora&sort=kinship").await?;
        let (without, told) = page(&client, &server, "/evil/card/kin").await?;

        ensure!(
            kin == 200 && part.contains(&nearest) && part.contains("cosine of the weights about"),
            "{part}"
        );
        ensure!(found == 200 && search.contains("cosine of the weights about"), "{search}");
        ensure!(without == 200 && told.contains("no stored sketches"), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_named_and_a_word_that_is_none_is_refused() -> Result<()> {
    let (server, client) = (filled(&Database::Sqlite).await?, client()?);

    let (status, revision) = page(&client, &server, "/mandoc/scribe-v1/tree/nope").await?;
    let (relation, told) = page(&client, &server, "/models?relation=zork").await?;
    let (measure, measures) =
        page(&client, &server, "/kinship?of=mandoc/scribe-v1&of=mandoc/scribe-v1-de&measure=zork").await?;
    let (_, models) = page(&client, &server, "/models").await?;
    let (_, home) = page(&client, &server, "/").await?;
    let children: Value = get(&client, &server, "/api/v1/models/mandoc/scribe-v1/children").await?;
    let plain = Client::builder().redirect(Policy::none()).build()?;
    let docs = plain.get(server.url("/docs")).send().await?;
    let (_, methods) = page(&client, &server, "/docs/merging").await?;

    ensure!(status == 404 && revision.contains("has no revision <code>nope</code>"), "{revision}");
    ensure!(relation == 422 && told.contains("<code>zork</code>") && told.contains("finetune"), "{told}");
    ensure!(measure == 422 && measures.contains("<code>zork</code> is no measure"), "{measures}");
    let count = home.split("<dt>models</dt><dd>").nth(1).and_then(|rest| rest.split('<').next());
    ensure!(count.is_some_and(|count| models.contains(&format!("{count} models"))), "{count:?} {models}");
    ensure!(children["items"][0]["downloads"].is_null(), "{children}");
    ensure!(docs.status() == 308 && docs.headers()["location"] == "/docs/", "{docs:?}");
    ensure!(methods.contains("merge_method: dare_ties") && methods.contains("arxiv.org"), "{methods}");
    Ok(())
}
