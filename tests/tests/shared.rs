//! A difference that several fine-tunes share: written, each member rebuilt from it, and what cannot be.

use anyhow::{Context as _, Result, ensure};
use reqwest::Client;
use serde_json::{Value, json};
use stemma_tests::{Server, Zoo, client, databases, get, job, relative, run, run_json, stemma};
use tempfile::TempDir;

const BASE: &str = "mandoc/scribe-v1";
const MEMBERS: [&str; 3] = ["mandoc/scribe-v1-de", "mandoc/scribe-v1-fr", "mandoc/scribe-v1.1"];
const SHARED: &str = "tests/shared";

/// The command of a shared difference of all members, without the name of the file.
fn asked(zoo: &Zoo) -> Result<String> {
    let [de, fr, other] = MEMBERS.map(|id| zoo.path(id));
    let [de, fr, other, base] = [de?, fr?, other?, zoo.path(BASE)?].map(|path| path.display().to_string());
    Ok(format!("diff {de} {base} --with {fr} --with {other} --form emr --out"))
}

#[test]
fn every_member_is_rebuilt_from_the_file_as_the_merge_method_does_and_as_far_off_as_is_told() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let on = || stemma(place.path());
    let base = zoo.path(BASE)?;

    let told = run_json(on(), &format!("{} all.safetensors", asked(&zoo)?))?;

    let members = told["written"]["members"].as_array().context("no members")?;
    ensure!(members.len() == MEMBERS.len(), "{told}");
    for (at, (id, told)) in MEMBERS.iter().zip(members).enumerate() {
        let tuned = zoo.path(id)?;
        let name = told["name"].as_str().context("no name")?;
        ensure!(tuned.ends_with(name), "{told}");
        let listed = MEMBERS.iter().map(|id| Ok(format!("  - model: {}\n", zoo.path(id)?.display())));
        let recipe = format!(
            "merge_method: emr\nbase_model: {}\nparameters: {{member: {}}}\nmodels:\n{}",
            base.display(),
            at + 1,
            listed.collect::<Result<String>>()?
        );
        fs_err::write(place.path().join("member.yml"), recipe)?;
        run(on(), &format!("merge member.yml merged-{at}"))?;
        run(on(), &format!("diff {} {} --out dense-{at}.safetensors", tuned.display(), base.display()))?;

        run(on(), &format!("diff apply {} all.safetensors#{name} back-{at}", base.display()))?;

        let apart = relative(&run_json(on(), &format!("diff back-{at} merged-{at}"))?)?;
        ensure!(apart < 1e-3, "{name} is {apart} from the merge");
        let lost =
            relative(&run_json(on(), &format!("diff all.safetensors#{name} dense-{at}.safetensors"))?)?;
        let error = told["relative_error"].as_f64().context("no error")?;
        ensure!((lost - error).abs() < 1e-5 && (0.0..1.0).contains(&error), "{name}: {lost} is not {error}");
        run(on(), &format!("diff apply {} all.safetensors#{} numbered-{at}", base.display(), at + 1))?;
        let weights = |folder: &str| fs_err::read(place.path().join(folder).join("model.safetensors"));
        ensure!(weights(&format!("numbered-{at}"))? == weights(&format!("back-{at}"))?);
        run(on(), &format!("transfer --diff all.safetensors#{name} --to-base {} over-{at}", base.display()))?;
        ensure!(weights(&format!("over-{at}"))? == weights(&format!("back-{at}"))?);
        let recipe = fs_err::read(place.path().join(format!("back-{at}/stemma_recipe.json")))?;
        let recipe: Value = serde_json::from_slice(&recipe)?;
        ensure!(recipe["kind"] == "apply_diff" && recipe["diff"]["member"] == name, "{recipe}");
    }
    let size = fs_err::metadata(place.path().join("all.safetensors"))?.len();
    let one = fs_err::metadata(base.join("model.safetensors"))?.len();
    ensure!(size < one * 5 / 4, "{size} bytes for three models of {one}");
    Ok(())
}

#[test]
fn a_member_that_is_not_there_and_models_that_share_nothing_are_told() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let [de, fr, base] = [MEMBERS[0], MEMBERS[1], BASE].map(|id| zoo.path(id));
    let [de, fr, base] = [de?, fr?, base?].map(|path| path.display().to_string());
    run(stemma(place.path()), &format!("{} all.safetensors", asked(&zoo)?))?;
    run(stemma(place.path()), &format!("diff {de} {base} --out dense.safetensors"))?;
    let new = "--out new.safetensors";
    let refused = [
        (
            format!("diff apply {base} all.safetensors out"),
            "unknown_member",
            "`scribe-v1-de`, `scribe-v1-fr`",
        ),
        (format!("diff apply {base} all.safetensors#pl out"), "unknown_member", "no member `pl`; it holds"),
        (format!("diff apply {base} dense.safetensors#de out"), "unknown_member", "name it without `#de`"),
        (format!("diff {base} all.safetensors#4"), "unknown_member", "no member `4`"),
        (format!("diff {de} {base} --form emr {new}"), "invalid_request", "two or more fine-tunes"),
        (format!("diff {de} {base} --with {fr} {new}"), "invalid_request", "`with` belongs to the form emr"),
        (
            format!("diff {de} {base} --with {de} --form emr {new}"),
            "invalid_recipe",
            "/with/0: it is the same model as `scribe-v1-de`",
        ),
        (format!("diff {de} {base} --with {base} --form emr {new}"), "invalid_recipe", "is the base itself"),
        (format!("diff {de} {base} --with {fr} --form emr --dtype int8 {new}"), "invalid_request", "int8"),
    ];

    for (words, code, reason) in refused {
        let out = stemma(place.path()).args(words.split_whitespace()).output()?;
        let said = String::from_utf8_lossy(&out.stderr);
        let expected = if code == "unknown_member" { 3 } else { 1 };
        ensure!(out.status.code() == Some(expected), "{words}: {said}");
        ensure!(said.contains(&format!("error[{code}]")) && said.contains(reason), "{words}: {said}");
        ensure!(!place.path().join("out").exists() && !place.path().join("new.safetensors").exists());
    }
    Ok(())
}

