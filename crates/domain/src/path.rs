//! File paths inside a repository: relative, plain, never climbing.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::FIXED;

/// A `/`-separated path inside a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(String);

/// A path that leaves the repository or cannot be stored safely.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a path inside a repository: {reason}")]
pub struct BadPath {
    path: String,
    reason: &'static str,
}

impl RelativePath {
    /// Parses a path; the only door for file names that come from outside.
    ///
    /// # Errors
    /// [`BadPath`] when it is absolute, climbs, is over 1,024 bytes (255 a part) or 64 parts, or holds
    /// control characters, backslashes or a drive letter.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        match fault(text) {
            None => Ok(Self(text.to_owned())),
            Some(reason) => {
                Err(BadPath { path: printable(&text.chars().take(120).collect::<String>()), reason })
            }
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

fn fault(text: &str) -> Option<&'static str> {
    let whole = [
        (text.is_empty(), "it is empty"),
        (text.len() > FIXED.path_bytes, "it is over 1,024 bytes"),
        (text.split('/').count() > FIXED.path_parts, "it has over 64 parts"),
        (text.starts_with('/'), "it begins with a slash; it must be relative"),
        (text.contains(':'), "it holds a colon, as a drive or a scheme does"),
        (text.contains('\\'), "it holds a backslash; parts are separated by slashes"),
        (text.chars().any(char::is_control), "it holds a control character"),
    ];
    let fault_of = |part: &str| {
        let faults = [
            (part.is_empty(), "a part of it is empty"),
            (part == "." || part == "..", "a part of it is `.` or `..`"),
            (part.len() > FIXED.path_part_bytes, "a part of it is over 255 bytes"),
            (part.ends_with([' ', '.']), "a part of it ends in a space or a dot"),
        ];
        first(&faults)
    };
    first(&whole).or_else(|| text.split('/').find_map(fault_of))
}

fn first(faults: &[(bool, &'static str)]) -> Option<&'static str> {
    faults.iter().find(|(is, _)| *is).map(|(_, reason)| *reason)
}

/// A text without anything that acts on a terminal or breaks a line: control characters stand as `\u{…}`.
pub fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_unicode())
        } else {
            out.push(c)
        }
        out
    })
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RelativePath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        Self::parse(text)
    }
}

impl Serialize for RelativePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_pass() {
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "C:\\x", "a\\b", "a\0b", "a/.", "x ", "x."] {
            assert!(RelativePath::parse(bad).is_err(), "{bad:?}");
        }
        let told = |text: &str| RelativePath::parse(text).unwrap_err().to_string();
        assert!(told("a\u{1b}[2J").ends_with("a control character") && told("a/../b").contains("`..`"));
        assert!(!told("a\u{1b}[2J").contains('\u{1b}'), "it would act on a terminal");
        assert!(RelativePath::parse(&["a"; 64].join("/")).is_ok());
        assert!(told(&["a"; 65].join("/")).ends_with("over 64 parts"));
        assert_eq!(RelativePath::parse("onnx/model.onnx").unwrap().file_name(), "model.onnx");
    }
}
