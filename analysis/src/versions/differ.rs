//! What differs between two states of one model: names with other contents, and keys of a configuration.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Names that one side has and the other has not, or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// In order, as many as were asked for.
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
    /// All that differ, those that are not listed too.
    pub differing: usize,
    pub same: usize,
}

/// What differs from the first to the second, at most `most` names of each kind.
pub fn differences<T: PartialEq>(
    (from, to): (&BTreeMap<String, T>, &BTreeMap<String, T>),
    most: usize,
) -> Differences {
    let only = |one: &BTreeMap<String, T>, other: &BTreeMap<String, T>| -> Vec<String> {
        one.keys().filter(|name| !other.contains_key(*name)).cloned().collect()
    };
    let (mut added, mut removed) = (only(to, from), only(from, to));
    let changes = from.iter().filter(|(name, content)| to.get(*name).is_some_and(|now| now != *content));
    let mut changed: Vec<String> = changes.map(|(name, _)| name.clone()).collect();
    let same = from.len() - removed.len() - changed.len();
    let differing = added.len() + removed.len() + changed.len();
    for names in [&mut added, &mut removed, &mut changed] {
        names.truncate(most);
    }
    Differences { added, removed, changed, differing, same }
}

/// A key of a configuration that is there on one side only, or has another value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyChange {
    /// With a dot between the keys of nested objects.
    pub key: String,
    pub from: Option<Value>,
    pub to: Option<Value>,
}

/// The keys in which two configurations differ, in order, and how many are the same; nested objects are compared key by
/// key, lists as a whole, and from `most` values on objects too.
pub fn key_changes(from: Option<&Value>, to: Option<&Value>, most: usize) -> (Vec<KeyChange>, usize) {
    let [before, after] = [from, to].map(|document| flat(document, most));
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let change = |key: &String| KeyChange {
        key: key.clone(),
        from: before.get(key).map(|value| (*value).clone()),
        to: after.get(key).map(|value| (*value).clone()),
    };
    let all = keys.len();
    let changes: Vec<KeyChange> =
        keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).map(change).collect();
    let same = all - changes.len();
    (changes, same)
}

/// The values of a document that are no objects, and empty objects, by their way down; all are, from `most` on.
fn flat(document: Option<&Value>, most: usize) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    let mut open: Vec<(String, &Value)> = document.map(|value| (String::new(), value)).into_iter().collect();
    while let Some((way, value)) = open.pop() {
        match value {
            Value::Object(fields) if !fields.is_empty() && found.len() < most => {
                let below = |key: &String| if way.is_empty() { key.clone() } else { format!("{way}.{key}") };
                open.extend(fields.iter().map(|(key, value)| (below(key), value)));
            }
            other => drop(found.insert(way, other)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn side(rows: &[(&str, u8)]) -> BTreeMap<String, u8> {
        rows.iter().map(|(name, content)| ((*name).to_owned(), *content)).collect()
    }

    #[test]
    fn every_name_is_added_removed_changed_or_the_same() {
        let (from, to) =
            (side(&[("a", 1), ("b", 1), ("c", 1)]), side(&[("b", 1), ("c", 2), ("d", 1), ("e", 1)]));

        let told = differences((&from, &to), 1);

        assert_eq!(
            (told.added, told.removed, told.changed),
            (vec!["d".into()], vec!["a".into()], vec!["c".into()])
        );
        assert_eq!((told.differing, told.same), (4, 1));
    }

    #[test]
    fn configurations_differ_key_by_key_at_any_depth() {
        let from = json!({"a": 1, "rope": {"factor": 2, "type": "x"}, "gone": null, "list": [1, 2], "e": {}});
        let to =
            json!({"a": 1, "rope": {"factor": 4, "type": "x"}, "new": {"b": true}, "list": [2, 1], "e": {}});

        let (told, same) = key_changes(Some(&from), Some(&to), usize::MAX);

        let line = |one: &KeyChange| {
            let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
            format!("{} {} {}", one.key, text(&one.from), text(&one.to))
        };
        let lines: Vec<String> = told.iter().map(line).collect();
        assert_eq!(lines, ["gone null -", "list [1,2] [2,1]", "new.b - true", "rope.factor 2 4"]);
        assert_eq!(same, 3);
        assert_eq!(key_changes(None, Some(&json!({"a": 1})), usize::MAX).0.len(), 1);
        assert!(key_changes(Some(&from), Some(&from), usize::MAX).0.is_empty());
        let whole = key_changes(Some(&from), Some(&to), 0).0;
        assert_eq!(whole.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), [""]);
    }
}
