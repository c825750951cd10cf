//! The same journey without a server: folders and dumps in, trees, numbers, diffs, transfers and merges out.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use safetensors::SafeTensors;
use serde_json::Value;
use stemma_tests::{Database, Place, Zoo, databases};

#[test]
fn the_demo_listens_where_the_configuration_says() -> Result<()> {
    let place = Place::on(&Database::Sqlite)?;
    let mut command = place.command("demo");
    let mut demo = command.env("STEMMA_LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).spawn()?;
    let mut told = String::new();

    BufReader::new(demo.stdout.take().context("no output")?).read_line(&mut told)?;

    demo.kill()?;
    demo.wait()?;
    ensure!(told.starts_with("listening on http://127.0.0.1:") && !told.contains(":8080"), "{told}");
    Ok(())
}

#[test]
fn an_argument_that_is_not_text_is_a_usage_error() -> Result<()> {
    let place = Place::on(&Database::Sqlite)?;
    let mut command = place.command("tree --nope");

    let out = command.arg(OsStr::from_bytes(b"\xff")).output()?;

    let told = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(2) && told.contains("--nope"), "{}: {told}", out.status);
    ensure!(!told.contains("panicked"), "{told}");
    Ok(())
}

#[test]
fn a_derived_model_is_written_to_a_folder_and_registered_with_its_parents() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let place = Place::on(&database)?.with_zoo(&zoo)?;

        place.run(
            "transfer --from-base mandoc/scribe-v1 --from-tuned mandoc/scribe-v1-de --to-base mandoc/scribe-v1.1 \
             carried --register tests/carried",
        )?;
        place.write("soup.yml", SOUP)?;
        place.run("merge soup.yml soup --register tests/soup")?;

        for (folder, id, parents) in [
            ("carried", "tests/carried", ["mandoc/scribe-v1-de", "mandoc/scribe-v1.1"]),
            ("soup", "tests/soup", ["mandoc/scribe-v1-de", "mandoc/scribe-v1-fr"]),
        ] {
            for file in ["config.json", "tokenizer.json", "README.md", "stemma_recipe.json"] {
                ensure!(place.data.path().join(folder).join(file).is_file(), "{folder} has no {file}");
            }
            let made = place.read(&format!("{folder}/model.safetensors"))?;
            let like = fs_err::read(zoo.path("mandoc/scribe-v1")?.join("model.safetensors"))?;
            same_layout(&made, &like)?;
            let tree = place.run(&format!("tree {id}"))?;
            ensure!(parents.iter().any(|parent| tree.contains(parent)), "{tree}");
            let again = place.command("merge soup.yml").arg(folder).output()?;
            ensure!(again.status.code() == Some(4), "a folder in use is not overwritten: {}", again.status);
        }
        let same = place.json("diff carried tests/carried")?;
        ensure!(same["totals"]["relative_l2"] == 0.0, "{}", same["totals"]);
    }
    Ok(())
}

const SOUP: &str = "merge_method: linear\nmodels:\n  - model: mandoc/scribe-v1-de\n    parameters: {weight: 0.5}\n  \
                    - model: mandoc/scribe-v1-fr\n    parameters: {weight: 0.5}\n";

fn same_layout(a: &[u8], b: &[u8]) -> Result<()> {
    let (a, b) = (SafeTensors::deserialize(a)?, SafeTensors::deserialize(b)?);
    ensure!(a.len() == b.len(), "{} tensors against {}", a.len(), b.len());
    for (name, left) in a.tensors() {
        let right = b.tensor(&name)?;
        ensure!(left.shape() == right.shape() && left.dtype() == right.dtype(), "{name} differs");
    }
    Ok(())
}

