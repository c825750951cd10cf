//! The built `stemma` program: one command run to its end, or a server on a free port.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::Database;

const START: Duration = Duration::from_secs(60);
const HEADLINE: &str = "listening on ";

/// The program, two folders above this test's own executable.
///
/// # Panics
/// When it has not been built.
pub fn program() -> PathBuf {
    let built = std::env::current_exe().ok().and_then(|test| {
        Some(test.parent()?.parent()?.join(format!("stemma{}", std::env::consts::EXE_SUFFIX)))
    });
    match built {
        Some(path) if path.is_file() => path,
        other => panic!(
            "the program is not built (looked for {other:?}); run `cargo build -p stemma` with this test's profile, or scripts/test"
        ),
    }
}

/// A command line of the program on `data`, with no configuration but its arguments.
pub fn stemma(data: &Path) -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STEMMA_") {
            command.env_remove(name);
        }
    }
    command.arg("--data").arg(data).current_dir(data).stdin(Stdio::null());
    command
}

/// A client for servers on this machine: no proxy between, no redirect followed unseen.
///
/// # Errors
/// When the client cannot be set up.
pub fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?)
}

/// A server process with a folder and a database of its own; stopped and removed when dropped.
pub struct Server {
    child: Child,
    address: String,
    database: Option<String>,
    data: TempDir,
}

impl Server {
    /// Starts `stemma serve` on a free port and waits until it answers `/livez`.
    ///
    /// # Errors
    /// When the program ends early, prints no address, or does not answer in time; the end of its log is in the
    /// message.
    pub async fn start(on: &Database) -> Result<Self> {
        Self::start_with(on, &[]).await
    }

    /// The same with SQLite, on a registry that lies in the folder already.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_on(data: TempDir) -> Result<Self> {
        Self::on((data, None), (&[], &[])).await
    }

    /// The same with more arguments to `serve`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(on: &Database, more: &[&str]) -> Result<Self> {
        Self::on((TempDir::with_prefix("stemma-test-")?, on.fresh()?), (more, &[])).await
    }

    /// The same with environment variables set.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_set(on: &Database, settings: &[(&str, &str)]) -> Result<Self> {
        Self::on((TempDir::with_prefix("stemma-test-")?, on.fresh()?), (&[], settings)).await
    }

    /// The same with both.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_configured(
        on: &Database,
        (more, settings): (&[&str], &[(&str, &str)]),
    ) -> Result<Self> {
        Self::on((TempDir::with_prefix("stemma-test-")?, on.fresh()?), (more, settings)).await
    }

    /// Asks the server to end, as whoever supervises it does; gives how it ended.
    ///
    /// # Errors
    /// When it cannot be asked, or does not end in time.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        let asked = Command::new("sh").args(["-c", &format!("kill {}", self.child.id())]).status()?;
        ensure!(asked.success(), "{asked}");
        let deadline = Instant::now() + START;
        loop {
            if let Some(ended) = self.child.try_wait()? {
                return Ok(ended);
            }
            ensure!(Instant::now() < deadline, "it does not end; its log ends:\n{}", self.log_end());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills the server and starts another one on the same registry.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let data = std::mem::replace(&mut self.data, TempDir::with_prefix("stemma-test-")?);
        *self = Self::on((data, self.database.take()), (&[], &[])).await?;
        Ok(())
    }

    async fn on(
        (data, database): (TempDir, Option<String>),
        (more, settings): (&[&str], &[(&str, &str)]),
    ) -> Result<Self> {
        let log = data.path().join("server.log");
        let mut command = stemma(data.path());
        if let Some(url) = &database {
            command.args(["--database", url]);
        }
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(more)
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(fs_err::File::create(&log)?.into_parts().0)
            .spawn()
            .context("the program cannot be started")?;
        let lines = printed_lines(&mut child)?;

        // From here on dropping `server` ends the process.
        let mut server = Self { child, address: String::new(), database, data };
        let deadline = Instant::now() + START;
        server.address = match address(&lines, deadline) {
            Some(address) => address,
            None => bail!("the server printed no address; its log ends:\n{}", server.log_end()),
        };
        server.wait_until_alive(deadline).await?;
        Ok(server)
    }

    /// An address on this server, such as `url("/models")`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The folder of its registry.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// A command line of the program on the same registry.
    pub fn stemma(&self) -> Command {
        let mut command = stemma(self.data.path());
        if let Some(url) = &self.database {
            command.args(["--database", url]);
        }
        command
    }

    /// The last lines the server logged.
    pub fn log_end(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = fs_err::File::open(self.data.path().join("server.log")) {
            let _ = file.read_to_end(&mut text);
        }
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    async fn wait_until_alive(&mut self, deadline: Instant) -> Result<()> {
        let client = client()?;
        while Instant::now() < deadline {
            if client
                .get(self.url("/livez"))
                .timeout(Duration::from_secs(5))
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status}; its log ends:\n{}", self.log_end());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the server did not answer /livez; its log ends:\n{}", self.log_end())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines a child prints, read on a thread so that a silent child cannot hold a test up; the pipe is drained to
/// its end, so a talkative one cannot block.
pub(crate) fn printed_lines(child: &mut Child) -> Result<mpsc::Receiver<String>> {
    let stdout = child.stdout.take().context("the child's output is not piped")?;
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    Ok(lines)
}

fn address(lines: &mpsc::Receiver<String>, deadline: Instant) -> Option<String> {
    loop {
        let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        if let Some(address) = line.trim().strip_prefix(HEADLINE) {
            return Some(address.trim_end_matches('/').to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_one_the_server_printed() {
        let (send, lines) = mpsc::channel();
        for line in ["3 models", "listening on http://127.0.0.1:4711"] {
            send.send(line.to_owned()).unwrap();
        }

        let found = address(&lines, Instant::now() + Duration::from_secs(5));

        assert_eq!(found.as_deref(), Some("http://127.0.0.1:4711"));
    }

    #[test]
    fn a_server_that_ends_without_an_address_is_noticed_at_once() {
        let (send, lines) = mpsc::channel();
        drop(send);

        assert_eq!(address(&lines, Instant::now() + Duration::from_secs(60)), None);
    }
}
