//! Differences and adapters as artefacts: written in every form, read back, applied, extracted and baked.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use reqwest::Client;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use stemma_tests::{Server, Zoo, client, databases, get, job, relative, run, run_json, stemma};
use tempfile::TempDir;

const BASE: &str = "mandoc/scribe-v1";
const TUNED: &str = "mandoc/scribe-v1-de";
const LORA: &str = "community/scribe-es-lora";

/// `energy` of a file's own metadata.
fn energy(bytes: &[u8]) -> Result<f64> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let metadata = header.metadata().as_ref().context("no metadata")?;
    ensure!(metadata.get("content").is_some_and(|content| content == "difference"), "{metadata:?}");
    Ok(metadata.get("energy").context("no energy")?.parse()?)
}

fn bf16(bytes: &[u8]) -> Vec<f32> {
    let wide = |raw: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*raw)) << 16);
    bytes.as_chunks::<2>().0.iter().map(wide).collect()
}

/// Every element of two bf16 checkpoints at most one unit in the last place apart.
fn within_one_ulp(made: &Path, wanted: &Path) -> Result<()> {
    let (made, wanted) = (fs_err::read(made)?, fs_err::read(wanted)?);
    let (made, wanted) = (SafeTensors::deserialize(&made)?, SafeTensors::deserialize(&wanted)?);
    ensure!(made.len() == wanted.len());
    for (name, view) in wanted.tensors() {
        for (got, wanted) in bf16(made.tensor(&name)?.data()).into_iter().zip(bf16(view.data())) {
            let ulp = f32::from_bits((wanted.to_bits() & 0x7F80_0000).max(0x0080_0000)) / 128.0;
            ensure!((got - wanted).abs() <= ulp, "{name}: {got} against {wanted}");
        }
    }
    Ok(())
}

#[test]
fn a_difference_is_written_in_every_form_and_read_as_the_dense_one_it_stands_for() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let on = || stemma(place.path());
    let (base, tuned) = (zoo.path(BASE)?, zoo.path(TUNED)?);
    let pair = format!("diff {} {}", tuned.display(), base.display());

    run(on(), &format!("{pair} --out dense.safetensors"))?;
    let sparse = run_json(on(), &format!("{pair} --out sparse.safetensors --form sparse --density 0.2"))?;
    let factored = run_json(on(), &format!("{pair} --out low.safetensors --form low-rank --rank 12"))?;
    let signs = run_json(on(), &format!("{pair} --out signs.safetensors --form bitdelta"))?;
    let packed = run_json(on(), &format!("{pair} --out packed.safetensors --form skillpack-rtn"))?;

    let forms = [
        ("sparse.safetensors", &sparse),
        ("low.safetensors", &factored),
        ("signs.safetensors", &signs),
        ("packed.safetensors", &packed),
    ];
    for (file, report) in forms {
        let held = energy(&fs_err::read(place.path().join(file))?)?;
        ensure!(report["written"]["energy"].as_f64() == Some(held), "{file}: {held}");
        let lost = relative(&run_json(on(), &format!("diff {file} dense.safetensors"))?)?;
        ensure!((lost * lost - (1.0 - held)).abs() < 1e-6, "{file} holds {held} and misses {lost}");
    }
    let bytes = |file: &str| fs_err::metadata(place.path().join(file)).map(|about| about.len());
    ensure!(5 * bytes("packed.safetensors")? < bytes("dense.safetensors")?);
    run(on(), &format!("diff apply {} dense.safetensors back", base.display()))?;
    within_one_ulp(&place.path().join("back/model.safetensors"), &tuned.join("model.safetensors"))?;

    let sum = format!(
        "merge_method: linear\nparameters: {{normalize: false}}\nmodels:\n  - model: {}\n    parameters: {{weight: 1}}\n  \
         - model: low.safetensors\n    parameters: {{weight: 0.5}}\n",
        base.display()
    );
    fs_err::write(place.path().join("sum.yml"), sum)?;
    let out = on().args(["merge", "sum.yml", "summed"]).output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(!out.status.success() && said.contains("`low.safetensors` is a stored difference"), "{said}");
    run(on(), &format!("diff apply {} low.safetensors half --scale 0.5", base.display()))?;
    ensure!(relative(&run_json(on(), &format!("diff half {}", base.display()))?)? > 0.0);

    let out = on().args(["diff", "apply"]).arg(&base).arg(&tuned).arg("no").output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(1) && said.contains("not a stored difference"), "{said}");
    Ok(())
}

