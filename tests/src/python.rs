//! The Python programs of `tests/python`, run by an interpreter that has the libraries our users load models with.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::named;

/// The interpreter that `STEMMA_TEST_PYTHON` names; `scripts/test` makes one and sets it.
pub(crate) fn interpreter() -> Option<PathBuf> {
    named("STEMMA_TEST_PYTHON", "Python").map(PathBuf::from)
}

/// A program of `tests/python`.
pub fn tool(interpreter: &Path, program: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(crate::root().join("tests/python").join(program));
    command
}

/// Settings of a run.
type Settings = &'static [(&'static str, &'static str)];

/// Interpreters with versions of the Hub's client, newest first, and the settings to try each with; those that
/// `STEMMA_TEST_HUB_CLIENTS` lists with `:` between.
pub fn hub_clients() -> Vec<(PathBuf, Settings)> {
    let listed = named("STEMMA_TEST_HUB_CLIENTS", "the Hub's clients").unwrap_or_default();
    let listed = listed.to_string_lossy();
    let all: Vec<PathBuf> = listed.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    let newest = all.first().map(|path| (path.clone(), &[("HF_HUB_DISABLE_XET", "1")] as Settings));
    let plain = all.into_iter().map(|path| (path, &[] as Settings));
    plain.chain(newest).collect()
}

/// What a program of `tests/python` printed as JSON; none, with a word on stderr, where there is no interpreter.
///
/// # Errors
/// When the program fails or prints something else.
pub fn python(program: &str, arguments: &[&str]) -> Result<Option<Value>> {
    let Some(interpreter) = interpreter() else { return Ok(None) };
    let folder = TempDir::with_prefix("stemma-python-")?;
    let out = tool(&interpreter, program)
        .args(arguments)
        .env("TMPDIR", folder.path())
        .envs([("HF_HUB_OFFLINE", "1"), ("TOKENIZERS_PARALLELISM", "false")])
        .output()
        .context("STEMMA_TEST_PYTHON cannot be started")?;
    ensure!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    let printed = String::from_utf8(out.stdout)?;
    serde_json::from_str(&printed).map(Some).with_context(|| format!("{program} printed {printed:?}"))
}
