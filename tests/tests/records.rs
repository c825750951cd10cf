//! What is written beside a derived model: how it was made, what to mind, and a card that other registries can read.

use std::{path::Path, process::Output};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stemma_tests::{Zoo, stemma};
use tempfile::TempDir;

const RECORD: &str = "stemma_provenance.json";

/// Runs `stemma` in `place` with these words; it must succeed.
fn run(place: &Path, words: &str) -> Result<Output> {
    let out = stemma(place).args(words.split_whitespace()).output()?;
    ensure!(out.status.success(), "{words}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(out)
}

fn json(bytes: &[u8]) -> Result<Value> {
    Ok(serde_json::from_slice(bytes)?)
}

/// Weights of both signs for TIES, which divides by what may be their difference.
fn doubtful(zoo: &Zoo) -> Result<String> {
    let [base, de, fr] =
        ["scribe-v1", "scribe-v1-de", "scribe-v1-fr"].map(|name| zoo.path(&format!("mandoc/{name}")));
    Ok(format!(
        "merge_method: ties\nbase_model: {}\nmodels:\n  - model: {}\n    parameters: {{weight: 1, density: 0.2}}\n  - \
         model: {}\n    parameters: {{weight: -0.3, density: 0.2}}\n",
        base?.display(),
        de?.display(),
        fr?.display()
    ))
}

#[test]
fn a_merge_warns_and_leaves_its_record_in_its_folder() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let at = place.path();
    fs_err::write(at.join("r.yml"), doubtful(&zoo)?)?;
    let forecast = json(&run(at, "merge r.yml --dry-run --json")?.stdout)?;
    let warning = forecast["warnings"][0]["message"].as_str().unwrap_or_default().to_owned();
    ensure!(!warning.is_empty(), "{forecast}");

    let told = run(at, "merge r.yml one")?;
    let document = json(&run(at, "merge r.yml two/one --json --register me/one")?.stdout)?;

    ensure!(String::from_utf8_lossy(&told.stderr).contains(&warning), "{told:?}");
    ensure!(document["warnings"] == forecast["warnings"], "{document}");
    let written = fs_err::read(at.join("one").join(RECORD))?;
    ensure!(written == fs_err::read(at.join("two/one").join(RECORD))?, "the same merge has another record");
    let record = json(&written)?;
    ensure!(record["warnings"] == forecast["warnings"] && record["run"].is_null(), "{record}");
    ensure!(record["tensors"][0]["digest"].is_string() && record["output"]["root"].is_string(), "{record}");
    ensure!(json(&run(at, "provenance one")?.stdout)? == record);
    let mut stored = json(&run(at, "provenance me/one")?.stdout)?;
    stored.as_object_mut().map(|fields| fields.remove("run"));
    ensure!(stored == record, "{stored}");
    Ok(())
}

#[test]
fn a_transfer_leaves_its_record_and_its_folder_can_be_imported() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let [base, tuned, target] =
        ["scribe-v1", "scribe-v1-de", "scribe-v1.1"].map(|name| zoo.path(&format!("mandoc/{name}")));
    let (base, tuned, target) = (base?, tuned?, target?);
    let words = format!(
        "transfer --from-base {} --from-tuned {} --to-base {} carried",
        base.display(),
        tuned.display(),
        target.display()
    );

    run(place.path(), &words)?;
    run(place.path(), "import dir carried --id me/carried")?;

    let record = json(&run(place.path(), "provenance carried")?.stdout)?;
    ensure!(
        record["method"]["id"] == "transfer" && record["inputs"].as_array().is_some_and(|i| i.len() == 3)
    );
    let none = stemma(place.path()).arg("provenance").arg(&base).output()?;
    ensure!(none.status.code() == Some(3), "{none:?}");
    Ok(())
}

/// The front matter of the card in `folder`.
fn front(folder: &Path) -> Result<String> {
    let card = fs_err::read_to_string(folder.join("README.md"))?;
    Ok(card.split("---\n").nth(1).unwrap_or_default().to_owned())
}

fn listed(front: &str) -> Vec<&str> {
    front.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect()
}

#[test]
fn a_card_names_base_models_and_adapter_by_their_ids_with_seed_and_hashes() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let at = place.path();
    for id in ["mandoc/scribe-v1", "mandoc/scribe-v1-de"] {
        run(at, &format!("import dir {} --id {id}", zoo.path(id)?.display()))?;
    }
    run(
        at,
        "adapter extract --base mandoc/scribe-v1 --tuned mandoc/scribe-v1-de low --rank 2 --register me/low",
    )?;
    let pair = "mandoc/scribe-v1+me/low";
    fs_err::write(
        at.join("r.yml"),
        format!(
            "merge_method: dare_ties\nbase_model: mandoc/scribe-v1\nrandom_seed: 7\nmodels:\n  - model: {pair}\n    \
             parameters: {{weight: 1, density: 0.9}}\n  - model: mandoc/scribe-v1-de\n    parameters: {{weight: 1, \
             density: 0.9}}\n"
        ),
    )?;

    run(at, "merge r.yml made --register me/made")?;

    let card = front(&at.join("made"))?;
    ensure!(listed(&card)[..3] == ["mandoc/scribe-v1", "me/low", "mandoc/scribe-v1-de"], "{card}");
    ensure!(card.contains("base_model_relation: merge"), "{card}");
    let record = json(&run(at, "provenance me/made")?.stdout)?;
    let mut inputs = record["inputs"].as_array().into_iter().flatten();
    let input = inputs.find(|input| input["role"] == pair).context("the pair is no input")?;
    ensure!(input["model"] == "me/low" && input["base"]["model"] == "mandoc/scribe-v1", "{input}");
    for side in [input, &input["base"]] {
        ensure!(side["root"].is_string(), "{side}");
        ensure!(side["digest"].as_str().is_some_and(|digest| digest.len() == 71), "{side}");
    }
    let body = fs_err::read_to_string(at.join("made/README.md"))?;
    for told in [&input["digest"], &input["base"]["digest"], &record["output"]["root"]] {
        ensure!(body.contains(told.as_str().unwrap_or("nothing")), "{told} is not in {body}");
    }
    ensure!(body.contains("Seed: `7`"), "{body}");
    Ok(())
}