#[test]
fn a_model_merged_with_itself_comes_back_bit_for_bit() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, Place::on(&Database::Sqlite)?);
    let own = zoo.path("mandoc/scribe-v1-de")?;
    let entry = format!("  - model: {}\n    parameters: {{weight: 0.37}}\n", own.display());
    place.write("twins.yml", &format!("merge_method: linear\nmodels:\n{entry}{entry}"))?;

    place.run("merge twins.yml out")?;

    let (made, own) = (place.read("out/model.safetensors")?, fs_err::read(own.join("model.safetensors"))?);
    let (made, own) = (SafeTensors::deserialize(&made)?, SafeTensors::deserialize(&own)?);
    for (name, view) in own.tensors() {
        ensure!(made.tensor(&name)?.data() == view.data(), "{name} is not the same bytes");
    }
    Ok(())
}

#[test]
fn a_diff_is_written_and_adding_it_back_gives_the_fine_tune() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, Place::on(&Database::Sqlite)?);
    let path = |id: &str| Ok::<_, anyhow::Error>(zoo.path(id)?.display().to_string());
    let (tuned, base) = (path("mandoc/scribe-v1-de")?, path("mandoc/scribe-v1")?);

    place.run(&format!("diff {tuned} {base} --out delta.safetensors"))?;

    let about = fs_err::metadata(place.data.path().join("delta.safetensors"))?;
    ensure!(about.permissions().mode() & 0o444 == 0o444, "others cannot read it");
    let delta = place.read("delta.safetensors")?;
    let delta = SafeTensors::deserialize(&delta)?;
    let [tuned, base] = [tuned, base].map(|at| fs_err::read(Path::new(&at).join("model.safetensors")));
    let (tuned, base) = (tuned?, base?);
    let (tuned, base) = (SafeTensors::deserialize(&tuned)?, SafeTensors::deserialize(&base)?);
    ensure!(delta.len() == tuned.len());
    for (name, view) in delta.tensors() {
        let parts = view.data().as_chunks::<4>().0.iter().zip(bf16(base.tensor(&name)?.data()));
        for ((raw, base), tuned) in parts.zip(bf16(tuned.tensor(&name)?.data())) {
            let sum = f32::from_le_bytes(*raw) + base;
            ensure!(
                (sum - tuned).abs() <= 1e-6 * tuned.abs().max(base.abs()),
                "{name}: {sum} against {tuned}"
            );
        }
    }
    Ok(())
}

fn bf16(bytes: &[u8]) -> Vec<f32> {
    let wide = |raw: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*raw)) << 16);
    bytes.as_chunks::<2>().0.iter().map(wide).collect()
}

#[test]
fn a_sharded_checkpoint_is_the_same_model_as_a_whole_one() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, Place::on(&Database::Sqlite)?);
    let whole = zoo.path("papyrus/reed-v1")?;
    let sharded = place.data.path().join("sharded");
    shard(&whole, &sharded)?;

    place.run(&format!("import dir {} --id tests/sharded", sharded.display()))?;
    let report = place.json(&format!("diff tests/sharded {}", whole.display()))?;

    ensure!(report["totals"]["relative_l2"] == 0.0, "{}", report["totals"]);
    ensure!(report["tensors"].as_array().is_some_and(|t| t.iter().all(|t| t["identical"] == true)));

    fs_err::remove_file(sharded.join("model-00002-of-00002.safetensors"))?;
    let out = place.command("import dir sharded --id tests/torn").output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(1) && said.contains("model-00002-of-00002.safetensors"), "{said}");
    Ok(())
}

/// Cuts a checkpoint into two shards with an index.
fn shard(whole: &Path, out: &Path) -> Result<()> {
    fs_err::create_dir_all(out)?;
    fs_err::copy(whole.join("config.json"), out.join("config.json"))?;
    let bytes = fs_err::read(whole.join("model.safetensors"))?;
    let tensors = SafeTensors::deserialize(&bytes)?;
    let mut map = serde_json::Map::new();
    for shard in 1..=2 {
        let file = format!("model-{shard:05}-of-00002.safetensors");
        let mine: Vec<_> = tensors
            .tensors()
            .into_iter()
            .enumerate()
            .filter(|(at, _)| at % 2 + 1 == shard)
            .map(|(_, t)| t)
            .collect();
        map.extend(mine.iter().map(|(name, _)| (name.clone(), Value::from(file.clone()))));
        safetensors::serialize_to_file(mine, None, &out.join(&file))?;
    }
    let index = serde_json::json!({ "metadata": { "total_size": 0 }, "weight_map": map });
    Ok(fs_err::write(out.join("model.safetensors.index.json"), index.to_string())?)
}

