//! What Stemma writes, loaded unchanged by safetensors, transformers and PEFT.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stemma_tests::{Zoo, python, stemma};
use tempfile::TempDir;

const BASE: &str = "mandoc/scribe-v1";

fn run(place: &Path, arguments: &[&str]) -> Result<()> {
    let out = stemma(place).args(arguments).output()?;
    ensure!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

/// Merges `config`, with the zoo's folders in place of its ids, into `place/name`.
fn merge(zoo: &Zoo, (place, name): (&Path, &str), (config, options): (&str, &[&str])) -> Result<String> {
    let mut config = config.to_owned();
    for id in zoo.ids()? {
        config = config.replace(&format!("<{id}>"), &zoo.path(&id)?.display().to_string());
    }
    let recipe = place.join(format!("{name}.yml"));
    fs_err::write(&recipe, config)?;
    let out = place.join(name).display().to_string();
    run(place, &[&["merge", &recipe.display().to_string(), &out], options].concat())?;
    Ok(out)
}

/// A folder that transformers loads whole, tokenizer and all, and that still knows the language it was trained on.
fn loads_whole(seen: &Value) -> Result<()> {
    ensure!(seen["faults"] == serde_json::json!({}), "{seen}");
    ensure!(
        seen["architecture"] == "LlamaForCausalLM" && seen["finite"] == true && seen["round_trip"] == true,
        "{seen}"
    );
    ensure!(seen["vocabulary"] == 2048, "{seen}");
    Ok(())
}

#[test]
fn merges_and_transfers_load_in_transformers_unchanged() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let at = |id: &str| zoo.path(id).map(|path| path.display().to_string());
    let into = |name| (place.path(), name);
    let mean = "merge_method: linear\nmodels:\n\
        - {model: <mandoc/scribe-v1-de>, parameters: {weight: 0.5}}\n\
        - {model: <mandoc/scribe-v1-fr>, parameters: {weight: 0.5}}\ndtype: float32\nout_dtype: bfloat16\n";
    let stacked = "merge_method: passthrough\nslices:\n\
        - sources: [{model: <mandoc/scribe-v1-de>, layer_range: [0, 3]}]\n\
        - sources: [{model: <mandoc/scribe-v1-de>, layer_range: [2, 4]}]\ndtype: bfloat16\n";
    let signed = "merge_method: ties\nbase_model: <mandoc/scribe-v1>\nmodels:\n\
        - {model: <mandoc/scribe-v1-de>, parameters: {weight: 1, density: 0.5}}\n\
        - {model: <mandoc/scribe-v1-fr>, parameters: {weight: 1, density: 0.5}}\ndtype: float16\n";

    let linear = merge(&zoo, into("linear"), (mean, &[]))?;
    let shards = merge(&zoo, into("shards"), (mean, &["--out-shard-size", "1M"]))?;
    let deeper = merge(&zoo, into("deeper"), (stacked, &[]))?;
    let ties = merge(&zoo, into("ties"), (signed, &[]))?;
    let uneven = |base: &str, missing: &str| {
        format!(
            "merge_method: linear\nbase_model: {base}\nmodels: [{{model: <mandoc/scribe-v1-de>}}, {{model: {deeper}}}]\n\
             parameters: {{weight: 1}}\nmissing: {missing}\n"
        )
    };
    let union = merge(&zoo, into("union"), (&uneven("<mandoc/scribe-v1-de>", "union"), &[]))?;
    let skip = merge(&zoo, into("skip"), (&uneven(&deeper, "skip"), &[]))?;
    let moved = place.path().join("moved").display().to_string();
    let (base, tuned, target) = (at(BASE)?, at("mandoc/scribe-v1-de")?, at("mandoc/scribe-v1.1")?);
    run(
        place.path(),
        &["transfer", "--from-base", &base, "--from-tuned", &tuned, "--to-base", &target, &moved],
    )?;
    let all = [&*linear, &shards, &deeper, &ties, &union, &skip, &moved];
    let Some(seen) = python("load.py", &[&["model"], &all[..]].concat())? else { return Ok(()) };

    for folder in all {
        loads_whole(&seen[folder])?;
    }
    for (folder, dtype) in [(&linear, "torch.bfloat16"), (&ties, "torch.float16"), (&moved, "torch.bfloat16")]
    {
        ensure!(seen[folder]["dtypes"] == serde_json::json!([dtype]), "{folder}: {}", seen[folder]);
    }
    ensure!(seen[&*deeper]["layers"] == 5 && seen[&*linear]["layers"] == 4, "{seen}");
    ensure!(seen[&*union]["layers"] == 5 && seen[&*skip]["layers"] == 4, "{seen}");
    ensure!(seen[&*shards]["loss"] == seen[&*linear]["loss"], "shards change nothing: {seen}");
    ensure!(
        fs_err::read_dir(&shards)?.count() > fs_err::read_dir(&linear)?.count() + 1,
        "several shards and an index"
    );
    for folder in [&linear, &ties, &moved] {
        let (loss, chance) = (&seen[folder]["loss"], &seen[folder]["chance"]);
        let (loss, chance) = (loss.as_f64().context("loss")?, chance.as_f64().context("chance")?);
        ensure!(loss < chance - 1.5, "{folder} forgot what it learnt: {loss} of {chance} nats");
    }
    Ok(())
}

#[test]
fn a_shared_difference_is_what_torch_computes_from_the_models() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let paths =
        [BASE, "mandoc/scribe-v1-de", "mandoc/scribe-v1-fr", "mandoc/scribe-v1.1"].map(|id| zoo.path(id));
    let [base, de, fr, more] = paths.map(|path| path.map(|path| path.display().to_string()));
    let (base, de, fr, more) = (base?, de?, fr?, more?);
    let file = place.path().join("shared.safetensors").display().to_string();
    let asked = ["diff", &de, &base, "--with", &fr, "--with", &more, "--form", "emr", "--dtype", "float32"];

    run(place.path(), &[&asked[..], &["--out", &file]].concat())?;

    let Some(seen) = python("shared.py", &[&file, &base, &de, &fr, &more])? else { return Ok(()) };
    let apart = |key: &str| seen[key].as_f64().unwrap_or(f64::INFINITY);
    ensure!(apart("unified") < 1e-8 && apart("scales") < 1e-12 && apart("errors") < 1e-6, "{seen}");
    ensure!(seen["bits"] == 0 && seen["tensors"] == 1, "{seen}");
    Ok(())
}

#[test]
fn an_extracted_adapter_loads_in_peft_and_merges_to_what_the_bake_wrote() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let at = |id: &str| zoo.path(id).map(|path| path.display().to_string());
    let (base, tuned) = (at(BASE)?, at("mandoc/scribe-v1-de")?);
    let out = |name: &str| place.path().join(name).display().to_string();
    let (lora, baked) = (out("lora"), out("baked"));

    run(place.path(), &["adapter", "extract", "--base", &base, "--tuned", &tuned, &lora, "--rank", "16"])?;
    run(place.path(), &["adapter", "bake", &base, &lora, &baked])?;
    let Some(seen) = python("load.py", &["adapter", &base, &lora, &baked])? else { return Ok(()) };

    ensure!(seen["same_names"] == true, "{seen}");
    ensure!(seen["changed"].as_u64().context("changed")? >= 28, "every projection of four layers: {seen}");
    ensure!(seen["bf16_units"].as_f64().context("bf16_units")? <= 0.51, "{seen}");
    Ok(())
}
