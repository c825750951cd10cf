//! Edges that are more than claimed: what a recipe made, what a person said, and which parent a recipe names first.

use std::collections::HashMap;

use domain::{Evidence, Part, Source};

use crate::{
    Result, Store,
    rows::{get, json},
    sql::{self, Params},
};

/// Such edges, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standings {
    /// Of every model with a recipe the edge to its base, else to the first model listed.
    pub leading: Vec<i64>,
    /// A recipe made the child here.
    pub made: Vec<i64>,
    /// A person says so.
    pub stated: Vec<i64>,
}

/// The condition is that of the index `edges_standing`, word by word: the databases use it for no other.
const STANDING: &str = r#"SELECT id, child, evidence FROM edges WHERE evidence LIKE '%"source":"recipe"%'
    OR evidence LIKE '%"source":"merge_config"%' OR evidence LIKE '%"source":"person"%' ORDER BY id"#;

impl Store {
    /// What evidence says of all edges beyond claims.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn standings(&self) -> Result<Standings> {
        let mut found = Standings::default();
        let mut first: HashMap<i64, ((bool, usize), i64)> = HashMap::new();
        for row in sql::all(self.db(), STANDING, Params::default()).await? {
            let (id, child): (i64, i64) = (get(&row, "id")?, get(&row, "child")?);
            let evidence: Vec<Evidence> = json(&row, "evidence")?;
            let says = |source| evidence.iter().any(|evidence| evidence.source == source);
            if says(Source::Recipe) {
                found.made.push(id);
            }
            if says(Source::Person) {
                found.stated.push(id);
            }
            for place in evidence.iter().filter_map(place) {
                let known = first.entry(child).or_insert((place, id));
                *known = (place, id).min(*known);
            }
        }
        found.leading = first.into_values().map(|(_, id)| id).collect();
        found.leading.sort_unstable();
        Ok(found)
    }
}

/// How early a recipe names the parent: one that was run here before one that a card holds, the base before the others.
fn place(evidence: &Evidence) -> Option<(bool, usize)> {
    let place = match evidence.part()? {
        Part::Base => 0,
        Part::Nth(place) => place,
        Part::Tokenizer => return None,
    };
    Some((evidence.source != Source::Recipe, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn edges_beyond_claims_are_found_by_their_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open("sqlite::memory:", folder.path().to_str().unwrap()).await.unwrap();
        store.migrate().await.unwrap();

        let plan =
            sql::all(store.db(), &format!("EXPLAIN QUERY PLAN {STANDING}"), Params::default()).await.unwrap();

        let steps: Vec<String> = plan.iter().map(|row| get(row, "detail").unwrap()).collect();
        assert_eq!(steps, ["SCAN edges USING INDEX edges_standing"]);
    }
}
