//! Progress on stderr, data on stdout.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::OnceLock,
};

use domain::Class;
use indicatif::{ProgressBar, ProgressStyle};

use crate::exit::Failure;

/// How results and failures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Json,
}

/// Whether stderr tells how far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Shown,
    Hidden,
}

impl Progress {
    /// Prints a line of progress.
    pub fn tell(self, text: impl std::fmt::Display) {
        if self == Self::Shown {
            eprintln!("{text}");
        }
    }
}

/// Why data could not be written; told once the command is done.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints one line of data.
pub fn line(text: impl std::fmt::Display) {
    raw(&format!("{}\n", harmless(&text.to_string())));
}

/// A text with its lines and columns: names of files, what models say of themselves and what a server said may hold what
/// acts on a terminal.
pub fn harmless(text: &str) -> String {
    let parts = text.split_inclusive(['\n', '\t']);
    let shown = parts.map(|part| match part.strip_suffix(['\n', '\t']) {
        Some(inner) => domain::printable(inner) + &part[inner.len()..],
        None => domain::printable(part),
    });
    shown.collect()
}

/// Prints a document that ends its own last line.
pub fn raw(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The first is the reason.
        let _ = LOST.set(error);
    }
}

/// Whether all data was written. A closed pipe (`stemma tree … | head`) is no fault.
///
/// # Errors
/// Why it was not.
pub fn written() -> Result<(), Failure> {
    match LOST.get() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let class = match error.kind() {
                io::ErrorKind::StorageFull => Class::Unavailable,
                _ => Class::Internal,
            };
            Err(Failure::new("io", class, format!("the answer could not be written to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints one JSON document.
pub fn json(value: &impl serde::Serialize) {
    raw(&(serde_json::to_string_pretty(value).unwrap_or_default() + "\n"));
}

/// A byte progress bar, hidden unless stderr is a terminal.
pub fn bar(progress: Progress, what: &str) -> ProgressBar {
    if progress == Progress::Hidden || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_message(what.to_owned())
}

/// How many bytes were read of nobody knows how many, hidden unless stderr is a terminal.
pub fn meter(progress: Progress, what: &str) -> ProgressBar {
    if progress == Progress::Hidden || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {bytes} read {bytes_per_sec} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style).with_message(what.to_owned())
}

/// A share in per cent, never rounded up to all of it.
pub fn share(share: f64) -> String {
    format!("{:.1}\u{a0}%", (share * 1_000.0).floor() / 10.0)
}