#[test]
fn an_adapter_of_full_rank_is_the_fine_tune_and_baking_is_what_reading_an_adapter_does() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let on = || stemma(place.path());
    let (base, tuned, lora) = (zoo.path(BASE)?, zoo.path(TUNED)?, zoo.path(LORA)?);
    let extract =
        |more: &str| format!("adapter extract --base {} --tuned {} {more}", base.display(), tuned.display());

    let full = run_json(on(), &extract("full --rank 1000"))?;
    let some = run_json(on(), &extract("some --energy 0.5 --include self_attn"))?;
    run(on(), &format!("adapter bake {} full whole", base.display()))?;

    ensure!(full["energy"].as_f64().is_some_and(|energy| energy > 1.0 - 1e-9), "{}", full["energy"]);
    within_one_ulp(&place.path().join("whole/model.safetensors"), &tuned.join("model.safetensors"))?;
    let modules = some["modules"].as_array().context("no modules")?;
    ensure!(modules.len() == 16, "{} modules", modules.len());
    for module in modules {
        let held = module["energy"].as_f64().unwrap_or_default();
        ensure!((0.5..1.0).contains(&held), "{module}");
    }

    run(on(), &format!("import dir {} --id {BASE}", base.display()))?;
    run(on(), &format!("adapter bake {BASE} {} baked", lora.display()))?;
    run(on(), &format!("adapter bake {BASE} {} none --scale 0", lora.display()))?;
    ensure!(relative(&run_json(on(), &format!("diff baked {}", lora.display()))?)? == 0.0);
    ensure!(relative(&run_json(on(), &format!("diff none {BASE}"))?)? == 0.0);
    let beyond =
        on().args(["adapter", "bake", BASE]).arg(&lora).args(["huge", "--scale", "1e300"]).output()?;
    let said = String::from_utf8_lossy(&beyond.stderr);
    ensure!(beyond.status.code() == Some(1) && said.contains("leave the range of"), "{said}");
    ensure!(!place.path().join("huge").exists(), "something is left of a bake that was refused");
    Ok(())
}

#[test]
fn a_dry_run_tells_what_would_be_made_and_writes_nothing() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let on = || stemma(place.path());
    let (base, tuned, lora) = (zoo.path(BASE)?, zoo.path(TUNED)?, zoo.path(LORA)?);
    let (base, tuned, lora) = (base.display(), tuned.display(), lora.display());
    run(on(), &format!("diff {tuned} {base} --out delta.safetensors"))?;

    for words in [
        format!("diff apply {base} delta.safetensors out"),
        format!("transfer --diff delta.safetensors --to-base {base} out"),
        format!("adapter bake {base} {lora} out"),
        format!("adapter extract --base {base} --tuned {tuned} out"),
        format!("transfer --from-base {base} --from-tuned {tuned} --to-base {base} out"),
    ] {
        let told = run_json(on(), &format!("{words} --dry-run"))?;
        let about = if words.contains("--from-tuned") { "verdict" } else { "recipe_digest" };
        ensure!(told[about].is_string(), "{words}: {told}");
        run(on(), &format!("{words} --dry-run --register tests/later"))?;
        ensure!(!place.path().join("out").exists(), "{words}");
    }
    let wrong = on().args(["adapter", "bake", "no/where", "no/what", "--dry-run"]).output()?;
    ensure!(!wrong.status.success(), "models that are nowhere");

    run(on(), &format!("diff apply {base} delta.safetensors cut --max-shard-size 500KB"))?;
    ensure!(place.path().join("cut/model.safetensors.index.json").exists());
    Ok(())
}

