//! Merges on the command line that have several results, tell what their tensors get, or lose values to their number format.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stemma_tests::{Database, Place, Zoo};

const DE: &str = "mandoc/scribe-v1-de";
const FR: &str = "mandoc/scribe-v1-fr";

/// A document of one method over two models.
fn document(name: &str, method: &str, [first, second]: [&str; 2]) -> String {
    let base = if method == "slerp" { format!("base_model: {first}\n") } else { String::new() };
    let value = if method == "slerp" { "{t: [0, 1]}" } else { "{weight: 1}" };
    format!(
        "---\nname: {name}\nmerge_method: {method}\n{base}models:\n- model: {first}\n- model: {second}\nparameters: {value}\n"
    )
}

#[test]
fn every_document_that_no_other_uses_is_made_in_a_folder_of_its_name() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let place = Place::on(&Database::Sqlite)?.with_zoo(&zoo)?;
    let (mid, arc) = (document("mid", "linear", [DE, FR]), document("arc", "slerp", [DE, FR]));
    let soup = document("soup", "linear", ["mid", "mandoc/scribe-v1"]);
    place.write("all.yml", &[&mid, &arc, &soup].map(String::as_str).concat())?;
    place.write("arc.yml", &arc)?;
    place.write("soup.yml", &format!("{mid}{soup}"))?;

    let forecast = place.json("merge all.yml --dry-run")?;
    place.run("merge all.yml out --register variants/")?;
    place.run("merge all.yml mid --document mid")?;
    place.run("merge arc.yml arc")?;
    place.run("merge soup.yml soup")?;

    let methods = ["arc", "soup"].map(|name| forecast[name]["method"].clone());
    ensure!(methods == ["slerp", "linear"], "{forecast}");
    for name in ["arc", "soup"] {
        let [one, other] = [format!("out/{name}"), name.to_owned()]
            .map(|folder| place.read(&format!("{folder}/model.safetensors")));
        ensure!(one? == other?, "{name}");
        ensure!(place.run(&format!("tree variants/{name}"))?.contains(DE), "{name}");
    }
    ensure!(
        !place.data.path().join("out/mid").exists() && place.data.path().join("mid/config.json").exists()
    );
    let kept = String::from_utf8(place.read("out/arc/mergekit_config.yml")?)?;
    ensure!(kept.contains("name: arc") && !kept.contains("name: soup"), "{kept}");
    for (words, told) in [
        ("merge all.yml out2 --register variants", "--register variants/"),
        ("merge all.yml out2 --document none", "there are `arc`, `mid`, `soup`"),
    ] {
        let out = place.command(words).output()?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(!out.status.success() && said.contains(told), "{words}: {said}");
    }
    Ok(())
}

#[test]
fn what_the_tensors_of_a_merge_get_is_told_without_making_it() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let place = Place::on(&Database::Sqlite)?.with_zoo(&zoo)?;
    place.write("arc.yml", &document("arc", "slerp", [DE, FR]))?;

    let all = place.json("merge arc.yml --explain")?;
    let some = place.run("merge arc.yml --explain=up_proj")?;

    let all = all.as_array().context("a list")?;
    let t = |layer: u32| {
        let name = format!("model.layers.{layer}.mlp.up_proj.weight");
        let told = all.iter().find(|told| told["tensor"] == name.as_str());
        told.and_then(|told| told["parameters"]["t"].as_f64()).context(name)
    };
    ensure!(t(0)? == 0.0 && (t(1)? - 1.0 / 3.0).abs() < 1e-12 && t(3)? == 1.0);
    ensure!(some.lines().count() == 4, "{some}");
    let line = some.lines().next().unwrap_or_default();
    ensure!(line == format!("model.layers.0.mlp.up_proj.weight: merged t=0.0; {DE}; {FR}"), "{line}");
    Ok(())
}

#[test]
fn values_lost_to_the_number_format_are_warned_of_and_recorded() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let place = Place::on(&Database::Sqlite)?.with_zoo(&zoo)?;
    let tiny = "merge_method: passthrough\nmodels:\n- model: mandoc/scribe-v1\nparameters:\n  scale:\n  - {filter: q_proj, value: 1e-9}\n  - value: 1\nout_dtype: float16\n";
    place.write("tiny.yml", tiny)?;

    let out = place.command("merge tiny.yml tiny").output()?;

    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(out.status.success() && said.contains("too small for F16 and became 0"), "{said}");
    let record: Value = serde_json::from_slice(&place.read("tiny/stemma_provenance.json")?)?;
    let warned = record["warnings"].as_array().context("warnings")?;
    ensure!(warned.iter().any(|item| item["pointer"] == "/dtype"), "{warned:?}");
    let tensors = record["tensors"].as_array().context("tensors")?;
    // A value of another tensor is as small by itself.
    let lost = tensors.iter().filter(|tensor| tensor["underflow"].as_u64().is_some_and(|count| count > 1));
    let names: Vec<&str> = lost.filter_map(|tensor| tensor["name"].as_str()).collect();
    ensure!(names.len() == 4 && names.iter().all(|name| name.contains("q_proj")), "{names:?}");
    Ok(())
}