#[test]
fn a_card_names_no_folder_of_the_machine_and_says_what_a_transfer_is() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let at = place.path();
    for id in ["mandoc/scribe-v1", "mandoc/scribe-v1-de", "mandoc/scribe-v1.1"] {
        run(at, &format!("import dir {} --id {id}", zoo.path(id)?.display()))?;
    }
    fs_err::write(at.join("r.yml"), doubtful(&zoo)?)?;
    let words =
        "transfer --from-base mandoc/scribe-v1 --from-tuned mandoc/scribe-v1-de --to-base mandoc/scribe-v1.1";

    run(at, "merge r.yml local")?;
    run(at, &format!("{words} carried"))?;

    let [local, carried] = ["local", "carried"].map(|folder| front(&at.join(folder)));
    ensure!(!local?.contains("base_model"), "a folder has no id");
    let carried = carried?;
    ensure!(listed(&carried) == ["mandoc/scribe-v1.1", "mandoc/scribe-v1-de"], "{carried}");
    ensure!(carried.contains("base_model_relation: merge"), "{carried}");
    Ok(())
}

#[test]
fn the_most_common_chat_template_is_taken_and_one_that_is_no_jinja_is_refused() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let at = place.path();
    let mut models = String::new();
    for (name, template) in [("t1", "AAA"), ("t2", "{{ 'BBB' }}"), ("t3", "{{ 'BBB' }}"), ("t4", "CCC")] {
        fs_err::create_dir(at.join(name))?;
        for file in fs_err::read_dir(zoo.path("mandoc/scribe-v1")?)? {
            let file = file?;
            fs_err::copy(file.path(), at.join(name).join(file.file_name()))?;
        }
        fs_err::write(at.join(name).join("chat_template.jinja"), template)?;
        models.push_str(&format!("  - {{model: {name}, parameters: {{weight: 1}}}}\n"));
    }
    let write = |name: &str, template: &str, models: &str| {
        fs_err::write(
            at.join(name),
            format!("merge_method: linear\nchat_template: {template}\nmodels:\n{models}"),
        )
    };
    write("auto.yml", "auto", &models)?;
    write("tie.yml", "auto", models.split_inclusive('\n').take(2).collect::<String>().as_str())?;
    write("bad.yml", "'{% if foo %'", &models)?;

    run(at, "merge auto.yml auto")?;
    run(at, "merge auto.yml bare --no-copy-tokenizer --no-write-model-card")?;
    run(at, "merge tie.yml tie")?;
    let bad = stemma(at).args(["merge", "bad.yml", "bad"]).output()?;

    let template = |folder: &str| fs_err::read_to_string(at.join(folder).join("chat_template.jinja"));
    ensure!(template("auto")? == "{{ 'BBB' }}" && template("tie")? == "AAA");
    ensure!(template("bare")? == "{{ 'BBB' }}" && !at.join("bare/tokenizer.json").exists());
    ensure!(!at.join("bare/README.md").exists() && at.join("bare/stemma_recipe.json").exists());
    let said = String::from_utf8_lossy(&bad.stderr).into_owned();
    ensure!(bad.status.code() == Some(1) && said.contains("/chat_template: is no Jinja template"), "{said}");
    Ok(())
}

#[test]
fn an_output_that_is_a_file_and_an_adapter_of_another_kind_are_refused_by_name() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let at = place.path();
    let base = zoo.path("mandoc/scribe-v1")?;
    fs_err::write(at.join("r.yml"), doubtful(&zoo)?)?;
    fs_err::write(at.join("taken"), "mine")?;
    fs_err::create_dir(at.join("ia3"))?;
    fs_err::write(at.join("ia3/adapter_config.json"), r#"{"peft_type": "IA3"}"#)?;
    let name = "base_model.model.model.layers.0.self_attn.q_proj.ia3_l";
    let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
    fs_err::write(at.join("ia3/adapter_model.safetensors"), bytes)?;
    fs_err::write(
        at.join("ia3.yml"),
        format!("merge_method: passthrough\nmodels: [{{model: {}+ia3}}]\n", base.display()),
    )?;

    let taken = stemma(at).args(["merge", "r.yml", "taken"]).output()?;
    let other = stemma(at).args(["merge", "ia3.yml", "--dry-run"]).output()?;
    let forecast = run(at, "merge r.yml --dry-run")?;

    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    ensure!(taken.status.code() == Some(4) && said.contains("output_exists"), "{said}");
    ensure!(fs_err::read(at.join("taken"))? == b"mine");
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    ensure!(!other.status.success() && said.contains("IA3"), "{said}");
    ensure!(String::from_utf8_lossy(&forecast.stdout).contains("MiB of memory"), "{forecast:?}");
    Ok(())
}
