//! Work that speaks of a hidden model is hidden too, whenever the model was closed and whoever asked for the work.

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
        for evidence in told.iter_mut().filter(|evidence| tells(&evidence.detail, &hidden)) {
            let clauses = evidence.detail.split("; ").filter(|clause| !tells(clause, &hidden));
            evidence.detail = clauses.collect::<Vec<_>>().join("; ");
        }
        Ok(())
    }

    /// The names of what is hidden from the viewer, in lower case.
    async fn hidden_names(&self) -> Result<Vec<String>> {
        let mut params = Params::default();
        let Some(visible) = self.visible(&mut params) else { return Ok(Vec::new()) };
        let sql = format!("SELECT key FROM models WHERE private AND NOT {visible}");
        sql::all(self.db(), &sql, params).await?.iter().map(|row| get(row, "key")).collect()
    }
}

/// Whether a text holds one of these names.
fn tells(text: &str, hidden: &[String]) -> bool {
    let text = text.to_ascii_lowercase();
    hidden.iter().any(|name| names(&text, name))
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