#[test]
fn a_dump_with_bad_rows_is_imported_and_the_bad_rows_are_named() -> Result<()> {
    for database in databases() {
        let place = Place::on(&database)?;
        place.write(
            "models.jsonl",
            concat!(
                "{\"id\":\"a/base\",\"tags\":[\"license:mit\"]}\n",
                "{\"id\":\"a/tuned\",\"cardData\":{\"base_model\":\"A/Base\"}}\n",
                "not json\n",
                "{\"id\":\"../etc/passwd\"}\n",
                "{\"id\":\"Jobs/x\"}\n",
                "{\"id\":\"a/loop\",\"tags\":[\"base_model:finetune:a/loop\"]}\n",
                "{\"id\":\"a/one\",\"tags\":[\"base_model:finetune:a/two\"]}\n",
                "{\"id\":\"a/two\",\"tags\":[\"base_model:finetune:a/one\",\"base_model:merge:gone/away\"]}\n",
            ),
        )?;
        place.write("models.csv", "id,base_model,license\nb/child,a/base,mit\n,,\n")?;

        let report = place.json("import dump models.jsonl models.csv")?;

        ensure!(report[0]["rows"] == 8 && report[0]["skipped"] == 3, "{report}");
        let lines: Vec<_> =
            report[0]["skipped_rows"].as_array().into_iter().flatten().map(|r| &r["line"]).collect();
        ensure!(lines == [3, 4, 5], "{report}");
        ensure!(report[1]["skipped"] == 1 && report[1]["models_inserted"] == 1, "{report}");
        let tree = place.run("tree a/base")?;
        ensure!(
            tree.contains("a/tuned") && tree.contains("b/child"),
            "another case is the same model: {tree}"
        );
        let tree = place.json("tree a/two")?;
        ensure!(tree["nodes"].to_string().contains("gone/away"), "a missing parent is shown: {tree}");
        let again = place.json("import dump models.jsonl")?;
        ensure!(again[0]["models_inserted"] == 0, "a second import adds nothing: {again}");
    }
    Ok(())
}

#[test]
fn every_command_answers_with_one_json_document() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, Place::on(&Database::Sqlite)?);
    let place = place.with_zoo(&zoo)?;
    place.write("soup.yml", SOUP)?;
    for words in [
        "tree mandoc/scribe-v1",
        "kinship mandoc/scribe-v1-de mandoc/scribe-v1-fr --base mandoc/scribe-v1 --per-layer",
        "relatives mandoc/scribe-v1-de --limit 3",
        "diff mandoc/scribe-v1-de mandoc/scribe-v1",
        "merge soup.yml --dry-run",
        "openapi",
        "doctor",
        "config show",
    ] {
        place.json(words).with_context(|| format!("{words} prints something else"))?;
    }
    let out = place.command("tree no/where --json").output()?;
    let problem: Value = serde_json::from_slice(&out.stderr)?;
    ensure!(problem["code"] == "unknown_model" && out.stdout.is_empty(), "{problem}");
    Ok(())
}

