//! Every kind of checkpoint as an operand: scaled codes, quantised layouts, formats of the future, models on a Hub;
//! and outputs in shards.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Output,
};

use anyhow::{Context as _, Result, ensure};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use stemma_tests::{Database, Server, Zoo, client, databases, stemma};
use tempfile::TempDir;

/// A tensor to be stored: name, dtype, shape, bytes.
type Tensor<'a> = (&'a str, &'a str, &'a [u64], Vec<u8>);

fn checkpoint(folder: &Path, tensors: &[Tensor], config: &Value) -> Result<()> {
    let (mut entries, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let place = [data.len(), data.len() + bytes.len()];
        data.extend(bytes);
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": place});
        entries.insert((*name).to_owned(), entry);
    }
    let header = serde_json::to_vec(&entries)?;
    fs_err::create_dir_all(folder)?;
    let length = (header.len() as u64).to_le_bytes();
    fs_err::write(folder.join("model.safetensors"), [&length[..], &header, &data].concat())?;
    Ok(fs_err::write(folder.join("config.json"), config.to_string())?)
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// A command that must succeed; gives its JSON.
fn answer(data: &Path, words: &str) -> Result<Value> {
    let out = stemma(data).args(words.split_whitespace()).arg("--json").output()?;
    ensure!(out.status.success(), "{words}: {} {}", out.status, said(&out));
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// A command that must fail with this exit code; gives what it said.
fn refused(data: &Path, words: &str, code: i32) -> Result<String> {
    let out = stemma(data).args(words.split_whitespace()).output()?;
    ensure!(out.status.code() == Some(code), "{words}: {} {}", out.status, said(&out));
    Ok(said(&out))
}

#[test]
fn eight_bit_floats_with_scales_are_the_numbers_they_stand_for() -> Result<()> {
    let data = TempDir::with_prefix("stemma-test-")?;
    let at = data.path();
    // 1, 2, −1.5 and 448 by scales of a quarter and a half.
    let coded = [
        ("l.weight", "F8_E4M3", &[2, 2][..], vec![0x38, 0x40, 0xBC, 0x7E]),
        ("l.weight_scale_inv", "F32", &[2, 1], f32s(&[0.25, 0.5])),
    ];
    let plain = [("l.weight", "F32", &[2, 2][..], f32s(&[0.25, 0.5, -0.75, 224.0]))];
    let config = json!({"model_type": "llama", "quantization_config": {"quant_method": "fp8"}});
    checkpoint(&at.join("coded"), &coded, &config)?;
    checkpoint(&at.join("plain"), &plain, &json!({"model_type": "llama"}))?;
    for id in ["coded", "plain"] {
        answer(at, &format!("import dir {id} --id tests/{id}"))?;
    }

    for pair in ["coded plain", "tests/coded tests/plain"] {
        let diff = answer(at, &format!("diff {pair}"))?;
        ensure!(diff["totals"]["identical"] == 1 && diff["only_a"] == json!([]), "{diff}");
    }
    let estimate = answer(at, "kinship tests/coded tests/plain --estimate")?;
    ensure!(estimate["matrices"]["euclidean"][0][1] == 0.0, "sketches are of the numbers: {estimate}");
    for coarse in [estimate, answer(at, "kinship tests/coded tests/plain")?] {
        let told = coarse["warnings"].to_string();
        ensure!(
            told.contains("`tests/coded` is stored in eight bits") && !told.contains("plain"),
            "{coarse}"
        );
    }
    fs_err::write(
        at.join("m.yml"),
        "merge_method: linear\nmodels: [{model: tests/coded, parameters: {weight: 1}}]\n",
    )?;
    answer(at, "merge m.yml out")?;
    let config: Value = serde_json::from_slice(&fs_err::read(at.join("out/config.json"))?)?;
    ensure!(config == json!({"model_type": "llama"}), "the result is not quantised: {config}");
    Ok(())
}

#[tokio::test]
async fn a_quantised_layout_is_stored_and_refused_by_its_name() -> Result<()> {
    for database in databases() {
        let server = Server::start(&database).await?;
        let folder = server.data().join("packed");
        let list = [
            ("l.qweight", "I32", &[1, 8][..], vec![0; 32]),
            ("l.scales", "F16", &[1, 8], vec![0; 16]),
            ("norm.weight", "F32", &[2], f32s(&[1.0, 2.0])),
        ];
        let section = json!({"quant_method": "gptq", "bits": 4, "group_size": 128});
        checkpoint(&folder, &list, &json!({"model_type": "llama", "quantization_config": section}))?;
        let out = server.stemma().args(["import", "dir", "packed", "--id", "tests/packed"]).output()?;
        ensure!(out.status.success(), "{}", said(&out));

        for query in [
            "kinship?of=tests/packed&of=tests/packed",
            "kinship?of=tests/packed&of=tests/packed&exact=false",
            "diffs?a=tests/packed&b=tests/packed",
        ] {
            let answer = client()?.get(server.url(&format!("/api/v1/{query}"))).send().await?;
            let (status, problem) = (answer.status().as_u16(), answer.json::<Value>().await?);
            ensure!(
                (status, &problem["code"]) == (422, &json!("quantised_layout")),
                "{query}: {status} {problem}"
            );
            let told = problem["detail"].as_str().unwrap_or_default();
            ensure!(told.contains("GPTQ (4 bits, groups of 128)") && told.contains("l.qweight"), "{told}");
        }
        let out = server.stemma().args(["kinship", "packed", "packed"]).output()?;
        ensure!(
            out.status.code() == Some(5) && said(&out).starts_with("error[quantised_layout]"),
            "{}",
            said(&out)
        );
        let model: Value =
            client()?.get(server.url("/api/v1/models/tests/packed")).send().await?.json().await?;
        ensure!(model["notes"].to_string().contains("GPTQ"), "{model}");
    }
    Ok(())
}

#[test]
fn weights_in_files_of_other_formats_are_named_with_what_to_do() -> Result<()> {
    let data = TempDir::with_prefix("stemma-test-")?;
    let at = data.path();
    for (file, told) in
        [("pytorch_model.bin", "never unpickled"), ("model-q4.gguf", "GGUF"), ("model.onnx", "ONNX")]
    {
        let folder = at.join(file.replace('.', "-"));
        fs_err::create_dir_all(&folder)?;
        fs_err::write(folder.join(file), b"not read")?;
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let bare = refused(at, &format!("import dir {name} --id tests/{name}"), 5)?;
        ensure!(bare.starts_with("error[weights_format]") && bare.contains(told), "{bare}");

        fs_err::write(folder.join("config.json"), "{}")?;
        answer(at, &format!("import dir {name} --id tests/{name}"))?;

        for operand in [name.clone(), format!("tests/{name}")] {
            let words = refused(at, &format!("kinship {operand} {operand}"), 5)?;
            ensure!(
                words.contains("weights_format") && words.contains(file) && words.contains(told),
                "{words}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_number_format_of_the_future_is_listed_copied_and_left_out_of_numbers() -> Result<()> {
    for database in databases() {
        let server = Server::start(&database).await?;
        let at = server.data().join("future");
        let list =
            [("a.weight", "F6_E9", &[4][..], vec![1, 2, 3]), ("b.weight", "F32", &[2], f32s(&[1.0, 2.0]))];
        checkpoint(&at, &list, &json!({}))?;
        let out = server.stemma().args(["import", "dir", "future", "--id", "tests/future"]).output()?;
        ensure!(out.status.success(), "{}", said(&out));

        let listed: Value =
            client()?.get(server.url("/api/v1/models/tests/future/tensors")).send().await?.json().await?;
        ensure!(listed["items"][0]["dtype"] == "F6_E9", "{listed}");
        let words = "merge_method: linear\nmodels: [{model: future, parameters: {weight: 1}}]\n";
        fs_err::write(server.data().join("m.yml"), words)?;
        let out = server.stemma().args(["merge", "m.yml", "out"]).output()?;
        ensure!(out.status.success(), "{}", said(&out));
        let written = fs_err::read(server.data().join("out/model.safetensors"))?;
        ensure!(
            String::from_utf8_lossy(&written).contains(r#""dtype":"F6_E9","shape":[4]"#),
            "the word is kept"
        );
        let diff = answer(server.data(), "diff out future")?;
        ensure!(diff["totals"]["identical"] == 2, "{diff}");
    }
    Ok(())
}

/// Serves folders as a Hub does: records at `/api/models/…`, parts of files at `/…/resolve/…`.
fn hub(models: Vec<(&'static str, PathBuf)>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let Ok(reader) = stream.try_clone() else { continue };
            let head: Vec<String> = BufReader::new(reader)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .map(|line| line.to_lowercase())
                .collect();
            let answer = serve(&models, &head).unwrap_or_else(|| {
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()
            });
            let _ = stream.write_all(&answer);
        }
    });
    Ok(address)
}

fn serve(models: &[(&str, PathBuf)], head: &[String]) -> Option<Vec<u8>> {
    let path = head.first()?.split(' ').nth(1)?;
    let (_, folder) = models.iter().find(|(id, _)| path.contains(&format!("/{id}/")))?;
    let (status, body) = if path.starts_with("/api/models/") {
        let files = fs_err::read_dir(folder).ok()?.map_while(Result::ok);
        let siblings: Vec<Value> = files
            .filter_map(|file| {
                Some(json!({"rfilename": file.file_name().to_str()?, "size": file.metadata().ok()?.len()}))
            })
            .collect();
        let (id, _) = models.iter().find(|(_, of)| of == folder)?;
        (
            "200 OK".to_owned(),
            json!({"id": id, "sha": "c0ffee", "siblings": siblings}).to_string().into_bytes(),
        )
    } else {
        let bytes = fs_err::read(folder.join(path.rsplit_once("/resolve/c0ffee/")?.1)).ok()?;
        let range = head.iter().find_map(|line| line.strip_prefix("range: bytes="))?;
        let (from, to) = range.split_once('-')?;
        let (from, to) = (from.parse::<usize>().ok()?, to.parse::<usize>().ok()?.min(bytes.len() - 1));
        let told = format!(
            "206 Partial Content\r\netag: \"v1\"\r\ncontent-range: bytes {from}-{to}/{}",
            bytes.len()
        );
        (told, bytes.get(from..=to)?.to_vec())
    };
    let told = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    Some([told.into_bytes(), body].concat())
}

#[test]
fn models_of_a_hub_are_measured_and_merged_without_being_downloaded() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let ids = ["mandoc/scribe-v1", "mandoc/scribe-v1-de", "mandoc/scribe-v1-fr", "community/scribe-es-lora"];
    let models = ids.into_iter().map(|id| Ok((id, zoo.path(id)?))).collect::<Result<Vec<_>>>()?;
    let data = TempDir::with_prefix("stemma-test-")?;
    let at = data.path();
    let words = |prefix: &str| format!("{prefix}{} {prefix}{} --base {prefix}{}", ids[1], ids[2], ids[0]);
    let none = refused(at, &format!("kinship {}", words("hub:")), 4)?;
    ensure!(none.starts_with("error[no_hub]"), "{none}");
    fs_err::write(at.join("stemma.toml"), format!("hub = {:?}\n", hub(models)?))?;
    for id in ids {
        let out = stemma(at).args(["import", "dir"]).arg(zoo.path(id)?).args(["--id", id]).output()?;
        ensure!(out.status.success(), "{}", said(&out));
    }

    let far = answer(at, &format!("kinship {}", words("hub:")))?;
    let near = answer(at, &format!("kinship {}", words("")))?;
    ensure!(far["matrices"] == near["matrices"], "{far} {near}");

    let baked =
        answer(at, "diff hub:mandoc/scribe-v1+hub:community/scribe-es-lora community/scribe-es-lora")?;
    ensure!(baked["totals"]["identical"] == baked["totals"]["tensors"], "{baked}");

    for (name, prefix) in [("far", "hub:"), ("near", "")] {
        let recipe = format!(
            "merge_method: linear\nmodels:\n  - model: {prefix}{}\n    parameters: {{weight: 0.5}}\n  - model: {prefix}{}@main\n    parameters: {{weight: 0.5}}\n",
            ids[1], ids[2]
        );
        fs_err::write(at.join(format!("{name}.yml")), recipe)?;
        answer(at, &format!("merge {name}.yml {name} --register tests/{name}"))?;
    }
    for file in ["model.safetensors", "config.json", "tokenizer.json"] {
        ensure!(
            fs_err::read(at.join("far").join(file))? == fs_err::read(at.join("near").join(file))?,
            "{file}"
        );
    }
    let tree = answer(at, "tree tests/far --up 1")?.to_string();
    ensure!(tree.contains(ids[1]) && tree.contains(ids[2]) && !tree.contains("hub:"), "{tree}");
    let unknown = refused(at, "diff hub:no/where hub:no/where", 3)?;
    ensure!(unknown.starts_with("error[hub_unknown_model]"), "{unknown}");
    Ok(())
}

#[test]
fn an_output_in_shards_is_the_same_model_and_leaves_nothing_beside_it() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let data = TempDir::with_prefix("stemma-test-")?;
    let at = data.path();
    let model = zoo.path("mandoc/scribe-v1")?;
    let recipe = format!(
        "merge_method: linear\nmodels: [{{model: {:?}, parameters: {{weight: 1}}}}]\n",
        model.display().to_string()
    );
    fs_err::write(at.join("m.yml"), recipe)?;

    answer(at, "merge m.yml whole")?;
    answer(at, "merge m.yml cut --max-shard-size 200KB --register tests/cut")?;

    ensure!(!at.join("cut/model.safetensors").exists(), "one file was written");
    let index: Value = serde_json::from_slice(&fs_err::read(at.join("cut/model.safetensors.index.json"))?)?;
    let whole = fs_err::read(at.join("whole/model.safetensors"))?;
    let whole = SafeTensors::deserialize(&whole)?;
    let shards = index["weight_map"].as_object().context("no weight_map")?;
    ensure!(shards.len() == whole.len(), "{index}");
    for (name, shard) in shards {
        let bytes = fs_err::read(at.join("cut").join(shard.as_str().context("no name")?))?;
        ensure!(
            SafeTensors::deserialize(&bytes)?.tensor(name)?.data() == whole.tensor(name)?.data(),
            "{name}"
        );
    }
    for pair in ["cut whole", "tests/cut whole"] {
        let diff = answer(at, &format!("diff {pair}"))?;
        ensure!(diff["totals"]["identical"] == diff["totals"]["tensors"], "{diff}");
    }
    let names = fs_err::read_dir(at)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let staged: Vec<String> =
        names.collect::<Result<Vec<_>>>()?.into_iter().filter(|n| n.starts_with(".stemma")).collect();
    ensure!(staged.is_empty(), "{staged:?}");
    let wrong = refused(at, "merge m.yml other --max-shard-size 5pigs", 2)?;
    ensure!(wrong.contains("5GB"), "{wrong}");
    Ok(())
}

#[test]
fn values_that_are_not_finite_and_deltas_that_are_zero_are_told_and_never_printed_as_numbers() -> Result<()> {
    let data = TempDir::with_prefix("stemma-test-")?;
    let at = data.path();
    for (name, values) in [("sick", [1.0, f32::NAN]), ("well", [1.0, 2.0]), ("base", [0.5, 2.0])] {
        let list =
            [("a.weight", "F32", &[2][..], f32s(&values)), ("b.weight", "F32", &[2], f32s(&[3.0, 4.0]))];
        checkpoint(&at.join(name), &list, &json!({}))?;
    }

    let told = refused(at, "kinship sick well --base base", 1)?;
    ensure!(told.contains("too_little_in_common") && told.contains("--partial"), "{told}");
    let kinship = answer(at, "kinship sick well --base base --partial")?;
    ensure!(kinship["coverage"]["share"] == 0.5, "{kinship}");
    ensure!(kinship["coverage"].to_string().contains("a.weight"), "{kinship}");
    ensure!(kinship["matrices"]["cosine"][0][1].is_null(), "all that is left is equal: {kinship}");
    let zero = answer(at, "kinship base well --base base")?;
    ensure!(
        zero["matrices"]["cosine"][0][1].is_null() && zero["matrices"]["pearson"][0][1].is_null(),
        "{zero}"
    );
    let diff = answer(at, "diff sick well")?;
    ensure!(diff["totals"]["nonfinite"] == 1 && !diff.to_string().contains("NaN,"), "{diff}");
    fs_err::write(
        at.join("m.yml"),
        "merge_method: linear\nmodels: [{model: sick, parameters: {weight: 1}}, {model: well, parameters: {weight: 1}}]\n",
    )?;
    let merge = refused(at, "merge m.yml out", 1)?;
    ensure!(merge.contains("`a.weight` at element 1") && merge.contains("`sick`"), "{merge}");
    ensure!(!at.join("out").exists(), "a folder was left");
    Ok(())
}

#[tokio::test]
async fn a_hub_that_is_not_configured_and_a_base_that_is_missing_are_told_over_http() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let server = Server::start(&Database::Sqlite).await?;
    let adapter = "community/scribe-es-lora";
    let out =
        server.stemma().args(["import", "dir"]).arg(zoo.path(adapter)?).args(["--id", adapter]).output()?;
    ensure!(out.status.success(), "{}", said(&out));

    for (name, code) in [(adapter, "no_base"), ("hub:a/b", "no_hub")] {
        let answer = client()?.get(server.url(&format!("/api/v1/diffs?a={name}&b={name}"))).send().await?;
        let (status, problem) = (answer.status().as_u16(), answer.json::<Value>().await?);
        ensure!((status, &problem["code"]) == (409, &json!(code)), "{name}: {status} {problem}");
    }
    Ok(())
}
