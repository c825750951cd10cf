//! What the commands about descent say of edges, and of checkpoint folders that are not registered.

use anyhow::{Result, ensure};
use stemma_tests::{Database, Place, Zoo};

#[test]
fn a_tree_tells_how_its_edges_are_known_and_who_else_claims_the_model() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let place = Place::on(&Database::Sqlite)?.with_zoo(&zoo)?;

    let tree = place.run("tree mandoc/scribe-v1")?;
    let line = place.json("tree mandoc/scribe-v1-de --format json")?;

    ensure!(tree.contains("mandoc/scribe-v1-de  [finetune ✓]"), "{tree}");
    ensure!(tree.contains("community/mystery-de  [finetune ✗ contradicted by the weights]"), "{tree}");
    ensure!(tree.contains("(✓ claimed, and the weights agree"), "{tree}");
    let node = &line["nodes"][1];
    ensure!(node["name"] == "mandoc/scribe-v1-de" && node["verdict"] == "verified", "{node}");
    ensure!(node["evidence"].to_string().contains("\"card\"") && node["confidence"].is_number(), "{node}");
    let empty = place.json("contradictions --by-date")?;
    ensure!(empty["items"].as_array().is_some_and(Vec::is_empty), "{empty}");
    Ok(())
}

#[test]
fn a_folder_is_asked_about_before_it_is_registered() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let place = Place::on(&Database::Sqlite)?;
    let (base, tuned) = (zoo.path("mandoc/scribe-v1")?, zoo.path("mandoc/scribe-v1-de")?);
    let (base, tuned) = (base.display(), tuned.display());

    let alone = place.run(&format!("tree {tuned}"))?;
    place.run(&format!("import dir {base} --id mandoc/scribe-v1"))?;
    let tree = place.run(&format!("tree {tuned}"))?;
    let licence = place.json(&format!("licence {tuned}"))?;
    let manifest = place.json(&format!("manifest {tuned}"))?;
    let stored = place.command("tree local/scribe-v1-de").output()?;

    ensure!(alone.contains("mandoc/scribe-v1") && alone.contains("(not here)"), "{alone}");
    ensure!(tree.contains("mandoc/scribe-v1\n") && tree.contains("local/scribe-v1-de *"), "{tree}");
    ensure!(!tree.contains("(not here)"), "{tree}");
    ensure!(licence["ancestors"].to_string().contains("mandoc/scribe-v1"), "{licence}");
    let files = manifest["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    let weights = files.iter().find(|file| file["path"] == "model.safetensors");
    ensure!(
        weights.is_some_and(|file| file["sha256"].as_str().is_some_and(|hex| hex.len() == 64)),
        "{manifest}"
    );
    ensure!(weights.is_some_and(|file| file["tensors"] == manifest["tensors"]), "{manifest}");
    ensure!(stored.status.code() == Some(3), "nothing is registered");
    Ok(())
}
