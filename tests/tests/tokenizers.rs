//! Models with different tokenizers: merged by token, merged in stages, and given each other's tokenizer.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use reqwest::Client;
use safetensors::{SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use stemma_tests::{Server, Zoo, client, databases, get, job, run, stemma};
use tempfile::TempDir;

const BASE: &str = "mandoc/scribe-v1";
const GERMAN: &str = "mandoc/scribe-v1-de";
const FRENCH: &str = "mandoc/scribe-v1-fr";
const EMBED: &str = "model.embed_tokens.weight";
const ROWS: usize = 2048;
const WIDTH: usize = 128 * 2;

/// Runs a command that must fail and gives its complaint.
fn refused(mut command: Command, words: &str) -> Result<String> {
    let out = command.args(words.split_whitespace()).output()?;
    ensure!(!out.status.success(), "{words}: {}", String::from_utf8_lossy(&out.stdout));
    Ok(String::from_utf8(out.stderr)?)
}

fn read(path: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&fs_err::read(path)?)?)
}

/// The German model with one token more, at row 300: what stood there and behind it moves one row down.
fn with_a_token(zoo: &Zoo, at: &Path) -> Result<()> {
    let from = zoo.path(GERMAN)?;
    fs_err::create_dir_all(at)?;
    let mut tokenizer = read(&from.join("tokenizer.json"))?;
    let vocab = tokenizer["model"]["vocab"].as_object_mut().context("no vocab")?;
    for row in vocab.values_mut() {
        let old = row.as_u64().context("no row")?;
        *row = json!(old + u64::from(old >= 300));
    }
    vocab.insert("xyxy".to_owned(), json!(300));
    vocab.insert("xy".to_owned(), json!(2049));
    let merges = tokenizer["model"]["merges"].as_array_mut().context("no merges")?;
    merges.extend([json!(["x", "y"]), json!(["xy", "xy"])]);
    fs_err::write(at.join("tokenizer.json"), tokenizer.to_string())?;
    let mut config = read(&from.join("config.json"))?;
    config["vocab_size"] = json!(ROWS + 2);
    fs_err::write(at.join("config.json"), config.to_string())?;
    let bytes = fs_err::read(from.join("model.safetensors"))?;
    let file = SafeTensors::deserialize(&bytes)?;
    let grown: Vec<(String, Vec<u8>, Vec<usize>)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let (mut data, mut shape) = (view.data().to_vec(), view.shape().to_vec());
            if shape[0] == ROWS {
                shape[0] += 2;
                // 1.0 in bf16.
                let row = [0x80, 0x3F].repeat(WIDTH / 2);
                data.splice(300 * WIDTH..300 * WIDTH, row.clone());
                data.extend(row);
            }
            (name, data, shape)
        })
        .collect();
    let views = grown.iter().map(|(name, data, shape)| {
        Ok((name.as_str(), TensorView::new(safetensors::Dtype::BF16, shape.clone(), data)?))
    });
    let bytes = safetensors::serialize(views.collect::<Result<Vec<_>>>()?, None)?;
    Ok(fs_err::write(at.join("model.safetensors"), bytes)?)
}

fn tensor(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let bytes = fs_err::read(folder.join("model.safetensors"))?;
    Ok(SafeTensors::deserialize(&bytes)?.tensor(name)?.data().to_vec())
}

fn recipe(place: &Path, text: &str) -> Result<PathBuf> {
    let path = place.join("recipe.yml");
    fs_err::write(&path, text)?;
    Ok(path)
}

fn linear(first: &Path, second: &Path, rest: &str) -> String {
    let [a, b] = [first, second].map(|path| path.display().to_string());
    format!(
        "merge_method: linear\nbase_model: {a}\nmodels:\n- model: {a}\n- model: {b}\nparameters: {{weight: 0.5}}\n{rest}\n"
    )
}

