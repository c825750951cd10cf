//! Derived models of the demo's trained ones against references computed here: transfers and stacked slices.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use safetensors::SafeTensors;
use serde_json::Value;
use stemma_tests::{Zoo, run_json, stemma};
use tempfile::TempDir;

fn bf16(bytes: &[u8]) -> Vec<f64> {
    let wide = |raw: &[u8; 2]| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(*raw)) << 16));
    bytes.as_chunks::<2>().0.iter().map(wide).collect()
}

fn weights(folder: &Path) -> Result<Vec<u8>> {
    Ok(fs_err::read(folder.join("model.safetensors"))?)
}

/// Runs `stemma` in `place` with these arguments; it must succeed.
fn run(place: &Path, arguments: &[&str]) -> Result<()> {
    let out = stemma(place).args(arguments).output()?;
    ensure!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

#[test]
fn a_transferred_fine_tune_is_the_float64_sum_to_one_unit_in_the_last_place() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let (base, target) = (zoo.path("mandoc/scribe-v1")?, zoo.path("mandoc/scribe-v1.1")?);
    for language in ["de", "fr"] {
        let tuned = zoo.path(&format!("mandoc/scribe-v1-{language}"))?;
        let paths = [&base, &tuned, &target].map(|path| path.display().to_string());
        let [from_base, from_tuned, to_base] = paths.each_ref().map(String::as_str);

        run(
            place.path(),
            &[
                "transfer",
                "--from-base",
                from_base,
                "--from-tuned",
                from_tuned,
                "--to-base",
                to_base,
                language,
            ],
        )?;

        let made = weights(&place.path().join(language))?;
        let made = SafeTensors::deserialize(&made)?;
        let files = [weights(&target)?, weights(&tuned)?, weights(&base)?];
        let [target, tuned, base] =
            [&files[0], &files[1], &files[2]].map(|file| SafeTensors::deserialize(file));
        let (target, tuned, base) = (target?, tuned?, base?);
        ensure!(made.len() == target.len());
        for (name, view) in target.tensors() {
            let of = |file: &SafeTensors<'_>| Ok::<_, anyhow::Error>(bf16(file.tensor(&name)?.data()));
            let terms = bf16(view.data()).into_iter().zip(of(&tuned)?).zip(of(&base)?);
            for (got, ((target, tuned), base)) in of(&made)?.into_iter().zip(terms) {
                let wanted = target + (tuned - base);
                let ulp =
                    f64::from(f32::from_bits(((wanted as f32).to_bits() & 0x7F80_0000).max(0x0080_0000)))
                        / 128.0;
                ensure!((got - wanted).abs() <= ulp, "{language} {name}: {got} against {wanted}");
            }
        }
    }
    Ok(())
}

#[test]
fn stacked_slices_give_a_model_of_as_many_layers_as_its_configuration_says() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let (base, tuned) = (zoo.path("mandoc/scribe-v1")?, zoo.path("mandoc/scribe-v1-de")?);
    let config = |folder: &Path| -> Result<u64> {
        let config: Value = serde_json::from_slice(&fs_err::read(folder.join("config.json"))?)?;
        config["num_hidden_layers"].as_u64().context("no number of layers")
    };
    let layers = config(&base)?;
    let recipe = format!(
        "merge_method: passthrough\ndtype: bfloat16\nslices:\n  - sources: [{{model: {0}, layer_range: [0, {2}]}}]\n  - \
         sources: [{{model: {1}, layer_range: [1, {2}]}}]\n",
        base.display(),
        tuned.display(),
        layers
    );
    fs_err::write(place.path().join("stack.yml"), recipe)?;

    run(place.path(), &["merge", "stack.yml", "stack"])?;

    let made = place.path().join("stack");
    let file = weights(&made)?;
    let stacked = SafeTensors::deserialize(&file)?;
    let numbers = stacked
        .names()
        .into_iter()
        .filter_map(|name| name.strip_prefix("model.layers.")?.split('.').next()?.parse::<u64>().ok());
    ensure!(config(&made)? == 2 * layers - 1);
    ensure!(numbers.max() == Some(2 * layers - 2));
    let last = format!("model.layers.{}.mlp.up_proj.weight", 2 * layers - 2);
    let own = weights(&tuned)?;
    let own = SafeTensors::deserialize(&own)?;
    let top = format!("model.layers.{}.mlp.up_proj.weight", layers - 1);
    ensure!(stacked.tensor(&last)?.data() == own.tensor(&top)?.data());
    Ok(())
}

