//! Bills of materials of the demo, held against the published schema of CycloneDX 1.6 and the shapes of SPDX 3.0.1.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use stemma_tests::{Server, Zoo, client, databases, named, root, tool};
use tempfile::TempDir;

/// An interpreter with the validators; `scripts/test` makes one and sets it.
fn interpreter() -> Option<PathBuf> {
    named("STEMMA_TEST_SCHEMAS", "schemas of bills of materials").map(PathBuf::from)
}

fn judged(interpreter: &Path, files: &[PathBuf]) -> Result<Value> {
    let out = tool(interpreter, "bills.py").args(files).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// Models whose names, licences and parents are unlike those of most.
fn odd() -> Vec<Value> {
    let model = |id: &str, card: Value| json!({ "id": id, "cardData": card, "tags": ["merge"] });
    vec![
        model("legacy", json!({ "license": "mit" })),
        model("odd/a.b_c-d", json!({ "license": "other", "license_name": "own licence (v1)" })),
        model("odd/licences", json!({ "license": ["apache-2.0", "mit"] })),
        model("odd/spaces", json!({ "license": "  Some Licence / 2.0 \u{1F600} " })),
        model("odd/openrail", json!({ "license": "bigscience-openrail-m" })),
        model("odd/none", json!({})),
        model(
            "odd/merged",
            json!({ "base_model": ["legacy", "odd/none", "gone/ghost", "odd/licences"], "license": "gpl-3.0" }),
        ),
        model("odd/below", json!({ "base_model": "odd/merged", "license": "cc-by-nc-4.0" })),
    ]
}

#[tokio::test]
async fn every_bill_of_materials_is_valid_by_its_published_schema() -> Result<()> {
    let Some(interpreter) = interpreter() else { return Ok(()) };
    let (zoo, client) = (Zoo::unpack()?, client()?);
    for database in databases() {
        let (server, place) = (Server::start(&database).await?, TempDir::with_prefix("stemma-test-")?);
        let packed = fs_err::File::open(root().join("crates/stemma/demo/hub-models.jsonl.zst"))?;
        let mut rows = String::from_utf8(zstd::decode_all(packed)?)?;
        let real = rows.lines().filter_map(|row| serde_json::from_str::<Value>(row).ok());
        let named = |row: &Value| Some(row.get("id").or(row.get("modelId"))?.as_str()?.to_owned());
        let mut ids: Vec<String> = real.filter_map(|row| named(&row)).step_by(80).collect();
        for row in odd() {
            ids.extend(named(&row));
            rows.push_str(&format!("{row}\n"));
        }
        ids.extend(["gone/ghost", "mandoc/scribe-v1-de"].map(str::to_owned));
        let dump = place.path().join("models.jsonl");
        fs_err::write(&dump, rows)?;
        let folder = zoo.path("mandoc/scribe-v1-de")?;
        let run = |words: &[&str], path: &Path| -> Result<()> {
            let out = server.stemma().args(words).arg(path).arg("--quiet").output()?;
            ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
            Ok(())
        };
        run(&["import", "dump"], &dump)?;
        run(&["import", "dir", "--id", "mandoc/scribe-v1-de"], &folder)?;

        let mut files = Vec::new();
        for (at, id) in ids.iter().enumerate() {
            for (format, ending) in [("cyclonedx", "cdx.json"), ("spdx", "spdx.json")] {
                let path = format!("/api/v1/models/{id}/lineage?format={format}&up=100&down=2");
                let answer = client.get(server.url(&path)).send().await?;
                ensure!(answer.status() == 200, "{path}: {}", answer.text().await?);
                let file = place.path().join(format!("{at}-{}.{ending}", id.replace('/', "-")));
                fs_err::write(&file, answer.bytes().await?)?;
                files.push(file);
            }
        }
        let told = judged(&interpreter, &files)?;

        ensure!(told["faults"] == json!({}) && told["valid"] == files.len(), "{database:?}: {told:#}");
        ensure!(files.len() > 100, "{}", files.len());
    }
    Ok(())
}

#[test]
fn a_bill_that_is_not_valid_is_noticed() -> Result<()> {
    let Some(interpreter) = interpreter() else { return Ok(()) };
    let place = TempDir::with_prefix("stemma-test-")?;
    let component = json!({ "type": "machine-learning-model", "name": "m", "unknown": 1 });
    let cyclonedx = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": [component],
    });
    let spdx = json!({
        "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
        "@graph": [{ "type": "CreationInfo", "@id": "_:ci", "created": "2024-01-01T00:00:00Z", "specVersion": "3.0.1" }],
    });
    let files = [place.path().join("a.cdx.json"), place.path().join("b.spdx.json")];
    for (file, document) in files.iter().zip([cyclonedx, spdx]) {
        fs_err::write(file, document.to_string())?;
    }

    let told = judged(&interpreter, &files)?;

    ensure!(told["valid"] == 0 && told["faults"].as_object().is_some_and(|all| all.len() == 2), "{told}");
    Ok(())
}
