//! Dumps of metadata as people have them: newer and older ones, broken ones, and what they say of licences and access.

use anyhow::{Result, ensure};
use serde_json::Value;
use stemma_tests::{Place, databases};

#[test]
fn a_newer_dump_corrects_a_parent_and_an_older_one_changes_nothing() -> Result<()> {
    for database in databases() {
        let place = Place::on(&database)?;
        let tuned = |card: &str, tags: &str, rest: &str| {
            format!("{{\"id\":\"o/c\",\"cardData\":{card},\"tags\":{tags},{rest}}}\n")
        };
        let first = tuned(
            "{\"base_model\":\"o/a\",\"license\":\"mit\"}",
            "[\"base_model:finetune:o/a\"]",
            "\"downloads\":50,\"lastModified\":\"2024-06-01T00:00:00Z\"",
        );
        place.write("r1.jsonl", &format!("{{\"id\":\"o/a\"}}\n{{\"id\":\"o/b\"}}\n{first}"))?;
        place.write(
            "r2.jsonl",
            &tuned(
                "{\"base_model\":\"o/b\"}",
                "[\"base_model:finetune:o/b\"]",
                "\"downloads\":7,\"lastModified\":\"2024-07-01T00:00:00Z\"",
            ),
        )?;
        place.write("r3.jsonl", &tuned("{}", "[]", "\"lastModified\":\"2024-08-01T00:00:00Z\""))?;

        place.run("import dump r1.jsonl r2.jsonl")?;
        let tree = place.run("tree o/c")?;
        ensure!(tree.contains("o/b") && !tree.contains("o/a"), "{tree}");
        let older = place.json("import dump r1.jsonl")?;
        ensure!(older[0]["older"] == 1 && older[0]["models_updated"] == 2, "{older}");
        ensure!(place.run("tree o/c")? == tree, "an older record changed something");
        let told = place.run("import dump r1.jsonl")?;
        ensure!(told.contains("1 older than what is known"), "{told}");
        place.run("import dump r3.jsonl")?;
        let tree = place.run("tree o/c")?;
        ensure!(!tree.contains("o/b") && !tree.contains("o/a"), "{tree}");
    }
    Ok(())
}

#[test]
fn the_faults_of_all_dumps_are_told_and_the_good_ones_are_read() -> Result<()> {
    for database in databases() {
        let place = Place::on(&database)?;
        place.write("cols.csv", "foo,bar\n1,2\n")?;
        place.write("broken.jsonl", "{\"id\":\n{\"id\":\n")?;
        place.write("good.jsonl", "{\"id\":\"a/good\",\"private\":true,\"gated\":\"auto\"}\n")?;

        let out = place.command("import dump nope.jsonl cols.csv broken.jsonl good.jsonl").output()?;

        let told = String::from_utf8(out.stderr)?;
        ensure!(!out.status.success(), "{told}");
        for file in ["nope.jsonl", "cols.csv", "broken.jsonl"] {
            ensure!(told.contains(file), "{file} is not named: {told}");
        }
        ensure!(String::from_utf8(out.stdout)?.contains("good.jsonl: 1 rows, 1 models new"), "{told}");
        let alone = place.command("import dump broken.jsonl --json").output()?;
        let told = String::from_utf8(alone.stderr)?;
        let problem: Value = serde_json::from_str(told.lines().last().unwrap_or_default())?;
        ensure!(problem["code"] == "not_a_dump" && !alone.status.success(), "{problem}");
    }
    Ok(())
}

#[test]
fn licences_are_told_by_their_names_and_what_is_undetermined_is_counted() -> Result<()> {
    for database in databases() {
        let place = Place::on(&database)?;
        let row = |id: &str, card: Value| format!("{}\n", serde_json::json!({ "id": id, "cardData": card }));
        let named = |name: &str, parent: Option<&str>| serde_json::json!({ "license": "other", "license_name": name, "base_model": parent });
        let rows = [
            row("q/a", named("research-only", None)),
            row("q/b", named("my-open-licence", Some("q/a"))),
            row("q/root", serde_json::json!({ "license": "llama3" })),
            row("q/middle", serde_json::json!({ "license": "apache-2.0", "base_model": "q/root" })),
            row("q/leaf", serde_json::json!({ "license": "other", "base_model": "q/middle" })),
        ];
        place.write("models.jsonl", &rows.concat())?;
        place.run("import dump models.jsonl")?;

        let other = place.json("licence q/b")?;
        let parent = &other["parents"][0];
        ensure!(parent["verdict"] == "same" && parent["licence"] == "other", "{other}");
        ensure!(other["licence"] == "other", "{other}");
        let bill = place.run("tree q/b --format cyclonedx")?;
        ensure!(bill.contains("my-open-licence") && bill.contains("research-only"), "{bill}");
        let bill = place.run("tree q/b --format spdx")?;
        ensure!(bill.contains("LicenseRef-hf-my-open-licence"), "{bill}");
        let told = place.run("licence q/leaf")?;
        ensure!(told.contains("dropped by q/middle"), "{told}");
        ensure!(told.contains("0 of 2 ancestors with a licence in conflict, 2 undetermined"), "{told}");
    }
    Ok(())
}

