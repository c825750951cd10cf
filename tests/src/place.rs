//! The program on the command line: one command run to its end, and a registry of its own for several.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Database, Zoo, stemma};

/// Runs a command that must succeed and gives what it printed.
///
/// # Errors
/// When it fails, with what it said.
pub fn run(mut command: Command, words: &str) -> Result<String> {
    let out = command.args(words.split_whitespace()).output()?;
    ensure!(out.status.success(), "{words}: {} {}", out.status, String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8(out.stdout)?)
}

/// [`run`] of a command that prints JSON.
///
/// # Errors
/// As [`run`], and when it prints something else.
pub fn run_json(command: Command, words: &str) -> Result<Value> {
    Ok(serde_json::from_str(&run(command, &format!("{words} --json"))?)?)
}

/// Relative norm of a comparison.
///
/// # Errors
/// When it tells none.
pub fn relative(report: &Value) -> Result<f64> {
    report["totals"]["relative_l2"].as_f64().with_context(|| format!("no norm: {report}"))
}

/// A registry of its own on one kind of database.
pub struct Place {
    pub data: TempDir,
    database: Option<String>,
}

impl Place {
    /// An empty one.
    ///
    /// # Errors
    /// When its folder or its database cannot be made.
    pub fn on(database: &Database) -> Result<Self> {
        Ok(Self { data: TempDir::with_prefix("stemma-test-")?, database: database.fresh()? })
    }

    /// A command of the program on it.
    pub fn command(&self, words: &str) -> Command {
        let mut command = stemma(self.data.path());
        if let Some(url) = &self.database {
            command.args(["--database", url]);
        }
        command.args(words.split_whitespace());
        command
    }

    /// Runs a command that must succeed and gives what it printed.
    ///
    /// # Errors
    /// As [`run`].
    pub fn run(&self, words: &str) -> Result<String> {
        run(self.command(""), words)
    }

    /// The same of a command that prints JSON.
    ///
    /// # Errors
    /// As [`run_json`].
    pub fn json(&self, words: &str) -> Result<Value> {
        run_json(self.command(""), words)
    }

    /// The same with all models of the zoo.
    ///
    /// # Errors
    /// When one cannot be imported.
    pub fn with_zoo(self, zoo: &Zoo) -> Result<Self> {
        for id in zoo.ids()? {
            let out = self.command("import dir").arg(zoo.path(&id)?).args(["--id", &id]).output()?;
            ensure!(out.status.success(), "{id}: {}", String::from_utf8_lossy(&out.stderr));
        }
        Ok(self)
    }

    /// Writes a file into its folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs_err::write(self.data.path().join(name), text)?)
    }

    /// Reads a file of its folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        Ok(fs_err::read(self.data.path().join(name))?)
    }
}