#[test]
fn a_union_has_every_token_of_both_models_with_their_rows() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let (on, more) = (|| stemma(place.path()), place.path().join("more"));
    with_a_token(&zoo, &more)?;
    let german = zoo.path(GERMAN)?;

    recipe(place.path(), &linear(&german, &more, ""))?;
    let told = refused(on(), "merge recipe.yml none")?;
    recipe(place.path(), &linear(&german, &more, "tokenizer_source: union"))?;
    let planned: Value = serde_json::from_str(&run(on(), "merge recipe.yml --dry-run --json")?)?;
    run(on(), "merge recipe.yml union")?;

    ensure!(told.contains(EMBED) && told.contains("`tokenizer: {source: base}` or `union`"), "{told}");
    ensure!(told.contains("vocab_mismatch") && told.contains("token 300 is "), "{told}");
    ensure!(planned["vocabulary"] == ROWS + 2, "{planned}");
    let made = place.path().join("union");
    ensure!(read(&made.join("config.json"))?["vocab_size"] == ROWS + 2);
    let tokenizer = read(&made.join("tokenizer.json"))?;
    let own = read(&german.join("tokenizer.json"))?;
    let vocab = &tokenizer["model"]["vocab"];
    ensure!(
        own["model"]["vocab"]
            .as_object()
            .is_some_and(|own| own.iter().all(|(text, row)| vocab[text] == *row))
    );
    ensure!((&vocab["xyxy"], &vocab["xy"]) == (&json!(ROWS), &json!(ROWS + 1)));
    let merges = tokenizer["model"]["merges"].as_array().context("no merges")?;
    ensure!(merges.ends_with(&[json!(["x", "y"]), json!(["xy", "xy"])]));
    // Both models are the German one, so the merge is it again, and the new tokens have their rows.
    let table = tensor(&made, EMBED)?;
    ensure!(table[..ROWS * WIDTH] == tensor(&german, EMBED)?);
    ensure!(table[ROWS * WIDTH..] == [0x80, 0x3F].repeat(WIDTH));
    Ok(())
}

#[test]
fn tokens_without_a_row_are_left_out_of_the_tokenizer_of_the_base() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let (on, more, french) = (|| stemma(place.path()), place.path().join("more"), zoo.path(FRENCH)?);
    fs_err::create_dir_all(&more)?;
    for file in ["config.json", "model.safetensors"] {
        fs_err::copy(zoo.path(GERMAN)?.join(file), more.join(file))?;
    }
    let mut tokenizer = read(&zoo.path(GERMAN)?.join("tokenizer.json"))?;
    tokenizer["model"]["vocab"]["xy"] = json!(ROWS);
    tokenizer["model"]["merges"].as_array_mut().context("no merges")?.push(json!(["x", "y"]));
    fs_err::write(more.join("tokenizer.json"), tokenizer.to_string())?;

    recipe(place.path(), &linear(&more, &french, "tokenizer_source: base"))?;
    let told = run(on(), "merge recipe.yml --dry-run")?;
    run(on(), "merge recipe.yml out")?;

    ensure!(told.contains("1 tokens of") && told.contains("`xy`"), "{told}");
    let made = place.path().join("out");
    ensure!(read(&made.join("config.json"))?["vocab_size"] == ROWS);
    let written = read(&made.join("tokenizer.json"))?;
    let whole = read(&zoo.path(GERMAN)?.join("tokenizer.json"))?;
    ensure!(written["model"]["vocab"] == whole["model"]["vocab"], "another vocabulary");
    ensure!(!written["model"]["merges"].as_array().context("no merges")?.contains(&json!(["x", "y"])));
    Ok(())
}

#[test]
fn a_union_of_equal_tokenizers_changes_nothing() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let on = || stemma(place.path());
    let (german, french) = (zoo.path(GERMAN)?, zoo.path(FRENCH)?);

    for (out, rest) in [("plain", ""), ("union", "tokenizer: {source: union}")] {
        recipe(place.path(), &linear(&german, &french, rest))?;
        run(on(), &format!("merge recipe.yml {out}"))?;
    }

    for file in ["model.safetensors", "tokenizer.json", "config.json"] {
        let [plain, union] = ["plain", "union"].map(|out| fs_err::read(place.path().join(out).join(file)));
        ensure!(plain? == union?, "{file}");
    }
    Ok(())
}