#[test]
fn random_masks_are_the_same_wherever_and_however_a_model_is_stored() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let place = Place::on(&Database::Sqlite)?.with_zoo(&zoo)?;
    let (base, tuned) = ("mandoc/scribe-v1", "mandoc/scribe-v1-de");
    let folder = zoo.path(tuned)?;
    shard(&folder, &place.data.path().join("sharded"))?;
    place.run("import dir sharded --id tests/sharded")?;
    let merged = |out: &str, model: &str| -> Result<Vec<u8>> {
        let step = |name: &str, model: &str| {
            format!(
                "name: {name}\nmerge_method: dare_ties\nbase_model: {base}\nmodels: [{{model: {model}, parameters: \
                 {{weight: 0.5, density: 0.5}}}}]\n"
            )
        };
        // A mask of a mask: what a stage is must not depend on names either.
        place.write("recipe.yml", &format!("{}---\n{}", step("first", model), step("last", "first")))?;
        place.run(&format!("merge recipe.yml {out}"))?;
        place.read(&format!("{out}/model.safetensors"))
    };

    let registered = merged("registered", tuned)?;

    ensure!(merged("of-folder", &folder.display().to_string())? == registered, "a folder");
    ensure!(merged("of-shards", "tests/sharded")? == registered, "registered in shards");
    ensure!(merged("of-sharded-folder", "sharded")? == registered, "a folder of shards");
    Ok(())
}

#[test]
fn changes_are_carried_from_base_to_base_along_the_lineage_of_a_fine_tune() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, Place::on(&Database::Sqlite)?);
    let place = place.with_zoo(&zoo)?;
    let tuned = "mandoc/scribe-v1-de";

    place.run(&format!(
        "transfer --from-tuned {tuned} --to-base mandoc/scribe-v1.1 start --register t/start"
    ))?;
    place.run(&format!(
        "transfer --from-base mandoc/scribe-v1 --from-tuned {tuned} --to-base mandoc/scribe-v1.1 named"
    ))?;
    // What was tuned from the start: here the start itself, under another name.
    let card = "---\nbase_model: t/start\n---\n";
    place.run("import dir start --id t/tuned")?;
    place.write("start/README.md", card)?;
    place.run("import dir start --id t/tuned")?;
    place.run("transfer --from-tuned t/tuned --to-base mandoc/scribe-v1 next --register t/next")?;

    let same = place.json("diff start named")?;
    ensure!(same["totals"]["relative_l2"] == 0.0, "{}", same["totals"]);
    let recipe: Value = serde_json::from_slice(&place.read("next/stemma_recipe.json")?)?;
    ensure!(recipe["source_base"]["id"] == "mandoc/scribe-v1.1", "{recipe}");
    let out = place
        .command("transfer")
        .args(["--from-tuned", "mandoc/scribe-v1", "--to-base", tuned, "x"])
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(1) && said.contains("it has no parent here; name its base"), "{said}");
    Ok(())
}

fn half_way(one: &str, other: &str) -> String {
    let entry = |model: &str| format!("  - {{model: {model}, parameters: {{weight: 0.5}}}}\n");
    format!("merge_method: linear\ndtype: float32\nmodels:\n{}{}", entry(one), entry(other))
}

