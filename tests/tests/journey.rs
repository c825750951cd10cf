//! The whole journey over HTTP, on every database: weights in, a tree, kinship, a transfer and merges out.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, multipart};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use stemma_tests::{Server, Zoo, client, databases};

const ENOUGH: Duration = Duration::from_secs(120);

async fn upload(client: &Client, server: &Server, zoo: &Zoo, id: &str) -> Result<()> {
    let mut form = multipart::Form::new();
    for entry in fs_err::read_dir(zoo.path(id)?)? {
        let path = entry?.path();
        let name = path.file_name().context("a file without a name")?.to_string_lossy().into_owned();
        form = form.part("file", multipart::Part::bytes(fs_err::read(&path)?).file_name(name));
    }
    let answer = client.post(server.url(&format!("/api/v1/models/{id}"))).multipart(form).send().await?;
    ensure!(answer.status() == 201, "{id}: {}", answer.text().await?);
    Ok(())
}

async fn get(client: &Client, server: &Server, path: &str) -> Result<Value> {
    let answer = client.get(server.url(path)).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == 200, "{path}: {status} {text}");
    Ok(serde_json::from_str(&text)?)
}

/// Posts a request for a job and waits for its end.
async fn run(client: &Client, server: &Server, path: &str, body: &Value) -> Result<Value> {
    let answer = client.post(server.url(path)).json(body).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == 202, "{path}: {status} {text}");
    let job: Value = serde_json::from_str(&text)?;
    let id = job["id"].as_str().context("a job without an id")?.to_owned();
    let deadline = Instant::now() + ENOUGH;
    loop {
        let job = get(client, server, &format!("/api/v1/jobs/{id}")).await?;
        match job["state"].as_str() {
            Some("queued" | "running") => ensure!(Instant::now() < deadline, "job {id} does not end: {job}"),
            Some("succeeded") => return Ok(job),
            _ => anyhow::bail!("job {id}: {job}\n{}", server.log_end()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn weights(client: &Client, server: &Server, id: &str) -> Result<Vec<u8>> {
    let path = format!("/{id}/resolve/main/model.safetensors");
    let answer = client.get(server.url(&path)).send().await?;
    ensure!(answer.status() == 200, "{path}: {}", answer.status());
    Ok(answer.bytes().await?.to_vec())
}

fn rounded(report: &Value) -> f64 {
    let cosine = report["matrices"]["cosine"][0][1].as_f64().unwrap_or(f64::NAN);
    (cosine * 1000.0).round() / 1000.0
}

fn same_layout(a: &[u8], b: &[u8]) -> Result<()> {
    let (a, b) = (SafeTensors::deserialize(a)?, SafeTensors::deserialize(b)?);
    ensure!(a.len() == b.len(), "{} tensors against {}", a.len(), b.len());
    for (name, left) in a.tensors() {
        let right = b.tensor(&name)?;
        ensure!(
            left.shape() == right.shape() && left.dtype() == right.dtype(),
            "{name} differs in shape or dtype"
        );
    }
    Ok(())
}

fn bf16(bytes: &[u8]) -> Vec<f64> {
    let wide = |raw: &[u8; 2]| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(*raw)) << 16));
    bytes.as_chunks::<2>().0.iter().map(wide).collect()
}

#[tokio::test]
async fn weights_go_in_and_kinship_transfers_and_merges_come_out() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        for id in zoo.ids()? {
            upload(&client, &server, &zoo, &id).await?;
        }
        kinship_is_the_known_one(&client, &server).await?;
        kinship_has_parts_and_other_definitions(&client, &server).await?;
        the_path_between_two_models_goes_by_their_common_ancestor(&client, &server).await?;
        relatives_are_found_by_their_weights(&client, &server).await?;
        a_transfer_is_registered_with_its_parents(&client, &server, &zoo).await?;
        a_merge_of_two_is_registered(&client, &server).await?;
        merging_a_model_with_itself_gives_it_back(&client, &server).await?;
        a_diff_is_an_artefact(&client, &server).await?;
    }
    Ok(())
}

