//! `stemma lineage`: who descends from whom by weights alone, as it is printed.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use stemma_tests::{Zoo, run, run_json, stemma};
use tempfile::TempDir;

#[test]
fn folders_are_told_as_a_tree_with_the_weights_of_a_merge() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let at = |name: &str| Ok::<_, anyhow::Error>(zoo.path(&format!("mandoc/{name}"))?.display().to_string());
    let [base, de, fr] = [at("scribe-v1")?, at("scribe-v1-de")?, at("scribe-v1-fr")?];
    let recipe = format!(
        "merge_method: linear\nmodels:\n  - model: {de}\n    parameters: {{weight: 0.7}}\n  - model: {fr}\n    \
         parameters: {{weight: 0.3}}\n"
    );
    fs_err::write(place.path().join("soup.yml"), recipe)?;
    run(stemma(place.path()), "merge soup.yml soup")?;
    let asked = format!("lineage {base} {de} {fr} soup");

    let told = run_json(stemma(place.path()), &asked)?;
    let text = run(stemma(place.path()), &asked)?;
    let dot = run(stemma(place.path()), &format!("{asked} --format dot"))?;

    let model = |id: &str| told["models"].as_array().into_iter().flatten().find(|model| model["id"] == id);
    ensure!(model("scribe-v1").is_some_and(|root| root["parents"] == json!([])), "{told}");
    let soup = model("soup").context("no soup")?;
    for (id, weight) in [("scribe-v1-de", 0.7), ("scribe-v1-fr", 0.3)] {
        ensure!(model(id).is_some_and(|child| child["parents"][0]["id"] == "scribe-v1"), "{told}");
        let parent = soup["parents"].as_array().into_iter().flatten().find(|parent| parent["id"] == id);
        let found = parent.and_then(|parent| parent["weight"].as_f64()).with_context(|| soup.to_string())?;
        ensure!((found - weight).abs() < 0.01, "{id}: {found}");
        ensure!(dot.contains(&format!("\"{id}\" -> \"soup\"")), "{dot}");
    }
    // Below the parent of the larger weight, two steps under the root.
    let order = ["scribe-v1\n", "\n  scribe-v1-de ", "\n    soup  merge of ", "\n  scribe-v1-fr "];
    let places: Vec<_> = order.iter().map(|line| text.find(line)).collect();
    ensure!(places[0] == Some(0) && places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    Ok(())
}
