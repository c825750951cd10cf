//! Work that speaks of a hidden model is hidden too, whenever the model was closed and whoever asked for the work.

use std::collections::HashSet;

use domain::{Evidence, Source};
use serde_json::Value;

use crate::{
    EdgeRow, Result, Store,
    rows::get,
    sql::{self, Params},
};

impl Store {
    /// The rows whose texts name no model that is hidden from the viewer.
    pub(crate) async fn discreet<T>(&self, rows: Vec<T>, texts: impl Fn(&T) -> String) -> Result<Vec<T>> {
        if rows.is_empty() {
            return Ok(rows);
        }
        let hidden = self.hidden_names().await?;
        if hidden.is_empty() {
            return Ok(rows);
        }
        Ok(rows.into_iter().filter(|row| !tells(&texts(row), &hidden)).collect())
    }

    /// What the weights of models say, without the clauses that name a hidden one, such as a parent less likely than the
    /// one that an edge leads to. What people and files say is theirs, whatever it names.
    pub(crate) async fn discreetly(&self, edges: &mut [EdgeRow]) -> Result<()> {
        let mut told: Vec<&mut Evidence> = edges
            .iter_mut()
            .flat_map(|edge| &mut edge.evidence)
            .filter(|evidence| evidence.source == Source::Weights)
            .collect();
        if told.is_empty() {
            return Ok(());
        }
        let hidden = self.hidden_names().await?;
        if hidden.is_empty() {
            return Ok(());
        }
        for evidence in told.iter_mut().filter(|evidence| tells(&evidence.detail, &hidden)) {
            let clauses = evidence.detail.split("; ").filter(|clause| !tells(clause, &hidden));
            evidence.detail = clauses.collect::<Vec<_>>().join("; ");
        }
        Ok(())
    }

    /// The names of what is hidden from the viewer, in lower case.
    async fn hidden_names(&self) -> Result<HashSet<String>> {
        let mut params = Params::default();
        let Some(visible) = self.visible(&mut params) else { return Ok(HashSet::new()) };
        let sql = format!("SELECT key FROM models WHERE private AND NOT {visible}");
        sql::all(self.db(), &sql, params).await?.iter().map(|row| get(row, "key")).collect()
    }
}

/// Whether a text holds one of these names.
fn tells(text: &str, hidden: &HashSet<String>) -> bool {
    names(&text.to_ascii_lowercase()).any(|name| hidden.contains(name))
}

/// What a document and perhaps another say, one string a line.
pub fn text_of(document: &Value, other: Option<&Value>) -> String {
    let mut text = String::new();
    for document in [Some(document), other].into_iter().flatten() {
        say(document, &mut text);
    }
    text
}

/// Adds the strings of a document as they are: written as JSON, the `n` of a line's end would be the beginning of a name.
fn say(document: &Value, text: &mut String) {
    let mut line = |said: &str| {
        text.push_str(said);
        text.push('\n');
    };
    match document {
        Value::Null => {}
        Value::String(said) => line(said),
        Value::Bool(_) | Value::Number(_) => line(&document.to_string()),
        Value::Array(items) => items.iter().for_each(|item| say(item, text)),
        Value::Object(fields) => {
            for (key, value) in fields {
                text.push_str(key);
                text.push('\n');
                say(value, text);
            }
        }
    }
}

/// All that may be the name of a model in a text: words that follow no slash, and two of them around one. A word that
/// follows a slash is a part of another name, whereas `org/name` may be a part of an address.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let part = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    let bytes = text.as_bytes();
    let end = move |from: usize| {
        bytes[from..].iter().position(|c| !part(*c)).map_or(bytes.len(), |length| from + length)
    };
    let begins = move |at: &usize| part(bytes[*at]) && (*at == 0 || !part(bytes[*at - 1]));
    (0..bytes.len()).filter(begins).flat_map(move |from| {
        let word = end(from);
        let bare = (from == 0 || bytes[from - 1] != b'/').then(|| &text[from..word]);
        let next = (bytes.get(word) == Some(&b'/')).then(|| end(word + 1)).filter(|to| *to > word + 1);
        bare.into_iter().chain(next.map(|to| &text[from..to]))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Whether a name stands anywhere in a text by itself, each place looked at on its own.
    fn stands(text: &str, name: &str) -> bool {
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let places = text.char_indices().filter(|(at, _)| text[*at..].starts_with(name));
        places.into_iter().any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + name.len()..].chars().next();
            let apart = before.is_none_or(|c| !part(c)) && after.is_none_or(|c| !part(c));
            apart && (name.contains('/') || before != Some('/'))
        })
    }

    #[test]
    fn a_name_is_found_where_it_stands_by_itself() {
        let named = |text: &str, name: &str| names(text).any(|found| found == name);
        for text in ["\"a/b\"", "model: a/b@main", "a/b+c/d", "the tree of a/b", "/a/b/resolve", "xa/a/b"] {
            assert!(named(text, "a/b"), "{text}");
        }
        for text in ["\"a/b2\"", "xa/b", "a/b-c", "a/b.x", "a//b", "a/", "ä/b"] {
            assert!(!named(text, "a/b"), "{text}");
        }
        assert!(named("\"gpt2\"", "gpt2") && !named("\"org/gpt2\"", "gpt2"));
    }

    #[test]
    fn a_name_at_the_beginning_of_a_line_of_a_document_is_found() {
        let said = text_of(&json!({ "a/key": ["two\na/b\tlines", 7] }), Some(&json!("c/d")));

        for name in ["a/key", "a/b", "c/d", "7"] {
            assert!(names(&said).any(|found| found == name), "{name}: {said}");
        }
    }

    proptest! {
        #[test]
        fn the_names_cut_out_of_a_text_are_those_that_stand_in_it(
            text in "[ab.é /\"]{0,24}",
            name in "[ab][ab.]{0,2}(/[ab][ab.]{0,2})?",
        ) {
            prop_assert_eq!(names(&text).any(|found| found == name), stands(&text, &name));
        }
    }
}