#[test]
fn what_is_private_where_a_dump_comes_from_is_private_here() -> Result<()> {
    for database in databases() {
        let place = Place::on(&database)?;
        let rows = concat!(
            "{\"id\":\"acme/closed\",\"private\":true,\"cardData\":{\"license\":\"mit\"}}\n",
            "{\"id\":\"acme/gated\",\"gated\":\"manual\"}\n",
            "{\"id\":\"acme/open\",\"private\":false,\"gated\":false}\n",
        );
        place.write("models.jsonl", rows)?;

        let report = place.json("import dump models.jsonl")?;
        ensure!(report[0]["models_inserted"] == 3 && report[0]["models_updated"] == 0, "{report}");
        for (id, private, gated) in [
            ("acme/closed", true, Value::Null),
            ("acme/gated", false, "manual".into()),
            ("acme/open", false, Value::Null),
        ] {
            let shown = place.json(&format!("access set {id}"))?;
            ensure!(shown["private"] == private && shown["gated"] == gated, "{id}: {shown}");
        }
    }
    Ok(())
}

#[test]
fn the_licences_of_real_models_give_the_known_figures() -> Result<()> {
    for database in databases() {
        let place = Place::on(&database)?;
        let dump = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/stemma/demo/hub-models.jsonl.zst");
        place.run(&format!("import dump {dump}"))?;

        let licences = place.json("report licences --format json")?;
        let mutation = place.json("report mutation --format json")?;

        let rows = |report: &Value| report.as_array().cloned().unwrap_or_default();
        let verdicts: Vec<_> = rows(&licences["verdicts"]).iter().map(|row| row["edges"].as_u64()).collect();
        ensure!(verdicts == [1_411, 140, 284, 157, 1_747].map(Some), "{}", licences["verdicts"]);
        let pair = &licences["pairs"][0];
        ensure!(
            pair["parent"] == "llama3" && pair["child"] == "apache-2.0" && pair["edges"] == 104,
            "{pair}"
        );
        let is_rate = |row: &&Value| row["trait"] == "licence" && row["relation"] == "all_but_merge";
        let rates = rows(mutation.get("rates").unwrap_or(&mutation));
        let rate = rates.iter().find(is_rate).cloned().unwrap_or_default();
        ensure!(rate["both"] == 1_014 && rate["changed"] == 211, "{rate}");
        ensure!(rate["rate"].as_f64().is_some_and(|rate| (rate - 0.2081).abs() < 5e-5), "{rate}");
    }
    Ok(())
}

#[test]
fn every_row_of_a_dump_is_counted_once() -> Result<()> {
    for database in databases() {
        let place = Place::on(&database)?;
        let row = |id: &str, changed: &str| format!("{{\"id\":\"{id}\",\"lastModified\":\"{changed}\"}}\n");
        let (old, new) = ("2024-01-01", "2024-02-01");
        place.write("first.jsonl", &[row("a/old", new), row("a/known", old)].concat())?;
        let rows = [
            row("a/old", old),
            row("a/known", new),
            row("a/new", old),
            row("a/new", new),
            "{}\n".to_owned(),
            row("A/Known", new),
        ];
        place.write("second.jsonl", &rows.concat())?;
        place.run("import dump first.jsonl")?;

        let told = place.json("import dump second.jsonl")?;

        let counts = ["rows", "models_inserted", "models_updated", "repeated", "older", "skipped"]
            .map(|name| told[0][name].as_u64().unwrap_or_default());
        ensure!(counts == [6, 1, 1, 2, 1, 1], "{told}");
        let told = place.run("import dump first.jsonl")?;
        ensure!(!told.contains("repeated"), "{told}");
        let told = place.run("import dump second.jsonl")?;
        ensure!(told.contains(", 1 repeated, 2 older"), "{told}");
    }
    Ok(())
}

