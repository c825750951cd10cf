//! Every error code in the house is explained on the page of codes.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Calls whose first word in quotes is a code.
const CALLS: [&str; 6] =
    ["malformed(", "refuse(", "Problem::new(", "Failure::new(", "Self::new(StatusCode", "json::parse("];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

fn is_code(word: &str) -> bool {
    word.len() > 1 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn codes(text: &str) -> BTreeSet<&str> {
    let text = text.split("#[cfg(test)]").next().unwrap();
    let mut found = BTreeSet::new();
    for body in text.split("fn code(&self)").skip(1) {
        let body = body.split("\n    }\n").next().unwrap();
        found.extend(quoted(body).filter(|word| is_code(word)));
    }
    for call in CALLS {
        for after in text.split(call).skip(1) {
            let call = after.split(';').next().unwrap();
            found.extend(quoted(call).next().filter(|word| is_code(word)));
        }
    }
    found
}

#[test]
fn every_code_is_explained_once_and_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for room in ["crates", "analysis/src", "api/src", "web/src"] {
        sources(&root.join(room), &mut files);
    }
    files.retain(|path| path.components().any(|part| part.as_os_str() == "src"));
    let texts: Vec<String> = files.iter().map(|path| fs_err::read_to_string(path).unwrap()).collect();
    let used: BTreeSet<&str> = texts.iter().flat_map(|text| codes(text)).collect();

    let explained: Vec<&str> = http::CODES.iter().map(|code| code.code).collect();

    let missing: Vec<_> = used.iter().filter(|code| !explained.contains(code)).collect();
    assert!(used.contains("not_utf8"), "codes with digits are left out");
    assert!(used.len() > 50, "the search for codes is broken: {used:?}");
    assert!(missing.is_empty(), "explain these in crates/http/src/codes.rs: {missing:?}");
    assert!(explained.is_sorted_by(|a, b| a < b), "not in order, or twice");
}
