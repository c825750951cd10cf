//! The Python programs of `tests/python`, run by an interpreter that has the libraries our users load models with.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The interpreter that `STEMMA_TEST_PYTHON` names; `scripts/test` makes one and sets it.
fn interpreter() -> Option<PathBuf> {
    std::env::var_os("STEMMA_TEST_PYTHON").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// What a program of `tests/python` printed as JSON; none, with a word on stderr, where there is no interpreter.
///
/// # Errors
/// When the program fails or prints something else.
pub fn python(program: &str, arguments: &[&str]) -> Result<Option<Value>> {
    let Some(interpreter) = interpreter() else {
        eprintln!("Python is left out: STEMMA_TEST_PYTHON is not set; scripts/test makes an environment");
        return Ok(None);
    };
    let out = Command::new(interpreter)
        .arg(crate::root().join("tests/python").join(program))
        .args(arguments)
        .envs([("HF_HUB_OFFLINE", "1"), ("TOKENIZERS_PARALLELISM", "false")])
        .output()
        .context("STEMMA_TEST_PYTHON cannot be started")?;
    ensure!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    let printed = String::from_utf8(out.stdout)?;
    serde_json::from_str(&printed).map(Some).with_context(|| format!("{program} printed {printed:?}"))
}