#[test]
fn an_adapter_is_measured_and_merged_as_its_base_with_it_applied() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, Place::on(&Database::Sqlite)?);
    let place = place.with_zoo(&zoo)?;
    let adapter = "community/scribe-es-lora";

    let report = place.json(&format!("diff {adapter} mandoc/scribe-v1"))?;
    let changed: Vec<&str> = report["tensors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|tensor| tensor["identical"] == false)
        .filter_map(|tensor| tensor["name"].as_str())
        .collect();
    ensure!(
        !changed.is_empty() && changed.iter().all(|n| n.contains("q_proj") || n.contains("v_proj")),
        "{changed:?}"
    );

    place.write(
        "baked.yml",
        &format!("merge_method: linear\nmodels: [{{model: {adapter}, parameters: {{weight: 1}}}}]\n"),
    )?;
    place.run("merge baked.yml baked --register tests/baked")?;
    let config: Value = serde_json::from_slice(&place.read("baked/config.json")?)?;
    ensure!(config["architectures"][0] == "LlamaForCausalLM", "{config}");
    for spelled in [adapter.to_owned(), format!("mandoc/scribe-v1+{adapter}")] {
        let same = place.json(&format!("diff baked {spelled}"))?;
        ensure!(same["totals"]["relative_l2"] == 0.0, "{spelled}: {}", same["totals"]);
    }
    let tree = place.run("tree tests/baked")?;
    ensure!(tree.contains(adapter), "{tree}");

    // Rounded to the format of its base, an adapter is what a copy on disk is.
    place.write("halves.yml", &half_way(adapter, "mandoc/scribe-v1-de"))?;
    place.write("copied.yml", &half_way("baked", "mandoc/scribe-v1-de"))?;
    place.run("merge halves.yml unrounded")?;
    place.run("merge halves.yml rounded --lora-merge-dtype bfloat16")?;
    place.run("merge copied.yml copied")?;
    let apart = |from: &str| {
        Ok::<_, anyhow::Error>(place.json(&format!("diff {from} copied"))?["totals"]["relative_l2"].clone())
    };
    ensure!(
        apart("rounded")? == 0.0 && apart("unrounded")? != 0.0,
        "{} {}",
        apart("rounded")?,
        apart("unrounded")?
    );

    let alone = Place::on(&Database::Sqlite)?;
    let out = alone.command("diff").arg(zoo.path(adapter)?).arg(zoo.path("mandoc/scribe-v1")?).output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(4) && said.contains("no_base"), "{said}");
    Ok(())
}

#[test]
fn kinship_from_sketches_is_within_its_error_of_the_exact_one_on_every_pair() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let place = Place::on(&database)?.with_zoo(&zoo)?;
        let ids: Vec<String> = zoo.ids()?.into_iter().filter(|id| id != "mandoc/scribe-v1").collect();
        let words = format!("kinship {} --base mandoc/scribe-v1", ids.join(" "));

        let exact = place.json(&words)?;
        let estimate = place.json(&format!("{words} --estimate"))?;

        ensure!(exact["exact"] == true && estimate["exact"] == false);
        ensure!(exact["standard_errors"].is_null(), "{exact}");
        for measure in ["cosine", "pearson", "euclidean"] {
            for i in 0..ids.len() {
                for j in 0..ids.len() {
                    let of = |report: &Value, part: &str| report[part][measure][i][j].as_f64();
                    let (value, sure) = (of(&estimate, "matrices"), of(&exact, "matrices"));
                    let (value, sure) = (value.context("no estimate")?, sure.context("no exact value")?);
                    let error = of(&estimate, "standard_errors").context("no error")?;
                    let what =
                        format!("{measure} of {} and {}: {value} ± {error}, exactly {sure}", ids[i], ids[j]);
                    ensure!((value - sure).abs() <= 4.0 * error + 1e-6 * sure.abs(), "{what}");
                    ensure!(measure == "euclidean" || error <= 0.005, "{what}");
                }
            }
        }
    }
    Ok(())
}

