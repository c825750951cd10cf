//! Work that speaks of a hidden model is hidden too, whenever the model was closed and whoever asked for the work.

use serde_json::Value;

use crate::{
    Result, Store,
    rows::get,
    sql::{self, Params},
};

impl Store {
    /// The rows whose texts name no model that is hidden from the viewer.
    pub(crate) async fn discreet<T>(&self, rows: Vec<T>, texts: impl Fn(&T) -> String) -> Result<Vec<T>> {
        let mut params = Params::default();
        let Some(visible) = self.visible(&mut params).filter(|_| !rows.is_empty()) else { return Ok(rows) };
        let sql = format!("SELECT key FROM models WHERE private AND NOT {visible}");
        let hidden: Vec<String> = sql::all(self.db(), &sql, params)
            .await?
            .iter()
            .map(|row| get(row, "key"))
            .collect::<Result<_>>()?;
        if hidden.is_empty() {
            return Ok(rows);
        }
        let told = |row: &T| {
            let text = texts(row).to_ascii_lowercase();
            hidden.iter().any(|name| names(&text, name))
        };
        Ok(rows.into_iter().filter(|row| !told(row)).collect())
    }
}

/// A document and perhaps another as one text.
pub fn text_of(document: &Value, other: Option<&Value>) -> String {
    other.map_or_else(|| document.to_string(), |other| format!("{document} {other}"))
}

/// Whether a text holds this name and not only a longer one.
fn names(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    // Before a bare name a slash makes it another model's; before `org/name` it belongs to an address.
    let bare = !name.contains('/');
    text.match_indices(name).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        !before.is_some_and(|c| part(c) || (bare && c == '/')) && !after.is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_name_is_found_where_it_stands_by_itself() {
        for text in ["\"a/b\"", "model: a/b@main", "a/b+c/d", "the tree of a/b", "/a/b/resolve"] {
            assert!(names(text, "a/b"), "{text}");
        }
        for text in ["\"a/b2\"", "xa/b", "a/b-c", "a/b.x"] {
            assert!(!names(text, "a/b"), "{text}");
        }
        assert!(names("\"gpt2\"", "gpt2") && !names("\"org/gpt2\"", "gpt2"));
    }
}
