//! Package URLs of models: `pkg:huggingface/org/name@commit`. They name a model whatever machine serves it.

use std::fmt::Write as _;

use super::pedigree::Model;

/// The package URL without a version.
pub(super) fn bare(model: &Model) -> String {
    let parts: Vec<String> = model.name.split('/').map(encoded).collect();
    format!("pkg:huggingface/{}", parts.join("/"))
}

/// The package URL with the Hub's commit where it is known.
pub(super) fn versioned(model: &Model) -> String {
    match model.commit.as_deref().filter(|commit| domain::is_commit(commit)) {
        Some(commit) => format!("{}@{}", bare(model), commit.to_ascii_lowercase()),
        None => bare(model),
    }
}

/// Percent-encoding of everything but a package URL's plain characters.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