#[test]
fn a_stored_difference_of_any_form_is_carried_over_like_the_models_it_was_taken_of() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let paths = ["mandoc/scribe-v1-de", "mandoc/scribe-v1", "mandoc/scribe-v1.1"].map(|id| zoo.path(id));
    let [tuned, base, target] = paths;
    let paths = [tuned?, base?, target?].map(|path| path.display().to_string());
    let [tuned, base, target] = paths.each_ref().map(String::as_str);
    let forms: [(&str, &[&str]); 5] = [
        ("dense", &[]),
        ("sparse", &["--form", "sparse", "--density", "0.1"]),
        ("low-rank", &["--form", "low-rank", "--rank", "4"]),
        ("bitdelta", &["--form", "bitdelta"]),
        ("skillpack-rtn", &["--form", "skillpack-rtn"]),
    ];
    for (form, options) in forms {
        let (file, applied) = (format!("{form}.safetensors"), format!("{form}-applied"));
        run(place.path(), &[&["diff", tuned, base, "--out", &file], options].concat())?;

        run(place.path(), &["transfer", "--diff", &file, "--to-base", target, form])?;

        run(place.path(), &["diff", "apply", target, &file, &applied])?;
        let [made, wanted] = [form, &applied].map(|name| weights(&place.path().join(name)));
        ensure!(made? == wanted?, "{form}");
    }
    let three = ["transfer", "--from-base", base, "--from-tuned", tuned, "--to-base", target, "three"];
    run(place.path(), &three)?;
    let [dense, three, sparse] = ["dense", "three", "sparse"].map(|name| weights(&place.path().join(name)));
    let dense = dense?;
    ensure!(dense == three?, "a dense difference holds all that is between two models");
    ensure!(dense != sparse?);
    let some = ["transfer", "--diff", "dense.safetensors", "--to-base", target, "some", "--include", "mlp"];
    run(place.path(), &some)?;
    let some = weights(&place.path().join("some"))?;
    ensure!(some != dense && some != weights(Path::new(target))?);
    Ok(())
}

#[test]
fn a_planned_merge_is_measured_and_carried_over_like_the_one_that_was_made() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let path = |id: &str| Ok::<_, anyhow::Error>(zoo.path(id)?.display().to_string());
    let (base, target) = (path("mandoc/scribe-v1")?, path("mandoc/scribe-v1.1")?);
    let (german, french) = (path("mandoc/scribe-v1-de")?, path("mandoc/scribe-v1-fr")?);
    let recipe = format!(
        "merge_method: dare_ties\nbase_model: {base}\nmodels:\n  - {{model: {german}, parameters: {{weight: 0.6, density: \
         0.5}}}}\n  - {{model: {french}, parameters: {{weight: 0.4, density: 0.5}}}}\ndtype: bfloat16\n"
    );
    fs_err::write(place.path().join("soup.yml"), recipe)?;
    let json = |words: &str| run_json(stemma(place.path()), words);
    let carried = |tuned: &str, out: &str| {
        let from = ["transfer", "--from-base", &base, "--from-tuned", tuned, "--to-base", &target, out];
        run(place.path(), &from)
    };

    run(place.path(), &["merge", "soup.yml", "soup"])?;

    let report = json("diff soup.yml soup")?;
    ensure!(report["totals"]["identical"] == report["totals"]["tensors"], "{}", report["verdict"]);
    let kinship = |model: &str| json(&format!("kinship {model} {german} --base {base}"));
    let (planned, made) = (kinship("soup.yml")?, kinship("soup")?);
    ensure!(planned["matrices"] == made["matrices"], "{planned} {made}");
    carried("soup.yml", "from-recipe")?;
    carried("soup", "from-folder")?;
    let [one, other] = ["from-recipe", "from-folder"].map(|name| weights(&place.path().join(name)));
    ensure!(one? == other?);
    let check =
        json(&format!("transfer --from-base {base} --from-tuned soup.yml --to-base {target} --check"))?;
    ensure!(check["coverage"]["share"] == 1.0, "{}", check["coverage"]);
    Ok(())
}
