//! Merges of models that are not alike in all tensors: what the recipe's policies do, and that nothing of it is silent.

use std::{collections::BTreeMap, path::Path, process::Output};

use anyhow::{Context as _, Result, ensure};
use safetensors::{SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use stemma_tests::{Zoo, stemma};
use tempfile::TempDir;

const BASE: &str = "mandoc/scribe-v1";
const GERMAN: &str = "mandoc/scribe-v1-de";

/// Tensors in bf16 by name.
type Tensors = BTreeMap<String, (Vec<u8>, Vec<usize>)>;

/// Runs `stemma` in `place` with these words; it must succeed.
fn run(place: &Path, words: &str) -> Result<Output> {
    let out = stemma(place).args(words.split_whitespace()).output()?;
    ensure!(out.status.success(), "{words}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(out)
}

fn read(path: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&fs_err::read(path)?)?)
}

fn tensors(folder: &Path) -> Result<Tensors> {
    let bytes = fs_err::read(folder.join("model.safetensors"))?;
    let file = SafeTensors::deserialize(&bytes)?;
    Ok(file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.data().to_vec(), view.shape().to_vec())))
        .collect())
}

/// A copy of the folder `from` with other tensors.
fn changed(from: &Path, to: &Path, change: impl FnOnce(&mut Tensors)) -> Result<()> {
    fs_err::create_dir_all(to)?;
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        if from.join(file).is_file() {
            fs_err::copy(from.join(file), to.join(file))?;
        }
    }
    let mut all = tensors(from)?;
    change(&mut all);
    let views = all.iter().map(|(name, (data, shape))| {
        Ok((name.as_str(), TensorView::new(safetensors::Dtype::BF16, shape.clone(), data)?))
    });
    let bytes = safetensors::serialize(views.collect::<Result<Vec<_>>>()?, None)?;
    Ok(fs_err::write(to.join("model.safetensors"), bytes)?)
}

/// The last layer once more, behind itself.
fn with_a_layer(all: &mut Tensors) {
    let layers = all.keys().filter_map(|name| layer(name)).max().map_or(0, |last| last + 1);
    let last = format!("model.layers.{}.", layers - 1);
    let more: Tensors = all
        .iter()
        .filter_map(|(name, held)| {
            let rest = name.strip_prefix(&last)?;
            Some((format!("model.layers.{layers}.{rest}"), held.clone()))
        })
        .collect();
    all.extend(more);
}

fn layer(name: &str) -> Option<u64> {
    name.strip_prefix("model.layers.")?.split('.').next()?.parse().ok()
}

#[test]
fn a_union_of_models_of_several_depths_is_as_deep_as_the_deepest_and_says_what_it_copied() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let (base, german, deep) = (zoo.path(BASE)?, zoo.path(GERMAN)?, place.path().join("deep"));
    changed(&german, &deep, with_a_layer)?;
    let layers = read(&base.join("config.json"))?["num_hidden_layers"].as_u64().context("no layers")?;
    let recipe = format!(
        "merge_method: task_arithmetic\nbase_model: {}\nmodels: [{{model: {}}}, {{model: deep}}]\nparameters: {{weight: \
         0.5}}\nmissing: union\n",
        base.display(),
        german.display()
    );
    fs_err::write(place.path().join("recipe.yml"), &recipe)?;
    fs_err::write(place.path().join("strict.yml"), recipe.replace("union", "error"))?;

    let strict = stemma(place.path()).args(["merge", "strict.yml", "none"]).output()?;
    let planned = run(place.path(), "merge recipe.yml --dry-run --json")?;
    let written = run(place.path(), "merge recipe.yml made")?;

    ensure!(!strict.status.success());
    let refusal = String::from_utf8_lossy(&strict.stderr);
    ensure!(refusal.contains("every model must have it"), "{refusal}");
    let planned: Value = serde_json::from_slice(&planned.stdout)?;
    let (policies, count) = (&planned["policies"], tensors(&deep)?.len() - tensors(&german)?.len());
    ensure!(policies.as_array().is_some_and(|all| all.len() == 1), "{planned}");
    ensure!(policies[0]["pointer"] == "/missing" && policies[0]["outcome"] == "copied", "{planned}");
    ensure!(policies[0]["model"] == "deep" && policies[0]["tensors"] == json!(count), "{planned}");
    let warned = String::from_utf8_lossy(&written.stderr);
    let told =
        format!("tensors that not all models have are copied from `deep`, {count} in all: `model.layers.");
    ensure!(warned.contains(&format!("warning: /missing: {told}")), "{warned}");
    let made = place.path().join("made");
    ensure!(read(&made.join("config.json"))?["num_hidden_layers"] == json!(layers + 1));
    let result = tensors(&made)?;
    ensure!(result.len() == tensors(&deep)?.len());
    let top = format!("model.layers.{layers}.mlp.up_proj.weight");
    ensure!(result[&top] == tensors(&deep)?[&top]);
    let record = read(&made.join("stemma_provenance.json"))?;
    ensure!(record["policies"] == *policies, "{record}");
    let listed = record["tensors"].as_array().context("no tensors")?;
    let copied = listed.iter().filter(|tensor| tensor["copied_from"] == "deep").count();
    ensure!(copied == count);
    ensure!(record["recipe"]["config"]["missing"] == "union");
    ensure!(fs_err::read_to_string(made.join("README.md"))?.contains(&told));
    Ok(())
}

#[test]
fn every_document_tells_what_its_own_policies_did() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let (base, german) = (zoo.path(BASE)?, zoo.path(GERMAN)?);
    let wide = "model.layers.0.mlp.up_proj.weight";
    changed(&german, &place.path().join("deep"), with_a_layer)?;
    changed(&german, &place.path().join("wide"), |all| {
        if let Some((data, shape)) = all.get_mut(wide) {
            let row = data.len() / shape[0];
            data.truncate(row * (shape[0] - 1));
            shape[0] -= 1;
        }
    })?;
    let recipe = format!(
        "name: first\nmerge_method: linear\nmodels: [{{model: {german}}}, {{model: deep}}]\nparameters: {{weight: \
         1}}\nmissing: skip\n---\nmerge_method: ties\nbase_model: {base}\nmodels: [{{model: first}}, {{model: \
         wide}}]\nparameters: {{weight: 1}}\non_mismatch: base\n",
        german = german.display(),
        base = base.display()
    );
    fs_err::write(place.path().join("recipe.yml"), recipe)?;

    let written = run(place.path(), "merge recipe.yml made")?;

    let warned = String::from_utf8_lossy(&written.stderr);
    ensure!(
        warned.contains("warning: /0/missing: tensors that not all models have are left out"),
        "{warned}"
    );
    ensure!(
        warned.contains("warning: /1/on_mismatch: tensors that have several shapes are copied"),
        "{warned}"
    );
    let made = place.path().join("made");
    ensure!(tensors(&made)?[wide] == tensors(&base)?[wide]);
    ensure!(tensors(&made)?.len() == tensors(&base)?.len());
    Ok(())
}
