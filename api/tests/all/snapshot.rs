//! The OpenAPI document as it was last agreed to: whoever changes it sees what changes, and says so by writing it anew.

use std::path::Path;

use serde_json::Value;

/// Differences that are told.
const TOLD: usize = 40;

fn stored_at() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/snapshots/openapi.json")
}

/// The places in which two documents differ, as JSON pointers with what happened there.
fn differences((old, new): (&Value, &Value), at: &str, found: &mut Vec<String>) {
    let below = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                match new.get(key) {
                    Some(other) => differences((value, other), &below(key), found),
                    None => found.push(format!("gone: {}", below(key))),
                }
            }
            let added = new.keys().filter(|key| !old.contains_key(*key));
            found.extend(added.map(|key| format!("new: {}", below(key))));
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, pair) in old.iter().zip(new).enumerate() {
                differences(pair, &below(&index.to_string()), found);
            }
        }
        (old, new) if old != new => found.push(format!("other: {at}")),
        _ => {}
    }
}

#[test]
fn the_document_is_the_one_that_was_agreed_to() {
    let mut now = serde_json::to_value(api::document()).unwrap();
    // A release changes the number and nothing that a client relies on.
    now["info"]["version"] = "0".into();
    let path = stored_at();
    if std::env::var_os("STEMMA_BLESS").is_some() {
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
    }

    let stored: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();

    let mut found = Vec::new();
    differences((&stored, &now), "", &mut found);
    let more = found.len().saturating_sub(TOLD);
    found.truncate(TOLD);
    assert!(
        found.is_empty(),
        "the OpenAPI document differs from {} at:\n{}\nand {more} more. Where that is meant, write it anew with \
         STEMMA_BLESS=1 cargo test -p stemma-api --test all snapshot, and read the difference before it is committed; what is \
         gone breaks clients",
        path.display(),
        found.join("\n")
    );
}

#[test]
fn what_is_gone_new_or_other_is_told_by_its_place() {
    let old = serde_json::json!({"paths": {"/a": {"get": 1}, "/b": 2}, "list": [1, 2]});
    let new = serde_json::json!({"paths": {"/a": {"get": 3}, "/c": 2}, "list": [1, 2, 3]});
    let mut found = Vec::new();

    differences((&old, &new), "", &mut found);

    found.sort();
    assert_eq!(found, ["gone: /paths/~1b", "new: /paths/~1c", "other: /list", "other: /paths/~1a/get"]);
}