/// A copy of a model with one more token, whose rows are all ones.
fn with_token(from: &Path, to: &Path, token: &str) -> Result<()> {
    fs_err::create_dir_all(to)?;
    for file in ["README.md", "config.json"] {
        fs_err::copy(from.join(file), to.join(file))?;
    }
    let mut tokenizer: Value = serde_json::from_slice(&fs_err::read(from.join("tokenizer.json"))?)?;
    let added = tokenizer["added_tokens"].as_array_mut().context("added tokens")?;
    added.push(serde_json::json!({ "id": 2048, "content": token, "special": true }));
    fs_err::write(to.join("tokenizer.json"), tokenizer.to_string())?;
    let bytes = fs_err::read(from.join("model.safetensors"))?;
    let grown = SafeTensors::deserialize(&bytes)?.tensors().into_iter().map(|(name, view)| {
        let (mut shape, mut data) = (view.shape().to_vec(), view.data().to_vec());
        if name.contains("embed_tokens") || name.contains("lm_head") {
            shape[0] += 1;
            data.extend([0x80, 0x3f].repeat(shape[1]));
        }
        (name, (view.dtype(), shape, data))
    });
    let grown: Vec<_> = grown.collect();
    let views = grown.iter().map(|(name, (dtype, shape, data))| {
        Ok((name, safetensors::tensor::TensorView::new(*dtype, shape.clone(), data)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    Ok(fs_err::write(to.join("model.safetensors"), safetensors::serialize(views, None)?)?)
}

#[test]
fn a_transfer_takes_an_added_token_along_or_keeps_the_target_as_it_is() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, Place::on(&Database::Sqlite)?);
    let [base, target, tuned] =
        ["mandoc/scribe-v1", "mandoc/scribe-v1.1", "mandoc/scribe-v1-de"].map(|id| zoo.path(id));
    let (base, target, grown) = (base?, target?, place.data.path().join("grown"));
    with_token(&tuned?, &grown, "<new>")?;
    let operands = format!(
        "transfer --from-base {} --from-tuned {} --to-base {}",
        base.display(),
        grown.display(),
        target.display()
    );

    let report = place.json(&format!("{operands} --check"))?;
    place.run(&format!("{operands} --lambda 0.5 carried"))?;
    place.run(&format!("{operands} --preset shadow_ft shadowed"))?;

    ensure!(report["rows"][0]["rows"] == 2049 && report["rows"][0]["in_source_base"] == 2048, "{report}");
    ensure!(report["verdict"] == "likely works", "{report}");
    let config = |name: &str| -> Result<Value> {
        Ok(serde_json::from_slice(&place.read(&format!("{name}/config.json"))?)?)
    };
    ensure!(config("carried")?["vocab_size"] == 2049 && config("shadowed")?["vocab_size"] == 2048);
    let carried = place.read("carried/model.safetensors")?;
    let carried = SafeTensors::deserialize(&carried)?;
    let table = carried.tensor("model.embed_tokens.weight")?;
    ensure!(
        table.shape() == [2049, 128] && table.data().ends_with(&[0x00, 0x3f].repeat(128)),
        "half of ones"
    );
    ensure!(place.read("carried/tokenizer.json")? == place.read("grown/tokenizer.json")?);
    ensure!(place.read("shadowed/tokenizer.json")? == fs_err::read(target.join("tokenizer.json"))?);
    let recipe: Value = serde_json::from_slice(&place.read("shadowed/stemma_recipe.json")?)?;
    ensure!(recipe["preset"] == "shadow_ft", "{recipe}");
    Ok(())
}

#[test]
fn every_name_that_is_none_or_nobodys_is_told() -> Result<()> {
    let place = Place::on(&Database::Sqlite)?;
    place.json("migrate")?;
    let folder = place.data.path().join("out");
    for (words, told) in [
        ("fsck no/1 no/2 no/3".to_owned(), vec!["`no/1`", "`no/2`", "`no/3`"]),
        ("tree no/1 --relation cousin,aunt --size huge".to_owned(), vec!["`cousin`", "`aunt`", "`huge`"]),
        ("kinship no/1 no/2 --measure zork,frob".to_owned(), vec!["`zork`", "`frob`"]),
        (
            format!(
                "adapter extract --base no/1 --tuned no/2 {} --rank 2 --register a/b/c",
                folder.display()
            ),
            vec!["`no/1`", "`no/2`", "--register: `a/b/c`"],
        ),
        (
            format!("transplant no/1 no/2 {} --register a/b/c", folder.display()),
            vec!["`no/1`", "`no/2`", "--register: `a/b/c`"],
        ),
    ] {
        let out = place.command(&words).output()?;

        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(!out.status.success() && told.iter().all(|word| said.contains(word)), "{words}: {said}");
    }
    Ok(())
}