#[test]
fn tokens_get_the_rows_that_the_recipe_names_and_padding_when_asked() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let on = || stemma(place.path());
    let (german, french) = (zoo.path(GERMAN)?, zoo.path(FRENCH)?);
    let rules = format!(
        "tokenizer:\n  source: base\n  pad_to_multiple_of: 64\n  tokens:\n    <extra>:\n      source: {{kind: model_token, model: {}, token_id: 5}}",
        german.display()
    );

    recipe(place.path(), &linear(&german, &french, &rules))?;
    run(on(), "merge recipe.yml out")?;
    recipe(
        place.path(),
        &linear(
            &german,
            &french,
            "tokenizer: {tokens: {nowhere: {source: {kind: model_token, model: no/one, token: x}}}}",
        ),
    )?;
    let told = refused(on(), "merge recipe.yml none")?;

    let made = place.path().join("out");
    ensure!(read(&made.join("config.json"))?["vocab_size"] == ROWS + 64);
    let tokenizer = read(&made.join("tokenizer.json"))?;
    let added =
        tokenizer["added_tokens"].as_array().and_then(|added| added.last()).context("no added token")?;
    ensure!(added["content"] == "<extra>" && added["id"] == ROWS, "{added}");
    let (table, own) = (tensor(&made, EMBED)?, tensor(&german, EMBED)?);
    ensure!(table[ROWS * WIDTH..(ROWS + 1) * WIDTH] == own[5 * WIDTH..6 * WIDTH]);
    ensure!(told.contains("/tokenizer/tokens/nowhere/source/model"), "{told}");
    Ok(())
}

#[test]
fn documents_merge_what_others_made_to_the_bytes_of_single_steps() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let on = || stemma(place.path());
    let [base, german, french] = [BASE, GERMAN, FRENCH].map(|id| zoo.path(id));
    let (base, german, french) = (base?, german?, french?);
    let step = format!(
        "merge_method: ties\nbase_model: {}\nmodels:\n- model: {}\n- model: {}\nparameters: {{weight: 1, density: 0.5}}\n",
        base.display(),
        german.display(),
        french.display()
    );

    recipe(place.path(), &step)?;
    run(on(), "merge recipe.yml first")?;
    recipe(place.path(), &linear(&base, Path::new("first"), ""))?;
    run(on(), "merge recipe.yml second")?;
    let both = format!("{}---\nname: first step\n{step}", linear(&base, Path::new("first step"), ""));
    recipe(place.path(), &both)?;
    run(on(), "merge recipe.yml at-once")?;

    let [second, at_once] =
        ["second", "at-once"].map(|out| fs_err::read(place.path().join(out).join("model.safetensors")));
    ensure!(second? == at_once?);
    let made = read(&place.path().join("at-once/stemma_recipe.json"))?;
    let inner = &made["inputs"]["first step"];
    ensure!(inner["recipe"]["config"]["merge_method"] == "ties" && inner["digest"].is_string(), "{made}");
    ensure!(made["inputs"].as_object().is_some_and(|inputs| inputs.len() == 2), "{made}");
    Ok(())
}

#[test]
fn faults_of_all_documents_are_told_at_once() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let base = zoo.path(BASE)?;
    let first =
        linear(&base, Path::new("no/where"), "").replacen("merge_method", "name: one\nmerge_method", 1);
    let second =
        linear(&base, Path::new("no/how"), "").replacen("merge_method", "name: two\nmerge_method", 1);
    let last = "merge_method: linear\nmodels: [{model: one}, {model: two}, {model: neither}]\nparameters: {weight: 1}\n";

    recipe(place.path(), &[first.as_str(), &second, last].join("---\n"))?;
    let told = refused(stemma(place.path()), "merge recipe.yml out")?;

    for part in
        ["/0/models/1/model: `no/where`", "/1/models/1/model: `no/how`", "/2/models/2/model: `neither`"]
    {
        ensure!(told.contains(part), "{part} in {told}");
    }
    ensure!(!told.contains("`one`"), "{told}");
    Ok(())
}

#[test]
fn a_transplant_keeps_shared_rows_and_is_the_same_on_any_number_of_threads() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let more = place.path().join("more");
    with_a_token(&zoo, &more)?;
    let french = zoo.path(FRENCH)?;
    let command = |threads: &str| {
        let mut command = stemma(place.path());
        command.env("RAYON_NUM_THREADS", threads);
        command
    };
    let pair = format!("transplant {} {}", french.display(), more.display());

    let told: Value = serde_json::from_str(&run(command("1"), &format!("{pair} one --k 8 --json"))?)?;
    run(command("4"), &format!("{pair} four --k 8"))?;
    run(command("2"), &format!("{pair} some --k 8 --candidates 16"))?;

    ensure!(
        (&told["shared"], &told["new"], &told["rows"]) == (&json!(ROWS), &json!(2), &json!(ROWS + 2)),
        "{told}"
    );
    let at = |out: &str| place.path().join(out);
    ensure!(fs_err::read(at("one/model.safetensors"))? == fs_err::read(at("four/model.safetensors"))?);
    let (table, own) = (tensor(&at("one"), EMBED)?, tensor(&french, EMBED)?);
    ensure!(table[..300 * WIDTH] == own[..300 * WIDTH]);
    ensure!(table[301 * WIDTH..(ROWS + 1) * WIDTH] == own[300 * WIDTH..]);
    ensure!(table[300 * WIDTH..301 * WIDTH] != [0; WIDTH][..]);
    ensure!(fs_err::read(at("one/tokenizer.json"))? == fs_err::read(more.join("tokenizer.json"))?);
    ensure!(read(&at("one/config.json"))?["vocab_size"] == ROWS + 2);
    let made = read(&at("one/stemma_recipe.json"))?;
    ensure!(made["kind"] == "transplant_tokenizer" && made["options"]["k"] == 8, "{made}");
    Ok(())
}