#[test]
fn a_dump_that_breaks_off_fails_and_keeps_the_rows_before() -> Result<()> {
    for database in databases() {
        let place = Place::on(&database)?;
        place.write("cut.jsonl", "{\"id\":\"a/b\"}\n{\"id\":\"c/d\"}\n{\"id\":\"e/f\",\"ta")?;

        let out = place.command("import dump cut.jsonl --json").output()?;

        let told = String::from_utf8(out.stderr)?;
        let problem: Value = serde_json::from_str(told.lines().last().unwrap_or_default())?;
        ensure!(!out.status.success() && problem["code"] == "dump_broken", "{told}");
        ensure!(told.contains("at row 3") && told.contains("of 3 rows read 1 were skipped"), "{told}");
        ensure!(place.run("tree a/b")?.contains("a/b"), "the rows before are not kept");

        place.write("cut.jsonl", "{\"id\":\"a/b\"}\n{\"id\":\"c/d\"}\n{\"id\":\"e/f\"}\n")?;
        let told = place.run("import dump cut.jsonl")?;
        ensure!(told.contains("3 rows, 1 models new, 2 updated") && !told.contains("resumed"), "{told}");
    }
    Ok(())
}

#[test]
fn parents_of_a_table_of_edges_are_named_as_people_name_them() -> Result<()> {
    for database in databases() {
        let place = Place::on(&database)?;
        let table = "child,parent,relation,source\n\
            b/y,https://huggingface.co/a/x/tree/main,finetune,card\nb/z,gpt2,remix,card\nb/w,merge,,card\n";
        place.write("edges.csv", table)?;

        let told = place.run("import dump edges.csv")?;

        ensure!(told.contains("2 edges") && told.contains("1 skipped"), "{told}");
        ensure!(told.contains("columns that nothing reads: source"), "{told}");
        ensure!(told.contains("relation `remix` is not known: 1 edges taken as finetune"), "{told}");
        ensure!(place.run("tree b/y")?.contains("a/x"), "the address is not read");
        ensure!(place.run("tree b/z")?.contains("openai-community/gpt2"), "the legacy name is not read");
        let told = place.json("import dump edges.csv")?;
        ensure!(told[0]["unknown_relations"]["remix"] == 1, "{told}");
        ensure!(told[0]["unread_columns"] == serde_json::json!(["source"]), "{told}");
    }
    Ok(())
}

#[test]
fn a_parent_that_nobody_names_any_more_is_no_model_of_the_registry() -> Result<()> {
    for database in databases() {
        let place = Place::on(&database)?;
        place.write("first.jsonl", "{\"id\":\"u/a\",\"tags\":[\"base_model:u/gone\",\"base_model:u/kept\"]}\n{\"id\":\"u/b\",\"tags\":[\"base_model:u/kept\"]}\n")?;
        place.write("second.jsonl", "{\"id\":\"u/a\",\"tags\":[\"x\"]}\n")?;

        place.run("import dump first.jsonl")?;
        ensure!(place.run("tree u/gone")?.contains("u/a"), "the ghost is not there");
        place.run("import dump second.jsonl")?;

        ensure!(!place.command("tree u/gone").output()?.status.success(), "the ghost is still there");
        ensure!(place.run("tree u/kept")?.contains("u/b"), "a ghost is gone that somebody names");
    }
    Ok(())
}

#[test]
fn what_was_made_before_a_name_was_given_again_keeps_its_parent() -> Result<()> {
    for database in databases() {
        let place = Place::on(&database)?;
        place.write("names.csv", "from,to\nold/two,new/two\n")?;
        place.write(
            "before.jsonl",
            "{\"id\":\"k/before\",\"base_model\":\"old/two\",\"createdAt\":\"2024-01-01\"}\n",
        )?;
        place.write(
            "after.jsonl",
            "{\"id\":\"k/after\",\"base_model\":\"old/two\",\"createdAt\":\"2024-09-01\"}\n",
        )?;
        place.write("again.jsonl", "{\"id\":\"old/two\",\"createdAt\":\"2024-06-01\"}\n")?;
        place.write("renamed.jsonl", "{\"id\":\"new/two\",\"createdAt\":\"2023-01-01\"}\n")?;

        place.run("import dump names.csv renamed.jsonl before.jsonl again.jsonl after.jsonl")?;
        for again in ["", "before.jsonl after.jsonl"] {
            if !again.is_empty() {
                place.run(&format!("import dump {again}"))?;
            }
            let (before, after) = (place.run("tree k/before")?, place.run("tree k/after")?);
            ensure!(before.contains("new/two") && !before.contains("old/two"), "{again}: {before}");
            ensure!(after.contains("old/two") && !after.contains("new/two"), "{again}: {after}");
        }
    }
    Ok(())
}
