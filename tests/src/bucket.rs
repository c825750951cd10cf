//! A bucket on this machine, for registries that keep their bytes in one.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{python::interpreter, tool};

/// A process that answers as an object store does; stopped when dropped.
pub struct Bucket {
    child: Child,
    settings: Vec<(&'static str, String)>,
}

impl Bucket {
    /// Starts an empty bucket; none, with a word on stderr, where there is no Python.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start() -> Result<Option<Self>> {
        let Some(interpreter) = interpreter() else { return Ok(None) };
        let mut child =
            tool(&interpreter, "bucket.py").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut port = String::new();
        BufReader::new(child.stdout.take().context("its output is not piped")?).read_line(&mut port)?;
        let settings = vec![
            ("STEMMA_BLOBS", "s3://stemma/blobs".to_owned()),
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", port.trim())),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "here".to_owned()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ];
        Ok(Some(Self { child, settings }))
    }

    /// The environment variables of a program that keeps its blobs there.
    pub fn settings(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
