//! Package URLs of models: `pkg:huggingface/org/name@commit`. They name a model whatever machine serves it.

use domain::address;

use super::pedigree::Model;

const MODEL: &str = "pkg:huggingface/";
const AGENT: &str = "urn:stemma:org:";

/// The package URL of a model without a version: its IRI in linked data.
pub fn model_iri(name: &str) -> String {
    format!("{MODEL}{}", address::path(name))
}

/// The name in the IRI of a model.
pub fn model_named(iri: &str) -> Option<String> {
    decoded(iri.strip_prefix(MODEL)?)
}

/// The IRI of an owner of models.
pub fn agent_iri(org: &str) -> String {
    format!("{AGENT}{}", address::segment(org))
}

/// The owner in an IRI.
pub fn agent_named(iri: &str) -> Option<String> {
    decoded(iri.strip_prefix(AGENT)?)
}

/// The package URL without a version.
pub(super) fn bare(model: &Model) -> String {
    model_iri(&model.name)
}

/// The package URL with the Hub's commit where it is known.
pub(super) fn versioned(model: &Model) -> String {
    match model.commit.as_deref().filter(|commit| domain::is_commit(commit)) {
        Some(commit) => format!("{}@{}", bare(model), commit.to_ascii_lowercase()),
        None => bare(model),
    }
}

/// The text behind a percent-encoding; none where it is not one.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
