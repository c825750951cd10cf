//! Front matter that is not YAML, read line by line: the top-level keys descent and display depend on.

use serde_json::{Map, Value};

/// The keys looked for; everything else of broken front matter is given up.
const KEYS: [&str; 9] = [
    "base_model",
    "base_model_relation",
    "license",
    "tags",
    "library_name",
    "pipeline_tag",
    "language",
    "datasets",
    "new_version",
];

/// What the lines of the top level say: scalars, `[a, b]` on one line, and `- item` lists. The last of
/// several equal keys counts, as in YAML read properly; every scalar stays text.
pub(super) fn scan(yaml: &str) -> Map<String, Value> {
    let mut front = Map::new();
    let mut open: Option<&str> = None;
    for line in yaml.lines() {
        let text = without_comment(line).trim_end();
        if text.is_empty() {
            continue;
        }
        if text.starts_with([' ', '\t', '-']) {
            if let (Some(key), Some(item)) = (open, item(text)) {
                append(&mut front, key, item);
            }
            continue;
        }
        let Some((key, rest)) = key_of(text) else {
            open = None;
            continue;
        };
        front.remove(key);
        open = rest.is_empty().then_some(key);
        if let Some(value) = value(rest) {
            front.insert(key.to_owned(), value);
        }
    }
    front
}

fn key_of(text: &str) -> Option<(&'static str, &str)> {
    let (key, rest) = text.split_once(':')?;
    let key = unquoted(key.trim());
    let key = KEYS.into_iter().find(|known| *known == key)?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| (key, rest.trim()))
}

/// The scalar of a `- item` line; an item that is a mapping is none.
fn item(text: &str) -> Option<String> {
    let item = text.trim_start().strip_prefix('-')?;
    if !item.starts_with([' ', '\t']) || item.contains(": ") {
        return None;
    }
    scalar(item)
}

fn append(front: &mut Map<String, Value>, key: &str, item: String) {
    if let Value::Array(list) = front.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
        list.push(Value::String(item));
    }
}

fn value(text: &str) -> Option<Value> {
    match text.strip_prefix('[') {
        Some(inner) => {
            let inner = inner.strip_suffix(']').unwrap_or(inner);
            Some(inner.split(',').filter_map(scalar).map(Value::String).collect())
        }
        None => scalar(text).map(Value::String),
    }
}

/// A plain or quoted scalar; nulls, block scalars, anchors and mappings are none.
fn scalar(text: &str) -> Option<String> {
    let text = text.trim();
    if matches!(text, "" | "~" | "null") || text.starts_with(['|', '>', '&', '*', '{', '!']) {
        return None;
    }
    Some(unquoted(text).to_owned()).filter(|text| !text.is_empty())
}

fn unquoted(text: &str) -> &str {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

/// A `#` begins a comment only at the start of a line or after a blank, and not inside quotes.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '#' && before.is_whitespace() => return &line[..at],
            None if matches!(c, '"' | '\'') && !before.is_alphanumeric() => quote = Some(c),
            None => {}
        }
        before = c;
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::scan;

    #[test]
    fn scalars_and_both_kinds_of_list_are_read() {
        let front = scan(
            "license: 'mit' # free\nbase_model:\n  - a/b\n- \"c/d\"\n  - name: x\ntags: [merge, \"x y\", ]\nlanguage:\n- no\nother: 1\n- z\n",
        );

        let expected = json!({"license": "mit", "base_model": ["a/b", "c/d"], "tags": ["merge", "x y"], "language": ["no"]});
        assert_eq!(serde_json::Value::Object(front), expected);
    }

    #[test]
    fn nested_keys_nulls_and_blocks_are_left_out() {
        let front = scan("x:\n  license: mit\nbase_model: null\ndatasets: |\n  a/b\nnew_version:no\n");

        assert!(front.is_empty(), "{front:?}");
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(scan("tags:\n- a\ntags:\n- b\n")["tags"], json!(["b"]));
        assert_eq!(scan("license: mit\nlicense: gpl-3.0\n")["license"], "gpl-3.0");
    }
}