async fn parents(client: &Client, server: &Server, id: &str) -> Result<Vec<String>> {
    let model = get(client, server, &format!("/api/v1/models/{id}")).await?;
    let ids = model["parents"].as_array().into_iter().flatten().filter_map(|p| p["id"].as_str());
    let mut ids: Vec<String> = ids.map(str::to_owned).collect();
    ids.sort_unstable();
    Ok(ids)
}

#[tokio::test]
async fn unions_stages_and_transplants_are_jobs_that_know_their_parents() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let more = place.path().join("more");
    with_a_token(&zoo, &more)?;
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        for (id, path) in [(BASE, zoo.path(BASE)?), (FRENCH, zoo.path(FRENCH)?), ("tests/more", more.clone())]
        {
            run(server.stemma(), &format!("import dir {} --id {id}", path.display()))?;
        }
        let config = format!(
            "name: both\nmerge_method: linear\nbase_model: {FRENCH}\ntokenizer_source: union\nparameters: {{weight: 1}}\n\
             models: [{{model: {FRENCH}}}, {{model: tests/more}}]\n---\nmerge_method: passthrough\nmodels: [{{model: both}}]\n"
        );

        let dry = client
            .post(server.url("/api/v1/merges?dry_run=true"))
            .json(&json!({"config": config, "output": "t/x"}));
        let planned: Value = dry.send().await?.json().await?;
        job(&client, &server, "/api/v1/merges", json!({"config": config, "output": "tests/union"})).await?;

        ensure!(planned["vocabulary"] == ROWS + 2, "{planned}");
        ensure!(parents(&client, &server, "tests/union").await? == [FRENCH, "tests/more"]);
        let made = get(&client, &server, "/api/v1/models/tests/union").await?;
        ensure!(made["recipe"]["inputs"]["both"]["recipe"]["kind"] == "merge", "{made}");

        let wanted =
            json!({"recipient": BASE, "donor": "tests/more", "k": 8, "output": "tests/transplanted"});
        let dry = client.post(server.url("/api/v1/transplants?dry_run=true")).json(&wanted).send().await?;
        let planned: Value = dry.json().await?;
        let result = job(&client, &server, "/api/v1/transplants", wanted).await?;

        ensure!(
            planned["new"] == 2 && result["new"] == 2 && result["rows"] == ROWS + 2,
            "{planned} {result}"
        );
        ensure!(parents(&client, &server, "tests/transplanted").await? == [BASE, "tests/more"]);
        let wanted = json!({"recipient": BASE, "donor": FRENCH, "fill": "zero"});
        let dry = client.post(server.url("/api/v1/transplants?dry_run=true")).json(&wanted).send().await?;
        let planned: Value = dry.json().await?;
        let words = format!("transplant {BASE} {FRENCH} --fill zero");
        let looked: Value =
            serde_json::from_str(&run(server.stemma(), &format!("{words} --dry-run --json"))?)?;
        let out = server.data().join("looked-at");
        let made: Value =
            serde_json::from_str(&run(server.stemma(), &format!("{words} {} --json", out.display()))?)?;
        ensure!(planned == looked && planned["warnings"] == made["warnings"], "{planned} {looked} {made}");
        ensure!(planned["warnings"].to_string().contains("cc-by-nc-4.0"), "{planned}");
        let bad = json!({"recipient": BASE, "donor": "tests/more", "k": 0, "output": "t/x"});
        let answer = client.post(server.url("/api/v1/transplants")).json(&bad).send().await?;
        ensure!(answer.status() == 422, "{}", answer.text().await?);
    }
    Ok(())
}
