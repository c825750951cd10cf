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

impl Store {
    /// What evidence says of all edges beyond claims.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn standings(&self) -> Result<Standings> {
        let mut params = Params::default();
        let sources = [Source::Recipe, Source::MergeConfig, Source::Person];
        let says = sources.map(|source| {
            format!("evidence LIKE {}", params.add(format!("%\"source\":\"{}\"%", source.as_str())))
        });
        let sql = format!("SELECT id, child, evidence FROM edges WHERE {} ORDER BY id", says.join(" OR "));
        let mut found = Standings::default();
        let mut first: HashMap<i64, ((bool, usize), i64)> = HashMap::new();
        for row in sql::all(self.db(), &sql, params).await? {
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
