//! What holds of every command: JSON where it is asked for, what is wrong and what would be right, names as people paste them,
//! and how far a long one is.

use std::process::{Command, Output};

use anyhow::{Result, ensure};
use serde_json::Value;
use stemma_tests::{Database, Place, Zoo, databases};

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn kinship_without_a_base_says_which_one_there_is_and_auto_takes_it() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let place = Place::on(&database)?.with_zoo(&zoo)?;
        let two = "kinship mandoc/scribe-v1-de mandoc/scribe-v1-fr";

        let told = place.run(two)?;
        let json = place.json(two)?;
        let auto = place.json(&format!("{two} --base auto"))?;
        let named = place.json(&format!("{two} --base mandoc/scribe-v1"))?;
        let distance = place.json(&format!("{two} --measure ed"))?;
        let strangers = place.run("kinship mandoc/scribe-v1-de papyrus/reed-v1 --partial");

        ensure!(told.contains("--base mandoc/scribe-v1,") && !told.contains("cosine\n"), "{told}");
        ensure!(told.contains("euclidean\n"), "{told}");
        ensure!(json["warnings"].as_array().is_some_and(|told| told.len() == 1), "{json}");
        ensure!(auto["base"] == "mandoc/scribe-v1" && auto["matrices"] == named["matrices"], "{auto}");
        ensure!(auto["warnings"].is_null() && distance["warnings"].is_null(), "{auto} {distance}");
        ensure!(strangers.is_err() || strangers?.contains("name it: --base org/name"));
        let out = place.command("kinship mandoc/scribe-v1 mandoc/scribe-v1-fr --base auto").output()?;
        ensure!(out.status.code() == Some(1) && said(&out).contains("name their base"), "{}", said(&out));
    }
    Ok(())
}

#[test]
fn who_asks_for_json_gets_json_also_of_a_wrong_call_and_of_other_formats() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, Place::on(&Database::Sqlite)?);
    let place = place.with_zoo(&zoo)?;
    for words in [
        "tree --json",
        "import --json",
        "merge r.yml out --json --cuda-magic",
        "tree mandoc/scribe-v1 --format dot --json",
        "tree mandoc/scribe-v1 --json --format newick",
        "report traits --format csv --json",
        "lineage mandoc/scribe-v1 --format dot --json",
    ] {
        let out = place.command(words).output()?;

        let told: Value = serde_json::from_slice(&out.stderr)?;
        ensure!(out.status.code() == Some(2) && told["code"] == "usage", "{words}: {} {told}", out.status);
        ensure!(told["detail"].as_str().is_some_and(|text| !text.contains("Usage:")), "{told}");
        ensure!(out.stdout.is_empty(), "{words}");
    }
    ensure!(place.json("tree mandoc/scribe-v1 --format graph")?["edges"].is_array());
    ensure!(place.json("completions bash")?["script"].as_str().is_some_and(|text| text.contains("stemma")));
    let help = place.command("tree --help --json").output()?;
    ensure!(help.status.success() && !help.stdout.is_empty(), "help is no fault");
    Ok(())
}

#[test]
fn a_pasted_address_is_the_model_that_it_is_of() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, Place::on(&Database::Sqlite)?);
    let place = place.with_zoo(&zoo)?;
    let hub = "https://huggingface.co/mandoc/scribe-v1";

    ensure!(place.run(&format!("tree {hub}/tree/main"))? == place.run("tree mandoc/scribe-v1")?);
    let diff = place.json(&format!("diff {hub} hf.co/mandoc/scribe-v1-de?library=transformers"))?;
    ensure!(diff["tensors"].as_array().is_some_and(|rows| !rows.is_empty()), "{diff}");
    for words in ["licence", "versions", "manifest"] {
        place.json(&format!("{words} {hub}"))?;
    }
    let out = place.command(&format!("relatives {hub}/tree/no-such-branch")).output()?;
    ensure!(said(&out).contains("no-such-branch"), "a revision is not dropped: {}", said(&out));
    ensure!(place.run(&format!("models {hub}"))?.starts_with("mandoc/scribe-v1\t"));
    Ok(())
}

