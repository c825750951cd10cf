//! What pages say where something is missing or asked for that there is not.

use anyhow::{Result, ensure};
use reqwest::{Client, redirect::Policy};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;
use stemma_tests::{Database, Server, client, databases, get, steps::filled};

/// Status and text of a page.
async fn page(client: &Client, server: &Server, path: &str) -> Result<(u16, String)> {
    let answer = client.get(server.url(path)).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// Brings in a checkpoint of small tensors, with a card.
fn bring_in(server: &Server, id: &str, (card, tensors): (&str, &[(&str, &[f32])])) -> Result<()> {
    let at = server.data().join(id);
    fs_err::create_dir_all(&at)?;
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let held: Vec<(&str, Vec<u8>)> = tensors.iter().map(|(name, values)| (*name, bytes(values))).collect();
    let mut views = Vec::new();
    for (name, bytes) in &held {
        views.push((*name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?));
    }
    fs_err::write(at.join("model.safetensors"), safetensors::serialize(views, None)?)?;
    fs_err::write(at.join("README.md"), card)?;
    let out = server.stemma().args(["import", "dir"]).arg(&at).args(["--id", id]).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

#[tokio::test]
async fn models_of_other_shapes_are_compared_by_their_headers() -> Result<()> {
    let (server, client) = (filled(&Database::Sqlite).await?, client()?);
    // The tiny models have a tensor of this name in another shape.
    bring_in(&server, "tests/small", ("", &[("model.norm.weight", &[0.0; 2])]))?;

    let (status, told) = page(&client, &server, "/compare/tests/small...mandoc/scribe-v1").await?;

    let counted =
        "0 tensors are the same in both, 1 in another shape, 0 only in the first, 38 only in the second.";
    ensure!(status == 200 && told.contains(counted), "{told}");
    ensure!(told.contains("No weights are compared, since no tensor can be compared"), "{told}");
    ensure!(told.contains("model.norm.weight: [2] against"), "{told}");
    Ok(())
}

#[tokio::test]
async fn what_one_model_has_in_another_shape_than_the_ancestor_is_not_unchanged() -> Result<()> {
    const NAMES: [&str; 2] = ["model.embed_tokens.weight", "model.norm.weight"];
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        for (id, embed, norm) in [
            ("t/base", &[1.0, 2.0][..], [1.0, 1.0]),
            ("t/tuned", &[1.0, 3.0], [1.0, 1.0]),
            ("t/longer", &[1.0, 2.0, 3.0], [1.0, 2.0]),
        ] {
            let card = if id == "t/base" { "" } else { "---\nbase_model: t/base\n---\n" };
            bring_in(&server, id, (card, &[(NAMES[0], embed), (NAMES[1], &norm)]))?;
        }

        let (status, told) = page(&client, &server, "/compare/t/tuned...t/longer?view=base").await?;
        let (_, own) = page(&client, &server, "/compare/t/base...t/longer?view=base").await?;

        let row = |page: &str, name: &str| {
            let table = page.split("id=\"base\"").nth(1).unwrap_or_default();
            table
                .split(&format!("<code>{name}</code></th>"))
                .nth(1)
                .and_then(|rest| rest.split("</tr>").next())
                .map(str::to_owned)
        };
        let embed = "<td>not comparable</td><td class=\"num\">0.4472</td><td class=\"num\">–</td>";
        ensure!(status == 200 && row(&told, NAMES[0]).as_deref() == Some(embed), "{told}");
        ensure!(row(&told, NAMES[1]).is_some_and(|row| row.starts_with("<td>the second</td>")), "{told}");
        ensure!(
            told.contains("neither: 0, the first: 0, the second: 1, both: 0. 1 tensor that one of"),
            "{told}"
        );
        ensure!(row(&own, NAMES[1]).is_some_and(|row| row.starts_with("<td>the second</td>")), "{own}");
        ensure!(row(&own, NAMES[0]).is_none(), "{own}");
    }
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
    ensure!(methods.contains("<code>b + λ·Σ wᵢ·δᵢ with"), "{methods}");
    Ok(())
}
