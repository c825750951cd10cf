//! File paths inside a repository: relative, plain, never climbing.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

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
    /// [`BadPath`] when it is absolute, climbs, is over 1,024 bytes (255 a part) or holds control
    /// characters, backslashes or a drive letter.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        match fault(text) {
            None => Ok(Self(text.to_owned())),
            Some(reason) => Err(BadPath { path: text.chars().take(120).collect(), reason }),
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
    if text.is_empty() || text.len() > 1024 {
        return Some("it must have 1 to 1,024 bytes");
    }
    if text.starts_with('/') || text.contains(':') {
        return Some("it must be relative, without a drive or scheme");
    }
    if text.contains('\\') || text.chars().any(char::is_control) {
        return Some("it holds a backslash or a control character");
    }
    let bad_part = |part: &str| {
        part.is_empty() || part == "." || part == ".." || part.len() > 255 || part.ends_with([' ', '.'])
    };
    text.split('/')
        .any(bad_part)
        .then_some("a part is empty, `.`, `..`, over 255 bytes, or ends in a space or dot")
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
        assert_eq!(RelativePath::parse("onnx/model.onnx").unwrap().file_name(), "model.onnx");
    }
}