#[test]
fn a_name_that_nobody_has_is_told_with_those_that_may_be_meant() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, Place::on(&Database::Sqlite)?);
    let place = place.with_zoo(&zoo)?;
    for words in ["tree mandoc/scribe-v1-d", "licence mandoc/scribe-v1-d", "versions mandoc/scribe-v1-d"] {
        let out = place.command(words).output()?;

        let told = said(&out);
        ensure!(out.status.code() == Some(3) && told.contains("did you mean"), "{words}: {told}");
        ensure!(told.contains("`mandoc/scribe-v1-de`") && !told.contains("reed"), "{words}: {told}");
    }
    ensure!(!said(&place.command("tree nobody/zzz").output()?).contains("did you mean"));
    Ok(())
}

#[test]
fn models_and_jobs_are_listed_and_found() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let place = Place::on(&database)?.with_zoo(&zoo)?;

        let all = place.json("models --sort name --limit 1000")?;
        let some = place.run("models scribe --author mandoc --weights --sort name")?;
        let page = place.run("models --sort name --limit 2")?;
        let merges = place.json("models --relation adapter")?;

        let ids = |list: &Value| -> Vec<String> {
            let items = list["items"].as_array().into_iter().flatten();
            items.filter_map(|item| item["id"].as_str().map(str::to_owned)).collect()
        };
        ensure!(ids(&all).contains(&"papyrus/reed-v1".to_owned()) && all["next"].is_null(), "{all}");
        let lines: Vec<&str> = some.lines().collect();
        ensure!(lines.len() == 4 && lines.iter().all(|line| line.starts_with("mandoc/scribe-v1")), "{some}");
        ensure!(lines[0].ends_with("\tweights"), "{some}");
        let cursor = page.lines().last().and_then(|line| line.strip_prefix("more with --cursor "));
        let next = place.json(&format!("models --sort name --cursor {}", cursor.unwrap_or("none")))?;
        ensure!(ids(&next) == ids(&all)[2..], "{page} {next}");
        ensure!(ids(&merges) == ["community/scribe-es-lora"], "{merges}");
        ensure!(place.json("jobs")?["items"].as_array().is_some_and(Vec::is_empty));
        let out = place.command("jobs 01ARZ3NDEKTSV4RRFFQ69G5FAV").output()?;
        ensure!(out.status.code() == Some(3), "{}", said(&out));
        let out = place.command("jobs --state asleep").output()?;
        ensure!(out.status.code() == Some(2) && said(&out).contains("queued"), "{}", said(&out));
    }
    Ok(())
}

/// What a command writes to a terminal that is its stderr alone.
fn on_a_terminal(command: &Command) -> Result<String> {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{} >/dev/null", words.join(" ")), "/dev/null"]);
    if let Some(folder) = command.get_current_dir() {
        script.current_dir(folder);
    }
    script.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let out = script.env("TERM", "xterm").output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn long_commands_that_only_read_show_how_much_on_a_terminal_and_nowhere_else() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, Place::on(&Database::Sqlite)?);
    let place = place.with_zoo(&zoo)?;
    let [one, other] = ["mandoc/scribe-v1", "mandoc/scribe-v1-de"].map(|id| zoo.path(id));
    let (one, other) = (one?.display().to_string(), other?.display().to_string());
    for (words, what) in [
        (format!("lineage {one} {other}"), "comparing"),
        (format!("diff {one} {other}"), "comparing"),
        (format!("kinship {one} {other}"), "comparing"),
        (format!("relatives {other}"), "comparing"),
        ("fsck".to_owned(), "checking"),
        ("backup copy".to_owned(), "copying"),
    ] {
        let shown = on_a_terminal(&place.command(&words))?;
        let quiet = on_a_terminal(&place.command(&format!("{words} --quiet")))?;
        let piped = place.command(&words).output()?;

        ensure!(shown.contains(what) && shown.contains("B read"), "{words}: {shown:?}");
        ensure!(quiet.trim().is_empty(), "{words}: {quiet:?}");
        ensure!(!said(&piped).contains("B read"), "{words}: {}", said(&piped));
    }
    Ok(())
}