async fn kinship_is_the_known_one(client: &Client, server: &Server) -> Result<()> {
    for (a, b, expected) in [
        ("mandoc/scribe-v1-de", "mandoc/scribe-v1-fr", 0.378),
        ("mandoc/scribe-v1-de", "community/scribe-de-code", 0.874),
        ("mandoc/scribe-v1-de", "papyrus/reed-v1", -0.014),
    ] {
        let path = format!("/api/v1/kinship?of={a}&of={b}&base=mandoc/scribe-v1");
        let estimate = get(client, server, &path).await?;
        ensure!(estimate["exact"] == false, "sketches answer first: {estimate}");
        let error = estimate["standard_errors"]["cosine"][0][1].as_f64().context("no error")?;
        ensure!((rounded(&estimate) - expected).abs() <= 4.0 * error + 5e-4, "{a} and {b}: {estimate}");

        let report = get(client, server, &format!("{path}&exact=true")).await?;
        ensure!(report["exact"] == true && report["standard_errors"].is_null(), "{report}");
        ensure!((rounded(&report) - expected).abs() < 1e-9, "{a} and {b}: {report}");

        let out = server.stemma().args(["--json", "kinship", a, b, "--base", "mandoc/scribe-v1"]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let report: Value = serde_json::from_slice(&out.stdout)?;
        ensure!((rounded(&report) - expected).abs() < 1e-9, "command line: {report}");
    }
    Ok(())
}

async fn kinship_has_parts_and_other_definitions(client: &Client, server: &Server) -> Result<()> {
    let path = "/api/v1/kinship?of=mandoc/scribe-v1-de&of=papyrus/reed-v1&base=mandoc/scribe-v1&exact=true";
    let report = get(client, server, &format!("{path}&per_module=true&per_tensor=true")).await?;
    ensure!(report["layers"].is_null() && report["tensors"].as_array().is_some_and(|t| t.len() == 39));
    let modules = report["modules"].as_array().into_iter().flatten().filter_map(|m| m["module"].as_str());
    let modules: Vec<&str> = modules.collect();
    ensure!(modules == ["embed", "q", "k", "v", "o", "gate", "up", "down", "norm", "head"], "{modules:?}");
    ensure!(report["coverage"]["vocabulary"][0]["rule"] == "same_tokens", "{report}");

    let parts = get(client, server, &format!("{path}&per_part=true&measure=cosine")).await?;
    let parts = parts["parts"].as_array().context("no parts")?;
    ensure!(parts.len() == 8 * 4 + 3 && parts.iter().all(|part| part["left_out"] == 0), "{parts:?}");
    let csv =
        client.get(server.url(&format!("{path}&per_part=true&format=csv"))).send().await?.text().await?;
    let line = format!("embed,embed,{},,1,", parts[0]["values"]["cosine"]);
    ensure!(
        csv.lines().count() == 36 && csv.lines().nth(1).is_some_and(|told| told.starts_with(&line)),
        "{csv}"
    );
    let three = format!("{path}&of=mandoc/scribe-v1-fr&per_part=true");
    ensure!(client.get(server.url(&three)).send().await?.status() == 400, "parts are of two models");

    for measures in ["measure=cosine,pearson", "measure=cs%20pcc", "measure=cosine&measure=pcc"] {
        let two = get(client, server, &format!("{path}&{measures}")).await?;
        let held: Vec<&String> =
            two["matrices"].as_object().into_iter().flatten().map(|(id, _)| id).collect();
        ensure!(held == ["cosine", "pearson"], "{measures}: {two}");
        ensure!(two["distances"]["of_base"][0][1].as_f64().is_some_and(|d| d > 0.0), "{two}");
    }
    let two = client.get(server.url(&format!("{path}&measure=cosine,pearson&format=csv"))).send().await?;
    ensure!(two.status() == 400, "{}", two.status());
    let mut command = server.stemma();
    command.args(["kinship", "mandoc/scribe-v1-de", "papyrus/reed-v1", "mandoc/scribe-v1-fr"]);
    let out = command.args(["--base", "mandoc/scribe-v1", "--measure", "cs,ed"]).output()?;
    let said = String::from_utf8_lossy(&out.stdout);
    let told =
        ["cosine", "mean of all pairs", "change of mandoc/scribe-v1-fr", "euclidean / norm of the base"];
    ensure!(told.iter().all(|words| said.contains(words)) && !said.contains("pearson"), "{said}");

    let unsigned = get(client, server, &format!("{path}&parity=reference")).await?;
    ensure!(rounded(&report) < 0.0 && rounded(&unsigned) == -rounded(&report), "{unsigned}");
    let answer = client.get(server.url(&format!("{path}&parity=cs"))).send().await?;
    ensure!(answer.status() == 400, "{}", answer.status());
    Ok(())
}

async fn the_path_between_two_models_goes_by_their_common_ancestor(
    client: &Client,
    server: &Server,
) -> Result<()> {
    let path =
        get(client, server, "/api/v1/path?from=community/scribe-de-code&to=mandoc/scribe-v1-fr").await?;
    let names: Vec<&str> =
        path["steps"].as_array().into_iter().flatten().filter_map(|step| step["name"].as_str()).collect();
    ensure!(
        names
            == ["community/scribe-de-code", "mandoc/scribe-v1-de", "mandoc/scribe-v1", "mandoc/scribe-v1-fr"],
        "{path}"
    );
    ensure!(path["meets"] == "mandoc/scribe-v1" && path["by"] == "ancestor", "{path}");
    ensure!(path["steps"][3]["edge"]["child"] == "mandoc/scribe-v1-fr", "{path}");
    let by_child = get(client, server, "/api/v1/path?from=papyrus/reed-v1&to=mandoc/scribe-v1").await?;
    ensure!(by_child["meets"] == "community/mystery-de" && by_child["by"] == "descendant", "{by_child}");
    ensure!(by_child["steps"][1]["edge"]["proposed"] == true, "only the weights say so: {by_child}");
    ensure!(by_child["steps"][2]["edge"]["contradicted"] == true, "the weights say no: {by_child}");
    let unknown = client.get(server.url("/api/v1/path?from=no/one&to=mandoc/scribe-v1")).send().await?;
    ensure!(unknown.status() == 404, "{}", unknown.status());
    Ok(())
}

async fn relatives_are_found_by_their_weights(client: &Client, server: &Server) -> Result<()> {
    for (model, nearest) in [
        ("mandoc/scribe-v1-de", "community/scribe-de-code"),
        ("papyrus/reed-v1", "community/mystery-de"),
        ("community/scribe-es-lora", "mandoc/scribe-v1"),
    ] {
        let answer = get(client, server, &format!("/api/v1/models/{model}/relatives?limit=2")).await?;
        ensure!(answer["relatives"][0]["model"] == nearest && answer["model"] == model, "{answer}");
    }
    let answer = client.get(server.url("/api/v1/models/mandoc/scribe-v1/relatives?limit=0")).send().await?;
    ensure!(answer.status() == 400, "{}", answer.status());
    Ok(())
}

async fn a_transfer_is_registered_with_its_parents(
    client: &Client,
    server: &Server,
    zoo: &Zoo,
) -> Result<()> {
    let wanted = json!({
        "source_base": "mandoc/scribe-v1", "source_tuned": "mandoc/scribe-v1-de",
        "target_base": "mandoc/scribe-v1.1", "output": "tests/german-1.1"
    });
    let answer = client.post(server.url("/api/v1/transfers?dry_run=true")).json(&wanted).send().await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    let report: Value = answer.json().await?;
    ensure!(report["verdict"] == "likely works" && report["heuristic"] == true, "{report}");
    ensure!(
        report["model"]["relative_gap"].as_f64().is_some_and(|gap| (gap - 0.1085).abs() < 1e-4),
        "{report}"
    );

    let job = run(client, server, "/api/v1/transfers", &wanted).await?;
    ensure!(job["result"]["model"] == "tests/german-1.1", "{job}");

    let model = get(client, server, "/api/v1/models/tests/german-1.1").await?;
    let mut parents: Vec<&str> =
        model["parents"].as_array().into_iter().flatten().filter_map(|p| p["id"].as_str()).collect();
    parents.sort_unstable();
    ensure!(parents == ["mandoc/scribe-v1-de", "mandoc/scribe-v1.1"], "{parents:?}");
    ensure!(model["recipe"]["kind"] == "transfer", "{model}");

    let read = |id: &str| -> Result<Vec<u8>> { Ok(fs_err::read(zoo.path(id)?.join("model.safetensors"))?) };
    let (target, base, tuned) =
        (read("mandoc/scribe-v1.1")?, read("mandoc/scribe-v1")?, read("mandoc/scribe-v1-de")?);
    let made = weights(client, server, "tests/german-1.1").await?;
    same_layout(&made, &target)?;
    let [made, target, base, tuned] = [&made, &target, &base, &tuned]
        .map(|bytes| SafeTensors::deserialize(bytes).map_err(anyhow::Error::from));
    let (made, target, base, tuned) = (made?, target?, base?, tuned?);
    for (name, view) in made.tensors() {
        let parts = [&target, &base, &tuned].map(|m| m.tensor(&name).map(|t| bf16(t.data())));
        let [target, base, tuned] = parts;
        let (target, base, tuned) = (target?, base?, tuned?);
        for (i, value) in bf16(view.data()).into_iter().enumerate() {
            let exact = target[i] + (tuned[i] - base[i]);
            let half_step = exact.abs().max(1e-30) / 256.0;
            ensure!((value - exact).abs() <= half_step, "{name}[{i}]: {value} against {exact}");
        }
    }
    Ok(())
}

async fn a_merge_of_two_is_registered(client: &Client, server: &Server) -> Result<()> {
    let config = "merge_method: linear\nmodels:\n  - model: mandoc/scribe-v1-de\n    parameters: {weight: 0.5}\n  \
                  - model: mandoc/scribe-v1-fr\n    parameters: {weight: 0.5}\ndtype: bfloat16\n";
    let wanted = json!({ "config": config, "output": "tests/german-french" });
    let job = run(client, server, "/api/v1/merges", &wanted).await?;
    ensure!(job["done"] == job["total"], "a finished job has done all of it: {job}");

    let merged = weights(client, server, "tests/german-french").await?;
    same_layout(&merged, &weights(client, server, "mandoc/scribe-v1").await?)?;
    let model = get(client, server, "/api/v1/models/tests/german-french").await?;
    ensure!(model["parents"].as_array().is_some_and(|p| p.len() == 2), "{model}");
    ensure!(model["parents"][0]["evidence"].to_string().contains("recipe"), "{model}");
    let files = get(client, server, "/api/v1/models/tests/german-french/files").await?;
    for name in ["config.json", "tokenizer.json", "README.md", "mergekit_config.yml", "stemma_recipe.json"] {
        ensure!(files.to_string().contains(name), "{name} is missing: {files}");
    }

    let again = client.post(server.url("/api/v1/merges")).json(&wanted).send().await?;
    ensure!(again.status() == 409, "a name in use is not taken over: {}", again.status());
    Ok(())
}

async fn merging_a_model_with_itself_gives_it_back(client: &Client, server: &Server) -> Result<()> {
    let (id, base) = ("mandoc/scribe-v1-de", "mandoc/scribe-v1");
    let twice = format!(
        "models:\n  - model: {id}\n    parameters: {{weight: 0.3}}\n  - model: {id}\n    parameters: {{weight: 0.7}}\n"
    );
    let same = format!("models:\n  - model: {id}\n    parameters: {{weight: 1.0}}\n");
    let recipes = [
        ("linear", format!("merge_method: linear\n{twice}")),
        (
            "slerp",
            format!(
                "merge_method: slerp\nbase_model: {id}\nmodels:\n  - model: {id}\n  - model: {id}\nparameters: {{t: 0.4}}\n"
            ),
        ),
        ("arithmetic", format!("merge_method: task_arithmetic\nbase_model: {base}\n{same}")),
        ("ties", format!("merge_method: ties\nbase_model: {base}\nparameters: {{density: 1.0}}\n{same}")),
    ];
    let original = weights(client, server, id).await?;
    let original = SafeTensors::deserialize(&original)?;
    for (name, config) in recipes {
        let output = format!("tests/self-{name}");
        run(client, server, "/api/v1/merges", &json!({ "config": config, "output": output })).await?;
        let merged = weights(client, server, &output).await?;
        let merged = SafeTensors::deserialize(&merged)?;
        for (tensor, view) in original.tensors() {
            ensure!(merged.tensor(&tensor)?.data() == view.data(), "{name}: {tensor} is not the same bytes");
        }
    }
    Ok(())
}

async fn a_diff_is_an_artefact(client: &Client, server: &Server) -> Result<()> {
    let wanted = json!({ "tuned": "mandoc/scribe-v1-de", "base": "mandoc/scribe-v1" });
    let job = run(client, server, "/api/v1/diffs", &wanted).await?;
    let blob = job["result"]["blob"].as_str().context("a diff without a blob")?;
    let bytes = client.get(server.url(&format!("/api/v1/blobs/{blob}"))).send().await?.bytes().await?;
    let diff = SafeTensors::deserialize(&bytes)?;
    ensure!(diff.len() == 39, "{} tensors", diff.len());

    let report = get(client, server, "/api/v1/diffs?a=mandoc/scribe-v1-de&b=mandoc/scribe-v1").await?;
    let relative = report["totals"]["relative_l2"].as_f64().unwrap_or(0.0);
    ensure!((relative - 0.1431).abs() < 5e-5, "{relative}");
    Ok(())
}