#[tokio::test]
async fn a_job_stores_several_models_together_and_a_model_of_it_names_its_parents() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        for id in MEMBERS.iter().chain([&BASE]) {
            run(server.stemma(), &format!("import dir {} --id {id}", zoo.path(id)?.display()))?;
        }
        let file = stored_together(&client, &server).await?;
        rebuilt_and_registered(&client, &server, &file).await?;
        refused_before_it_is_queued(&client, &server).await?;
    }
    Ok(())
}

async fn stored_together(client: &Client, server: &Server) -> Result<Vec<u8>> {
    let asked = json!({ "tuned": MEMBERS[0], "with": MEMBERS[1..], "base": BASE, "form": "emr" });
    let result = job(client, server, "/api/v1/diffs", asked).await?;

    let names: Vec<&str> =
        result["members"].as_array().into_iter().flatten().filter_map(|of| of["name"].as_str()).collect();
    ensure!(names == MEMBERS && result["form"] == "emr", "{result}");
    let jobs = get(client, server, "/api/v1/jobs").await?;
    let id = jobs["items"][0]["id"].as_str().context("no job")?;
    let page = client.get(server.url(&format!("/jobs/{id}"))).send().await?.text().await?;
    ensure!(page.contains("Relative error") && page.contains(&format!("href=\"/{}\"", MEMBERS[2])), "{page}");
    let blob = result["blob"].as_str().context("a diff without a blob")?;
    let bytes = client.get(server.url(&format!("/api/v1/blobs/{blob}"))).send().await?.bytes().await?;
    Ok(bytes.to_vec())
}

async fn rebuilt_and_registered(client: &Client, server: &Server, file: &[u8]) -> Result<()> {
    let place = TempDir::with_prefix("stemma-test-")?;
    let folder = place.path().join("shared");
    fs_err::create_dir(&folder)?;
    fs_err::write(folder.join("model.safetensors"), file)?;
    run(server.stemma(), &format!("import dir {} --id {SHARED}", folder.display()))?;
    let member = format!("{SHARED}#{}", MEMBERS[1]);

    let out = place.path().join("again");
    run(server.stemma(), &format!("diff apply {BASE} {member} {} --register tests/again", out.display()))?;

    let model = get(client, server, "/api/v1/models/tests/again").await?;
    let parents = model["parents"].as_array().into_iter().flatten().filter_map(|p| p["id"].as_str());
    let mut parents: Vec<&str> = parents.collect();
    parents.sort_unstable();
    ensure!(parents == [BASE, MEMBERS[1], SHARED], "{model}");
    let recipe = fs_err::read_to_string(out.join("stemma_recipe.json"))?;
    let recipe: Value = serde_json::from_str(&recipe)?;
    ensure!(recipe["diff"]["id"] == SHARED && recipe["diff"]["member"] == MEMBERS[1], "{recipe}");
    let near = get(client, server, &format!("/api/v1/diffs?a=tests/again&b={}", MEMBERS[1])).await?;
    let far = get(client, server, &format!("/api/v1/diffs?a={BASE}&b={}", MEMBERS[1])).await?;
    ensure!(relative(&near)? < relative(&far)?, "{near} is no nearer than {far}");
    let read =
        get(client, server, &format!("/api/v1/diffs?a={}&b={BASE}", member.replace('#', "%23"))).await?;
    ensure!(read["tensors"].as_array().is_some_and(|tensors| tensors.len() > 30), "{read}");
    let answer = client.get(server.url(&format!("/api/v1/diffs?a={SHARED}%23pl&b={BASE}"))).send().await?;
    let (status, problem) = (answer.status(), answer.json::<Value>().await?);
    ensure!(status == 404 && problem["code"] == "unknown_member", "{problem}");
    Ok(())
}

async fn refused_before_it_is_queued(client: &Client, server: &Server) -> Result<()> {
    let [de, fr, _] = MEMBERS;
    let refusals = [
        (json!({ "tuned": de, "base": BASE, "form": "emr" }), 422),
        (json!({ "tuned": de, "with": [fr], "base": BASE, "form": "bitdelta" }), 422),
        (json!({ "tuned": de, "with": [de], "base": BASE, "form": "emr" }), 422),
        (json!({ "tuned": de, "with": [fr, BASE], "base": BASE, "form": "emr" }), 422),
        (json!({ "tuned": de, "with": [fr], "base": BASE, "form": "emr", "rank": 3 }), 422),
        (json!({ "tuned": de, "with": ["no/where"], "base": BASE, "form": "emr" }), 404),
    ];
    for (body, expected) in refusals {
        let answer = client.post(server.url("/api/v1/diffs")).json(&body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == expected, "{body}: {status} {text}");
    }
    Ok(())
}
