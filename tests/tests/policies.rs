//! Merges of models that are not alike in all tensors: what the recipe's policies do, and that nothing of it is silent.

use std::{collections::BTreeMap, path::Path, process::Output};

use anyhow::{Context as _, Result, ensure};
use safetensors::{SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use stemma_tests::{Server, Zoo, client, databases, stemma};
use tempfile::TempDir;

const BASE: &str = "mandoc/scribe-v1";
const GERMAN: &str = "mandoc/scribe-v1-de";
/// Rows of their vocabulary.
const ROWS: usize = 2048;

/// Tensors in bf16 by name.
type Tensors = BTreeMap<String, (Vec<u8>, Vec<usize>)>;

/// Runs `stemma` in `place` with these words; it must succeed.
fn run(place: &Path, words: &str) -> Result<Output> {
    let out = stemma(place).args(words.split_whitespace()).output()?;
    ensure!(out.status.success(), "{words}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(out)
}

/// Runs `stemma` with words that it must refuse; gives its complaint.
fn refused(place: &Path, words: &str) -> Result<String> {
    let out = stemma(place).args(words.split_whitespace()).output()?;
    ensure!(!out.status.success(), "{words}: {}", String::from_utf8_lossy(&out.stdout));
    Ok(String::from_utf8(out.stderr)?)
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

    let refusal = refused(place.path(), "merge strict.yml none")?;
    let planned = run(place.path(), "merge recipe.yml --dry-run --json")?;
    let written = run(place.path(), "merge recipe.yml made")?;

    ensure!(refusal.contains("4 layers at most where another model has 5"), "{refusal}");
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

/// Two tokens more behind all others, in the tables and in the tokenizer.
fn with_tokens(from: &Path, to: &Path) -> Result<()> {
    changed(from, to, |all| {
        for (data, shape) in all.values_mut().filter(|(_, shape)| shape[0] == ROWS) {
            let row = data.len() / shape[0];
            data.extend_from_within(..2 * row);
            shape[0] += 2;
        }
    })?;
    let mut tokenizer = read(&from.join("tokenizer.json"))?;
    let vocab = tokenizer["model"]["vocab"].as_object_mut().context("no vocab")?;
    vocab.insert("xy".to_owned(), json!(ROWS));
    vocab.insert("xyxy".to_owned(), json!(ROWS + 1));
    let merges = tokenizer["model"]["merges"].as_array_mut().context("no merges")?;
    merges.extend([json!(["x", "y"]), json!(["xy", "xy"])]);
    fs_err::write(to.join("tokenizer.json"), tokenizer.to_string())?;
    let mut config = read(&from.join("config.json"))?;
    config["vocab_size"] = json!(ROWS + 2);
    Ok(fs_err::write(to.join("config.json"), config.to_string())?)
}

#[test]
fn tables_of_tokens_are_cut_where_asked_and_where_the_rest_of_the_result_fits_them() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let german = zoo.path(GERMAN)?;
    with_tokens(&german, &place.path().join("more"))?;
    let linear = |base: &str, more: &str| {
        format!(
            "merge_method: linear\nbase_model: {base}\nmodels: [{{model: {}}}, {{model: more}}]\nparameters: {{weight: \
             1}}\n{more}",
            german.display()
        )
    };
    let base = german.display().to_string();
    for (name, recipe) in [
        ("plain", linear(&base, "")),
        ("cut", linear(&base, "truncate_prefix: true\n")),
        ("heir", linear("more", "truncate_prefix: true\n")),
    ] {
        fs_err::write(place.path().join(format!("{name}.yml")), recipe)?;
    }

    let plain = refused(place.path(), "merge plain.yml none")?;
    let heir = refused(place.path(), "merge heir.yml none")?;
    let planned = run(place.path(), "merge cut.yml --dry-run --json")?;
    run(place.path(), "merge cut.yml cut")?;
    let flagged = run(place.path(), "merge plain.yml flagged --unsafe-truncate-embeddings")?;

    ensure!(plain.contains("vocab_mismatch: shape [2048, "), "{plain}");
    ensure!(
        plain.contains("the tables of tokens have 2048 rows in `") && plain.contains("2050 in `more`"),
        "{plain}"
    );
    ensure!(
        plain.contains(
            "the first 2048 rows are the same tokens in all tokenizers, so `truncate_prefix: true`"
        )
    );
    ensure!(
        heir.contains("`more`, which the result gets, has tokens up to row 2049, and 2048 rows are left"),
        "{heir}"
    );
    let planned: Value = serde_json::from_slice(&planned.stdout)?;
    ensure!(planned["vocabulary"] == ROWS, "{planned}");
    let policy = &planned["policies"][0];
    ensure!(policy["pointer"] == "/truncate_prefix" && policy["outcome"] == "cut", "{planned}");
    ensure!(policy["rows"] == ROWS && policy["tensors"].as_u64().is_some_and(|count| count > 0), "{planned}");
    let made = place.path().join("cut");
    ensure!(read(&made.join("config.json"))?["vocab_size"] == ROWS);
    ensure!(fs_err::read(made.join("tokenizer.json"))? == fs_err::read(german.join("tokenizer.json"))?);
    // The rows that are left are the same in both models.
    ensure!(tensors(&made)? == tensors(&german)?);
    ensure!(tensors(&place.path().join("flagged"))? == tensors(&made)?);
    let note = String::from_utf8_lossy(&flagged.stderr);
    ensure!(note.contains("note: --unsafe-truncate-embeddings is `truncate_prefix: true` here"), "{note}");
    let kept = fs_err::read_to_string(place.path().join("flagged/mergekit_config.yml"))?;
    ensure!(kept.starts_with("# Merged with --unsafe-truncate-embeddings.\nmerge_method"), "{kept}");
    Ok(())
}

#[test]
fn models_of_different_architectures_are_merged_in_what_they_have_in_common() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let (base, german) = (zoo.path(BASE)?, zoo.path(GERMAN)?);
    changed(&german, &place.path().join("other"), |all| {
        let renamed =
            std::mem::take(all).into_iter().map(|(name, held)| (name.replace("layers", "blocks"), held));
        all.extend(renamed);
    })?;
    let recipe = format!(
        "merge_method: linear\nbase_model: {base}\nmodels: [{{model: {base}}}, {{model: other}}]\nparameters: {{weight: \
         1}}\n",
        base = base.display()
    );
    fs_err::write(place.path().join("recipe.yml"), recipe)?;

    let strict = refused(place.path(), "merge recipe.yml none")?;
    let written = run(place.path(), "merge recipe.yml made --allow-crimes")?;

    ensure!(
        strict.contains("are of different architectures") && strict.contains("`allow_crimes: true`"),
        "{strict}"
    );
    let (made, ours, theirs) =
        (tensors(&place.path().join("made"))?, tensors(&base)?, tensors(&place.path().join("other"))?);
    ensure!(made.keys().eq(ours.keys()));
    let changed: Vec<&String> =
        made.iter().filter(|(name, held)| ours[*name] != **held).map(|(name, _)| name).collect();
    ensure!(!changed.is_empty() && changed.iter().all(|name| theirs.contains_key(*name)), "{changed:?}");
    ensure!(ours.keys().filter(|name| !theirs.contains_key(*name)).all(|name| made[name] == ours[name]));
    let warned = String::from_utf8_lossy(&written.stderr);
    let foreign = ours.keys().filter(|name| !theirs.contains_key(*name)).count();
    let copied = format!(
        "warning: /allow_crimes: tensors that the models do not have in common are copied from `{}`, {foreign} in all: ",
        base.display()
    );
    ensure!(warned.contains(&copied), "{warned}");
    ensure!(
        warned
            .contains("warning: /allow_crimes: tensors that the models do not have in common are left out, "),
        "{warned}"
    );
    let record = read(&place.path().join("made/stemma_recipe.json"))?;
    ensure!(record["config"]["allow_crimes"] == true, "{record}");
    let kept = fs_err::read_to_string(place.path().join("made/mergekit_config.yml"))?;
    ensure!(kept.starts_with("# Merged with --allow-crimes.\n"), "{kept}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_over_rest_tells_what_each_policy_decides() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let deep = place.path().join("deep");
    changed(&zoo.path(GERMAN)?, &deep, with_a_layer)?;
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        for (id, at) in [(GERMAN, zoo.path(GERMAN)?), ("tests/deep", deep.clone())] {
            let out = server.stemma().args(["import", "dir"]).arg(at).args(["--id", id]).output()?;
            ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
        let asked = async |more: &str| -> Result<Value> {
            let config = format!(
                "{{merge_method: linear, models: [{{model: {GERMAN}}}, {{model: tests/deep}}], parameters: {{weight: 1}}, {more}}}"
            );
            let body = json!({ "config": config });
            let answer = client.post(server.url("/api/v1/merges?dry_run=true")).json(&body).send().await?;
            Ok(answer.json().await?)
        };

        let (plain, union, skip) =
            (asked("seed: 0").await?, asked("missing: union").await?, asked("missing: skip").await?);

        ensure!(plain["errors"].to_string().contains("has 4 layers where another model has 5"), "{plain}");
        ensure!(union["policies"][0]["outcome"] == "copied", "{union}");
        ensure!(union["policies"][0]["model"] == "tests/deep", "{union}");
        ensure!(skip["policies"][0]["outcome"] == "left_out", "{skip}");
        let count = |told: &Value| told["policies"][0]["tensors"].as_u64().unwrap_or_default();
        ensure!(count(&skip) > 1 && count(&skip) == count(&union), "{skip}");
        let tensors = |told: &Value| told["tensors"].as_u64().unwrap_or_default();
        ensure!(tensors(&union) == tensors(&skip) + count(&skip), "{union}");
        ensure!(union["recipe_digest"] != skip["recipe_digest"]);
        ensure!(skip["warnings"][0]["pointer"] == "/missing", "{skip}");
    }
    Ok(())
}

#[test]
fn elements_that_are_no_numbers_are_refused_by_name_or_let_through_and_counted() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let (base, german) = (zoo.path(BASE)?, zoo.path(GERMAN)?);
    let name = "model.layers.0.mlp.up_proj.weight";
    changed(&german, &place.path().join("spoiled"), |all| {
        if let Some((data, _)) = all.get_mut(name) {
            // NaN and an infinity in bf16.
            data[..4].copy_from_slice(&[0xC0, 0x7F, 0x80, 0xFF]);
        }
    })?;
    let recipe = format!(
        "merge_method: ties\nbase_model: {}\nmodels: [{{model: spoiled}}, {{model: {}}}]\nparameters: {{weight: 1}}\n",
        base.display(),
        german.display()
    );
    fs_err::write(place.path().join("strict.yml"), &recipe)?;
    fs_err::write(place.path().join("allowed.yml"), format!("{recipe}allow_nonfinite: true\n"))?;

    let strict = refused(place.path(), "merge strict.yml none")?;
    let written = run(place.path(), "merge allowed.yml made")?;

    ensure!(strict.contains(&format!("`spoiled` holds NaN in tensor `{name}` at element 0")), "{strict}");
    let made = place.path().join("made");
    let result = tensors(&made)?;
    ensure!(result[name].0[..4] == [0xC0, 0x7F, 0xC0, 0x7F]);
    let codes = result.values().flat_map(|(data, _)| data.as_chunks::<2>().0);
    ensure!(codes.filter(|code| u16::from_le_bytes(**code) & 0x7F80 == 0x7F80).count() == 2);
    let told = "`spoiled` has 1 NaN and 1 infinite elements, in 1 of the tensors";
    let warned = String::from_utf8_lossy(&written.stderr);
    ensure!(
        warned.contains(&format!(
            "warning: /allow_nonfinite: elements that are no numbers were let through: {told}"
        )),
        "{warned}"
    );
    let record = read(&made.join("stemma_provenance.json"))?;
    ensure!(
        record["nonfinite"] == json!([{ "model": "spoiled", "nan": 1, "infinite": 1, "tensors": 1 }]),
        "{record}"
    );
    ensure!(fs_err::read_to_string(made.join("README.md"))?.contains(&format!("- {told}\n")));
    Ok(())
}