#[test]
fn an_adapter_that_cannot_be_applied_is_named_with_its_place_in_the_recipe() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let (base, lora, dora) = (zoo.path(BASE)?, zoo.path(LORA)?, place.path().join("dora"));
    fs_err::create_dir_all(&dora)?;
    for file in fs_err::read_dir(&lora)? {
        let file = file?;
        fs_err::copy(file.path(), dora.join(file.file_name()))?;
    }
    let config = fs_err::read(lora.join("adapter_config.json"))?;
    let mut config: Value = serde_json::from_slice(&config)?;
    config["use_dora"] = json!(true);
    fs_err::write(dora.join("adapter_config.json"), config.to_string())?;
    let (base, dora) = (base.display(), dora.display());
    let recipe = format!(
        "merge_method: linear\nparameters: {{weight: 1}}\nmodels: [{{model: {base}}}, {{model: {base}+{dora}}}]\n"
    );
    fs_err::write(place.path().join("recipe.yml"), recipe)?;

    let out = stemma(place.path()).args(["merge", "recipe.yml", "out", "--dry-run", "--json"]).output()?;

    let told: Value = serde_json::from_slice(&out.stderr)?;
    ensure!(told["code"] == "adapter_mismatch", "{told}");
    ensure!(told["errors"][0]["pointer"] == "/models/1/model", "{told}");
    ensure!(told["detail"].as_str().is_some_and(|detail| detail.contains("/dora`: ")), "{told}");
    Ok(())
}

#[tokio::test]
async fn diffs_and_adapters_are_made_by_jobs_and_know_their_parents() -> Result<()> {
    let zoo = Zoo::unpack()?;
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        for id in [BASE, TUNED, LORA] {
            run(server.stemma(), &format!("import dir {} --id {id}", zoo.path(id)?.display()))?;
        }
        a_smaller_diff_tells_what_it_holds(&client, &server).await?;
        an_extracted_adapter_is_a_model(&client, &server).await?;
        a_baked_adapter_is_a_whole_model(&client, &server).await?;
        what_cannot_be_made_is_refused_before_it_is_queued(&client, &server).await?;
    }
    Ok(())
}

async fn a_smaller_diff_tells_what_it_holds(client: &Client, server: &Server) -> Result<()> {
    let asked =
        json!({ "tuned": TUNED, "base": BASE, "form": "sparse", "density": 0.1, "dtype": "bfloat16" });
    let result = job(client, server, "/api/v1/diffs", asked).await?;

    let blob = result["blob"].as_str().context("a diff without a blob")?;
    let bytes = client.get(server.url(&format!("/api/v1/blobs/{blob}"))).send().await?.bytes().await?;
    ensure!(result["energy"].as_f64() == Some(energy(&bytes)?), "{result}");
    ensure!(result["energies"].as_object().is_some_and(|energies| energies.len() == 39), "{result}");
    let file = SafeTensors::deserialize(&bytes)?;
    let kept = file.tensor("model.layers.0.mlp.up_proj.weight.values")?;
    ensure!(kept.shape() == [352 * 128 / 10] && kept.dtype() == safetensors::Dtype::BF16);
    Ok(())
}

async fn parents(client: &Client, server: &Server, id: &str) -> Result<Vec<String>> {
    let model = get(client, server, &format!("/api/v1/models/{id}")).await?;
    ensure!(model["recipe"].is_object(), "{model}");
    let ids = model["parents"].as_array().into_iter().flatten().filter_map(|p| p["id"].as_str());
    let mut ids: Vec<String> = ids.map(str::to_owned).collect();
    ids.sort_unstable();
    Ok(ids)
}

