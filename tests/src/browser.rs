//! Headless Chromium, driven over the WebDriver protocol.

use std::{
    ops::Deref,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::json;
use tempfile::TempDir;
use thirtyfour::{ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver};

use crate::program::{client, printed_lines};

const START: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(5);
const HEADLINE: &str = "was started successfully on port ";

/// A browser window and the driver process behind it; derefs to the driver, so `goto`, `find` … are at hand.
pub struct Browser {
    /// Taken only when the window closes.
    driver: Option<WebDriver>,
    _process: Process,
}

impl Browser {
    /// Opens a window of 1280 × 900 pixels.
    ///
    /// # Errors
    /// When Chromium or its driver is missing or does not start.
    pub async fn open() -> Result<Self> {
        let (process, port) = Process::start()?;
        let mut wanted = DesiredCapabilities::chrome();
        // No sandbox: it cannot be set up by root in a container, and the pages are our own.
        for flag in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            // A page that still glides to a button moves it away from under the click.
            "--force-prefers-reduced-motion",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
        ] {
            wanted.add_arg(flag)?;
        }
        let driver = WebDriver::builder(format!("http://127.0.0.1:{port}"), wanted)
            .client(client()?)
            .connect()
            .await
            .context("Chromium cannot be started; install chromium, or run scripts/test")?;
        Ok(Self { driver: Some(driver), _process: process })
    }

    /// Sets the page area in CSS pixels, so that narrow screens can be tried.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn resize(&self, (width, height): (u32, u32)) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await
    }

    /// Pretends that the reader prefers `dark` or `light` colours.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn prefer_colours(&self, scheme: &str) -> Result<()> {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await
    }

    /// Pretends that pages are printed.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn prefer_paper(&self) -> Result<()> {
        self.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" })).await
    }

    /// Turns scripts off for the pages opened from now on.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn without_scripts(&self) -> Result<()> {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await
    }

    /// Writes what the window shows as PNG.
    ///
    /// # Errors
    /// When the browser is gone or the file cannot be written.
    pub async fn picture(&self, path: &Path) -> Result<()> {
        Ok(fs_err::write(path, self.screenshot_as_png().await?)?)
    }

    /// Closes the window and ends the driver.
    ///
    /// # Errors
    /// When the browser is gone already.
    pub async fn close(mut self) -> Result<()> {
        match self.driver.take() {
            Some(driver) => Ok(driver.quit().await?),
            None => Ok(()),
        }
    }

    async fn devtools(&self, command: &str, parameters: serde_json::Value) -> Result<()> {
        self.cdp().send_raw(command, parameters).await?;
        Ok(())
    }
}

impl Deref for Browser {
    type Target = WebDriver;

    fn deref(&self) -> &WebDriver {
        self.driver.as_ref().expect("an open window")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A driver that is dropped open would wait for an answer on the runtime that this drop blocks.
        if let Some(driver) = self.driver.take() {
            let _ = driver.leak();
        }
    }
}

/// The driver process and the browser it started, a process group ended when dropped with all that it wrote.
struct Process {
    child: Child,
    /// Where the two put their temporary files, which they do not always take away.
    folder: Option<TempDir>,
}

impl Process {
    fn start() -> Result<(Self, u16)> {
        let folder = TempDir::with_prefix("stemma-browser-")?;
        let mut child = Command::new("chromedriver")
            .env("TMPDIR", folder.path())
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("chromedriver cannot be started; install chromium-driver, or run scripts/test")?;
        let lines = printed_lines(&mut child)?;
        let process = Self { child, folder: Some(folder) };
        let deadline = Instant::now() + START;
        loop {
            let line = lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .context("chromedriver named no port")?;
            if let Some((_, port)) = line.split_once(HEADLINE) {
                return Ok((process, port.trim_end_matches('.').parse()?));
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let Some(folder) = self.folder.take().map(TempDir::keep) else { return };
        // What the browser itself started may still be writing.
        let deadline = Instant::now() + END;
        while fs_err::remove_dir_all(&folder).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(test)]
mod tests {
    use thirtyfour::By;

    use super::*;

    #[tokio::test]
    async fn a_closed_window_leaves_no_file_behind() {
        let browser = Browser::open().await.unwrap();
        let folder = browser._process.folder.as_ref().unwrap().path().to_owned();
        let during = fs_err::read_dir(&folder).unwrap().count();

        browser.close().await.unwrap();

        assert!(during > 0 && !folder.exists(), "{during} entries in {}", folder.display());
    }

    #[tokio::test]
    async fn a_page_is_shown_in_the_colours_and_the_width_asked_for() {
        let browser = Browser::open().await.unwrap();

        browser.prefer_colours("dark").await.unwrap();
        browser.resize((360, 640)).await.unwrap();
        browser.goto("data:text/html,<title>Leaf</title><h1>Stem</h1>").await.unwrap();
        let heading = browser.find(By::Tag("h1")).await.unwrap().text().await.unwrap();
        let script = "return [matchMedia('(prefers-color-scheme: dark)').matches, innerWidth]";
        let seen: (bool, u32) = browser.execute(script, vec![]).await.unwrap().convert().unwrap();
        browser.close().await.unwrap();

        assert_eq!(heading, "Stem");
        assert_eq!(seen, (true, 360));
    }
}
