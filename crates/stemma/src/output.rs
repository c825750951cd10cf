//! Progress on stderr, data on stdout.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};

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

/// Prints one line of data.
pub fn line(text: impl std::fmt::Display) {
    // A closed pipe (`stemma tree … | head`) is no fault.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a document that ends its own last line.
pub fn raw(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Prints one JSON document.
pub fn json(value: &impl serde::Serialize) {
    line(serde_json::to_string_pretty(value).unwrap_or_default());
}

/// A byte progress bar, hidden unless stderr is a terminal.
pub fn bar(progress: Progress, what: &str) -> ProgressBar {
    if progress == Progress::Hidden || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_message(what.to_owned())
}

/// A share in per cent, never rounded up to all of it.
pub fn share(share: f64) -> String {
    format!("{:.1}\u{a0}%", (share * 1_000.0).floor() / 10.0)
}