async fn an_extracted_adapter_is_a_model(client: &Client, server: &Server) -> Result<()> {
    let asked = json!({ "base": BASE, "tuned": TUNED, "rank": 16, "output": "tests/german-lora" });
    let result = job(client, server, "/api/v1/adapters/extract", asked).await?;

    ensure!(result["energy"].as_f64().is_some_and(|energy| energy > 0.5), "{result}");
    ensure!(parents(client, server, "tests/german-lora").await? == [BASE, TUNED]);
    let files = get(client, server, "/api/v1/models/tests/german-lora/files").await?.to_string();
    for name in ["adapter_config.json", "adapter_model.safetensors", "stemma_recipe.json", "README.md"] {
        ensure!(files.contains(name), "{name} is missing: {files}");
    }
    let apart = |report: Value| relative(&report);
    let far = apart(get(client, server, &format!("/api/v1/diffs?a={BASE}&b={TUNED}")).await?)?;
    let near = apart(get(client, server, &format!("/api/v1/diffs?a=tests/german-lora&b={TUNED}")).await?)?;
    ensure!(near < 0.7 * far, "the adapter is {near} away, the base {far}");
    Ok(())
}

async fn a_baked_adapter_is_a_whole_model(client: &Client, server: &Server) -> Result<()> {
    let asked = json!({ "base": BASE, "adapter": LORA, "output": "tests/spanish" });
    job(client, server, "/api/v1/adapters/bake", asked).await?;

    ensure!(parents(client, server, "tests/spanish").await? == [LORA, BASE]);
    let report = get(client, server, &format!("/api/v1/diffs?a=tests/spanish&b={LORA}")).await?;
    ensure!(relative(&report)? == 0.0, "{report}");
    let config = client.get(server.url("/tests/spanish/resolve/main/config.json")).send().await?;
    ensure!(config.json::<Value>().await?["architectures"][0] == "LlamaForCausalLM");
    Ok(())
}

async fn what_cannot_be_made_is_refused_before_it_is_queued(client: &Client, server: &Server) -> Result<()> {
    let refusals = [
        ("diffs", json!({ "tuned": TUNED, "base": BASE, "form": "thin" }), 422),
        ("diffs", json!({ "tuned": TUNED, "base": BASE, "form": "sparse", "density": 2 }), 422),
        ("adapters/extract", json!({ "base": BASE, "tuned": TUNED, "rank": 0, "output": "t/x" }), 422),
        ("adapters/extract", json!({ "base": BASE, "tuned": TUNED, "include": "(", "output": "t/x" }), 422),
        ("adapters/extract", json!({ "base": LORA, "tuned": TUNED, "output": "t/x" }), 422),
        ("adapters/bake", json!({ "base": BASE, "adapter": TUNED, "output": "t/x" }), 422),
        ("adapters/bake", json!({ "base": BASE, "adapter": "no/where", "output": "t/x" }), 404),
        ("adapters/bake", json!({ "base": BASE, "adapter": LORA, "output": TUNED }), 409),
    ];
    for (path, body, expected) in refusals {
        let answer = client.post(server.url(&format!("/api/v1/{path}"))).json(&body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == expected, "{path} {body}: {status} {text}");
    }
    Ok(())
}

#[test]
fn a_damaged_description_is_told_with_its_code() -> Result<()> {
    let (zoo, place) = (Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let pair = format!("diff {} {}", zoo.path(TUNED)?.display(), zoo.path(BASE)?.display());
    run(stemma(place.path()), &format!("{pair} --out sparse.safetensors --form sparse --density 0.01"))?;
    let bytes = fs_err::read(place.path().join("sparse.safetensors"))?;
    let needle = b"\\\"shape\\\":[2048,128]";
    let at = bytes.windows(needle.len()).position(|found| found == needle).context("no shape")?;
    let mut damaged = bytes;
    damaged[at + needle.len() - 9..at + needle.len() - 5].copy_from_slice(b"1   ");

    fs_err::write(place.path().join("damaged.safetensors"), damaged)?;
    let out = stemma(place.path()).args(["diff", "damaged.safetensors", "sparse.safetensors"]).output()?;

    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(1) && said.contains("error[bad_difference]"), "{said}");
    Ok(())
}
