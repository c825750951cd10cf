//! What people decide about edges: it outranks every other evidence, and every decision is kept.

use std::{collections::HashMap, str::FromStr};

use domain::{EdgeStatus, Evidence, Relation, RepoId, Source};
use sea_orm::QueryResult;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result, Store,
    connect::bump,
    edges::{self, EdgeRow},
    rows::{get, parsed, unsigned},
    sql::{self, Params, text, wall_clock},
    standins,
    upsert::ensure_models,
};

/// What a person says of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The edge is right.
    Confirm,
    /// The edge is wrong; it stays listed as rejected.
    Reject,
    /// The edge was missing.
    Add,
}

impl Decision {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Reject => "reject",
            Self::Add => "add",
        }
    }

    /// What was done, for people.
    pub const fn past(self) -> &'static str {
        match self {
            Self::Confirm => "confirmed",
            Self::Reject => "rejected",
            Self::Add => "added",
        }
    }
}

impl FromStr for Decision {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Confirm, Self::Reject, Self::Add]
            .into_iter()
            .find(|decision| decision.as_str() == word)
            .ok_or_else(|| format!("`{word}` is no decision; confirm, reject or add is expected"))
    }
}

/// A decision to be written down.
#[derive(Debug, Clone)]
pub struct NewDecision {
    pub child: i64,
    pub parent: RepoId,
    pub decision: Decision,
    /// How the child descends from the parent, where the edge is to say another relation than it does.
    pub relation: Option<Relation>,
    /// Who decides.
    pub person: String,
    pub reason: String,
}

/// A decision that was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionRow {
    pub decision: Decision,
    pub person: String,
    pub reason: String,
    /// Unix seconds.
    pub decided_at: i64,
}

/// What people decided about one edge.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    /// The last one first.
    pub latest: Vec<DecisionRow>,
    /// How many there are before these.
    pub older: u64,
}

impl Store {
    /// Writes a decision down and lets the edge follow it.
    ///
    /// # Errors
    /// [`Error::NoEdge`] for an edge that is to be confirmed or rejected and is not there, [`Error::OwnParent`].
    pub async fn decide(&self, new: &NewDecision) -> Result<()> {
        let hidden = self.hidden().await?;
        let tx = self.begin_write().await?;
        let ids = ensure_models(&tx, &[&new.parent]).await?;
        let parent = ids.get(&new.parent.key()).copied();
        let parent = parent.ok_or_else(|| Error::stored("model", format!("`{}` vanished", new.parent)))?;
        let parent = match hidden.contains(&parent) {
            true => standins::ensure(&tx, &new.parent).await?,
            false => parent,
        };
        if parent == new.child {
            return Err(Error::OwnParent(new.parent.to_string()));
        }
        let known = edges::of_children(&tx, &[new.child]).await?;
        let known = known.into_iter().find(|edge| edge.parent == parent);
        if known.is_none() && new.decision != Decision::Add {
            return Err(Error::NoEdge(new.parent.to_string()));
        }
        let mut edge = known.unwrap_or_else(|| {
            let (ends, name) = ((new.child, parent), new.parent.to_string());
            EdgeRow::new(ends, name, Relation::Finetune, EdgeStatus::Accepted)
        });
        edge.evidence.retain(|evidence| evidence.source != Source::Person);
        edge.relation = new.relation.unwrap_or(edge.relation);
        let (person, reason) = (text(&new.person), text(&new.reason));
        edge.status = match new.decision {
            Decision::Reject => EdgeStatus::RejectedPerson,
            Decision::Confirm | Decision::Add => {
                let said = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                let detail = format!("{} by {person}{said}", new.decision.past());
                edge.evidence.push(Evidence { source: Source::Person, detail, confidence: 1.0 });
                EdgeStatus::Accepted
            }
        };
        edges::write(&tx, [edge].into_iter()).await?;
        let columns = ["child", "parent", "decision", "person", "reason", "decided_at"];
        let row = vec![
            new.child.into(),
            parent.into(),
            new.decision.as_str().into(),
            person.into(),
            reason.into(),
            wall_clock().into(),
        ];
        sql::insert(&tx, ("decisions", &columns), vec![row], "").await?;
        bump(&tx, &[new.child, parent]).await?;
        Ok(tx.commit().await?)
    }

    /// What was decided about each parent of a model: of every edge the latest `most`, the last one first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn decisions_of(&self, child: i64, most: u64) -> Result<HashMap<i64, Decisions>> {
        let mut params = Params::default();
        let mut all = format!(
            "SELECT id, parent, decision, person, reason, decided_at,
             ROW_NUMBER() OVER (PARTITION BY parent ORDER BY id DESC) AS place,
             COUNT(*) OVER (PARTITION BY parent) AS total
             FROM decisions WHERE child = {}",
            params.add(child)
        );
        if let Some(visible) = self.visible(&mut params) {
            all.push_str(&format!(
                " AND NOT EXISTS (SELECT 1 FROM models WHERE models.id = decisions.parent AND NOT {visible})"
            ));
        }
        let sql = format!("SELECT * FROM ({all}) AS ranked WHERE place <= {most} ORDER BY id DESC");
        let mut found: HashMap<i64, Decisions> = HashMap::new();
        for row in &sql::all(self.db(), &sql, params).await? {
            let of = found.entry(get(row, "parent")?).or_default();
            of.latest.push(decision(row)?);
            of.older = unsigned(row, "total")?.saturating_sub(of.latest.len() as u64);
        }
        Ok(found)
    }
}

fn decision(row: &QueryResult) -> Result<DecisionRow> {
    Ok(DecisionRow {
        decision: parsed(row, "decision", "decision")?,
        person: get(row, "person")?,
        reason: get(row, "reason")?,
        decided_at: get(row, "decided_at")?,
    })
}
