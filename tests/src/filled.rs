//! A registry with the tiny models and one hostile neighbour. With SQLite it is made once for each build of the program and copied
//! from then on: fifteen imports for every test take longer than most tests.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{Database, Server, Zoo, program, stemma, steps::run};

const HOSTILE: &str = r#"{"id":"evil/card","tags":["base_model:finetune:mandoc/scribe-v1","<script>window.caught=1</script>"],"cardData":{"license":"<img src=x onerror=window.caught=2>"},"card":"---\nlicense: mit\n---\n# Hi\n<script>window.caught=3</script><img src=x onerror=\"window.caught=4\"><a href=\"javascript:window.caught=5\">x</a>"}"#;

/// A server with the tiny models and one hostile neighbour.
///
/// # Errors
/// When the program cannot be started or an import fails.
pub async fn filled(database: &Database) -> Result<Server> {
    match database {
        Database::Sqlite => {
            let data = TempDir::with_prefix("stemma-test-")?;
            copy(&made()?, data.path())?;
            Server::start_on(data).await
        }
        Database::Postgres(_) => {
            let server = Server::start(database).await?;
            fill(&|| server.stemma(), server.data())?;
            Ok(server)
        }
    }
}

fn fill(command: &dyn Fn() -> Command, data: &Path) -> Result<()> {
    let zoo = Zoo::unpack()?;
    for id in zoo.ids()? {
        run(command().args(["import", "dir"]).arg(zoo.path(&id)?).args(["--id", &id]))?;
    }
    let dump = data.join("hostile.jsonl");
    fs_err::write(&dump, format!("{HOSTILE}\n"))?;
    run(command().args(["import", "dump"]).arg(&dump))?;
    Ok(())
}

/// The folder of a filled registry that nothing has open, beside the program that made it.
fn made() -> Result<PathBuf> {
    let program = program();
    let all = program.with_file_name("filled-registries");
    fs_err::create_dir_all(&all)?;
    let lock = fs_err::File::create(all.join("lock"))?;
    lock.file().lock().context("the registries to copy cannot be locked")?;
    let built = fs_err::metadata(&program)?;
    let when = built.modified()?.duration_since(SystemTime::UNIX_EPOCH)?;
    let folder = all.join(format!("{}-{}", when.as_nanos(), built.len()));
    if folder.is_dir() {
        return Ok(folder);
    }
    for old in fs_err::read_dir(&all)? {
        let old = old?;
        if old.file_type()?.is_dir() {
            fs_err::remove_dir_all(old.path())?;
        }
    }
    let new = TempDir::with_prefix_in("new-", &all)?;
    fill(&|| stemma(new.path()), new.path())?;
    fs_err::rename(new.keep(), &folder)?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let at = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &at)?;
        } else {
            fs_err::copy(entry.path(), at)?;
        }
    }
    Ok(())
}
