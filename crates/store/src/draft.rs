//! A batch of models as the database takes it: made without it, so that one is made ready while the one before is
//! written.

use std::collections::{HashMap, HashSet};

use domain::{Claim, Metadata, RepoId, Source};
use sea_orm::Value;

use crate::{
    Result,
    rows::to_json,
    sql::{maybe_text, wall_clock},
    stated::{Ends, ends},
};

const COLUMNS: [&str; 27] = [
    "key",
    "name",
    "org",
    "ghost",
    "author",
    "sha",
    "created_at",
    "last_modified",
    "downloads",
    "likes",
    "gated",
    "license",
    "license_name",
    "pipeline_tag",
    "library",
    "model_type",
    "architecture",
    "dtype",
    "parameters",
    "languages",
    "datasets",
    "tags",
    "new_version",
    "card",
    "config",
    "ingested_at",
    "notes",
];

/// Which of two records of a model holds.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Order {
    /// The one that comes last.
    #[default]
    Arrival,
    /// The one whose model was changed last.
    Modified,
}

/// One record of a model.
pub struct Record {
    pub id: RepoId,
    pub key: String,
    /// When the model was changed, as the record has it, unix seconds.
    modified: Option<i64>,
    /// Values of the draft's columns.
    pub row: Vec<Value>,
    /// Sources whose earlier words on parents it replaces.
    pub sources: Vec<Source>,
    pub claims: Vec<(Claim, Ends)>,
}

/// Models and their parents.
#[derive(Default)]
pub struct Draft {
    /// The columns that any of the models fills; the others are null.
    pub columns: Vec<&'static str>,
    pub records: Vec<Record>,
    /// Keys of those of its models that an earlier draft of the same file had.
    earlier: HashSet<String>,
    order: Order,
}

impl Draft {
    /// Makes models ready; of several records of a model the last one holds.
    ///
    /// # Errors
    /// When something of a model cannot be a column.
    pub fn of(models: impl IntoIterator<Item = (Metadata, Vec<Claim>)>) -> Result<Self> {
        let now = wall_clock();
        let mut draft = Self::default();
        for (metadata, claims) in models {
            let key = metadata.id.key();
            let row = row_of(key.clone(), &metadata, now)?;
            let claims = claims.into_iter().map(|claim| {
                let ends = ends(&metadata.id, &claim);
                (claim, ends)
            });
            draft.records.push(Record {
                claims: claims.collect(),
                modified: metadata.last_modified,
                sources: metadata.sources,
                id: metadata.id,
                key,
                row,
            });
        }
        let is_filled = |value: &Value| !matches!(value, Value::String(None) | Value::BigInt(None));
        let filled: Vec<bool> = (0..COLUMNS.len())
            .map(|at| draft.records.iter().any(|record| is_filled(&record.row[at])))
            .collect();
        let keep = |at: usize| filled[at];
        draft.columns = (0..).zip(COLUMNS).filter(|(at, _)| keep(*at)).map(|(_, column)| column).collect();
        for record in &mut draft.records {
            let mut at = 0..;
            record.row.retain(|_| at.next().is_some_and(keep));
        }
        Ok(draft)
    }

    /// As [`Self::of`], where a record of a model that is known to have been changed later changes nothing.
    ///
    /// # Errors
    /// When something of a model cannot be a column.
    pub fn dated(models: impl IntoIterator<Item = (Metadata, Vec<Claim>)>) -> Result<Self> {
        Ok(Self { order: Order::Modified, ..Self::of(models)? })
    }

    /// The draft where an earlier one of the same file has models of these keys.
    pub fn after(self, earlier: HashSet<String>) -> Self {
        Self { earlier, ..self }
    }

    /// Takes out the keys of models that an earlier draft of the same file has.
    pub fn take_earlier(&mut self) -> HashSet<String> {
        std::mem::take(&mut self.earlier)
    }

    /// Whether it has no model.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether the time of change decides between records of a model.
    pub fn is_dated(&self) -> bool {
        self.order == Order::Modified
    }

    /// Distinct keys of the models, ascending.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.records.iter().map(|record| record.key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Leaves out the records of models that were changed later, as is known by key or from the records before; gives
    /// their number.
    pub fn leave_out_older(&mut self, mut latest: HashMap<String, i64>) -> u64 {
        let before = self.records.len();
        self.records.retain(|record| {
            let Some(modified) = record.modified else { return true };
            if latest.get(&record.key).is_some_and(|last| *last > modified) {
                return false;
            }
            latest.insert(record.key.clone(), modified);
            true
        });
        (before - self.records.len()) as u64
    }
}

fn row_of(key: String, m: &Metadata, now: i64) -> Result<Vec<Value>> {
    let config = m.config.as_ref().map(to_json).transpose()?;
    Ok(vec![
        key.into(),
        m.id.as_str().into(),
        m.id.org().map(str::to_owned).into(),
        false.into(),
        maybe_text(m.author.as_ref()),
        maybe_text(m.sha.as_ref()),
        m.created_at.into(),
        m.last_modified.into(),
        m.downloads.into(),
        m.likes.into(),
        m.gated.map(|gate| gate.as_str().to_owned()).into(),
        maybe_text(m.license.as_ref()),
        maybe_text(m.license_name.as_ref()),
        maybe_text(m.pipeline_tag.as_ref()),
        maybe_text(m.library.as_ref()),
        maybe_text(m.model_type.as_ref()),
        maybe_text(m.architecture.as_ref()),
        maybe_text(m.dtype.as_ref()),
        m.parameters.into(),
        to_json(&m.languages)?.into(),
        to_json(&m.datasets)?.into(),
        to_json(&m.tags)?.into(),
        maybe_text(m.new_version.as_ref()),
        maybe_text(m.card.as_ref()),
        config.into(),
        now.into(),
        to_json(&m.notes)?.into(),
    ])
}
