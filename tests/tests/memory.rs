//! Memory is bounded by blocks and threads, not by a model: the program runs under a hard limit of its writable memory.

use std::{
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    process::{Command, Output},
};

use anyhow::{Result, ensure};
use serde_json::Value;
use stemma_tests::stemma;
use tempfile::TempDir;

/// Writable memory of a process that reads checkpoints, KiB.
const READING: u32 = 256 << 10;
/// Writable memory of a process that refuses one, KiB: less than half the header refused.
const REFUSING: u32 = 32 << 10;

/// Bytes of one tensor of a sparse checkpoint, four times what the process may hold.
const TENSOR: u64 = 1 << 30;

/// The program on `data`, killed by its first allocation beyond `limit` KiB; pages of files are not counted.
fn limited(data: &Path, limit: u32, words: &str) -> Result<Output> {
    let inner = stemma(data);
    let mut outer = Command::new("sh");
    outer.args(["-c", &format!("ulimit -d {limit}; exec \"$0\" \"$@\"")]).arg(inner.get_program());
    outer.args(inner.get_args()).args(words.split_whitespace()).current_dir(data);
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    Ok(outer.output()?)
}

/// A checkpoint of bf16 zeros whose file is all hole behind its header.
fn sparse(folder: &Path, tensors: u64) -> Result<()> {
    zeros(folder, tensors, ("BF16", TENSOR / 2))
}

/// The same of any number format of `elements` a tensor, a multiple of 4,096.
fn zeros(folder: &Path, tensors: u64, (dtype, elements): (&str, u64)) -> Result<()> {
    let bytes = elements * if dtype == "F32" { 4 } else { 2 };
    let mut entries = serde_json::Map::new();
    for at in 0..tensors {
        let place = [at * bytes, (at + 1) * bytes];
        let entry =
            serde_json::json!({"dtype": dtype, "shape": [elements / 4096, 4096], "data_offsets": place});
        entries.insert(format!("model.layers.{at}.mlp.up_proj.weight"), entry);
    }
    let header = serde_json::to_vec(&entries)?;
    fs_err::create_dir_all(folder)?;
    let mut file = fs_err::File::create(folder.join("model.safetensors"))?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    Ok(file.set_len(8 + header.len() as u64 + tensors * bytes)?)
}

/// Size of the checkpoints in GiB; a debug build reads too slowly for one like those that are really about.
fn size() -> u64 {
    std::env::var("STEMMA_TEST_MEMORY_GIB").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

#[test]
fn checkpoints_larger_than_memory_are_measured_exactly_and_by_sketches() -> Result<()> {
    let data = TempDir::with_prefix("stemma-test-")?;
    sparse(&data.path().join("a"), size())?;
    sparse(&data.path().join("b"), size())?;

    for words in ["kinship a b --base a --json", "kinship a b --base a --estimate --json"] {
        let out = limited(data.path(), READING, words)?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.success(), "{words}: {} {said}", out.status);
        let report: Value = serde_json::from_slice(&out.stdout)?;
        ensure!(report["matrices"]["euclidean"][0][1] == 0.0, "{words}: {report}");
        ensure!(report["matrices"]["cosine"][0][1].is_null(), "{words}: a delta of zeros has no direction");
    }
    Ok(())
}

#[test]
fn a_tensor_larger_than_memory_is_merged_in_one_pass_and_in_several() -> Result<()> {
    let data = TempDir::with_prefix("stemma-test-")?;
    for model in ["a", "b"] {
        zeros(&data.path().join(model), 1, ("F32", 72 << 20))?;
    }
    for (method, parameters, base) in
        [("linear", "{weight: 0.5}", ""), ("ties", "{weight: 0.5, density: 0.5}", "base_model: a\n")]
    {
        let entry = |model: &str| format!("  - model: {model}\n    parameters: {parameters}\n");
        let models = if base.is_empty() { format!("{}{}", entry("a"), entry("b")) } else { entry("b") };
        let recipe = format!("merge_method: {method}\n{base}models:\n{models}");
        fs_err::write(data.path().join("merge.yml"), recipe)?;

        let out = limited(data.path(), READING, &format!("merge merge.yml {method}"))?;

        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.success(), "{method}: {} {said}", out.status);
        let written = fs_err::metadata(data.path().join(method).join("model.safetensors"))?.len();
        ensure!(written > 288 << 20, "{method}: {written} bytes");
        fs_err::remove_dir_all(data.path().join(method))?;
    }
    Ok(())
}

#[test]
fn a_tensor_larger_than_memory_is_shared_by_two_models_and_rebuilt() -> Result<()> {
    let data = TempDir::with_prefix("stemma-test-")?;
    for (model, last) in [("base", 0f32), ("a", 1.0), ("b", -2.0)] {
        zeros(&data.path().join(model), 1, ("F32", 72 << 20))?;
        let mut file =
            fs_err::File::options().write(true).open(data.path().join(model).join("model.safetensors"))?;
        file.seek(SeekFrom::End(-4))?;
        file.write_all(&last.to_le_bytes())?;
    }

    let shared = limited(data.path(), READING, "diff a base --with b --form emr --out shared.safetensors")?;
    let rebuilt = limited(data.path(), READING, "diff apply base shared.safetensors#b back")?;

    for out in [&shared, &rebuilt] {
        ensure!(out.status.success(), "{} {}", out.status, String::from_utf8_lossy(&out.stderr));
    }
    let told = String::from_utf8_lossy(&shared.stdout).into_owned();
    let lines = ["a\tscale 1.000000\trelative error 1.000000", "b\tscale 1.000000\trelative error 0.000000"];
    ensure!(lines.iter().all(|line| told.contains(line)), "{told}");
    ensure!(fs_err::metadata(data.path().join("shared.safetensors"))?.len() > 306 << 20);
    let mut last = [0; 4];
    let mut file = fs_err::File::open(data.path().join("back/model.safetensors"))?;
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut last)?;
    ensure!(f32::from_le_bytes(last) == -2.0);
    Ok(())
}

#[test]
fn a_header_beyond_the_limit_is_refused_without_being_read() -> Result<()> {
    let data = TempDir::with_prefix("stemma-test-")?;
    let folder = data.path().join("long");
    fs_err::create_dir_all(&folder)?;
    let mut file = fs_err::File::create(folder.join("model.safetensors"))?;
    file.write_all(&80_000_000u64.to_le_bytes())?;
    file.write_all(b"{")?;
    file.set_len(100_000_000)?;

    for words in ["import dir long --id tests/long", "diff long long"] {
        let out = limited(data.path(), REFUSING, words)?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(
            out.status.code() == Some(1) && said.starts_with("error[header_too_large]"),
            "{words}: {said}"
        );
    }
    Ok(())
}

#[test]
fn the_limit_of_these_tests_bites() -> Result<()> {
    let data = TempDir::with_prefix("stemma-test-")?;

    let out = limited(data.path(), 1 << 10, "config show")?;

    ensure!(!out.status.success(), "the program ran in a megabyte: {:?}", out.status);
    Ok(())
}
