//! Who asked for the files of a gated model, and who was let in; and the two settings that close a model.

use std::str::FromStr;

use domain::Gating;
use sea_orm::QueryResult;
use serde::Serialize;

use crate::{
    Result, Store,
    connect::bump,
    rows::{get, parsed},
    sql::{self, Params, wall_clock},
    standins,
};

/// What has become of a request for access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantState {
    Pending,
    Accepted,
    Rejected,
}

impl GrantState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Accepted, Self::Rejected];

    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }

    /// The state of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl FromStr for GrantState {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::of(word).ok_or_else(|| format!("`{word}` is no state of a request"))
    }
}

/// A user's request for the files of a gated model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GrantRow {
    /// The user, in lower case.
    pub person: String,
    pub state: GrantState,
    /// Unix seconds.
    pub asked_at: i64,
    pub decided_at: Option<i64>,
    pub decided_by: Option<String>,
}

fn grant(row: &QueryResult) -> Result<GrantRow> {
    Ok(GrantRow {
        person: get(row, "person")?,
        state: state(row)?,
        asked_at: get(row, "asked_at")?,
        decided_at: get(row, "decided_at")?,
        decided_by: get(row, "decided_by")?,
    })
}

fn state(row: &QueryResult) -> Result<GrantState> {
    parsed(row, "state", "state of a request")
}

/// What of a model's openness is to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Openness {
    pub private: Option<bool>,
    /// None inside takes the gate away.
    pub gated: Option<Option<Gating>>,
}

impl Store {
    /// Opens or closes a model.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn set_openness(&self, model: i64, wanted: Openness) -> Result<()> {
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let mut set = Vec::new();
        if let Some(private) = wanted.private {
            set.push(format!("private = {}", params.add(private)));
        }
        if let Some(gated) = wanted.gated {
            set.push(format!("gated = {}", params.add(gated.map(Gating::as_str))));
        }
        if set.is_empty() {
            return Ok(());
        }
        let sql = format!("UPDATE models SET {} WHERE id = {}", set.join(", "), params.add(model));
        sql::run(&tx, &sql, params).await?;
        let mut touched = vec![model];
        if wanted.private == Some(false) {
            touched.append(&mut standins::join(&tx, model).await?);
        }
        bump(&tx, &touched).await?;
        Ok(tx.commit().await?)
    }

    /// Asks for a gated model's files in a user's name; what was decided before stays. Gives the state.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn ask_access(&self, (model, person): (i64, &str), gate: Gating) -> Result<GrantState> {
        let tx = self.begin_write().await?;
        let (now, key) = (wall_clock(), sql::text(person).to_ascii_lowercase());
        let new = if gate == Gating::Auto { GrantState::Accepted } else { GrantState::Pending };
        let decided = (gate == Gating::Auto).then_some(now);
        let row = vec![
            model.into(),
            key.as_str().into(),
            new.as_str().into(),
            now.into(),
            decided.into(),
            None::<String>.into(),
        ];
        let columns = ["model", "person", "state", "asked_at", "decided_at", "decided_by"];
        // Who asked while somebody had to decide is let in by a gate that has become automatic.
        let again = match gate {
            Gating::Auto => {
                "ON CONFLICT (model, person) DO UPDATE SET state = excluded.state, decided_at = excluded.decided_at
                 WHERE grants.state = 'pending'"
            }
            Gating::Manual => "ON CONFLICT (model, person) DO NOTHING",
        };
        sql::insert(&tx, ("grants", &columns), vec![row], again).await?;
        let mut params = Params::default();
        let sql = format!(
            "SELECT state FROM grants WHERE model = {} AND person = {}",
            params.add(model),
            params.add(key)
        );
        let known = sql::one(&tx, &sql, params).await?.as_ref().map(state).transpose()?;
        tx.commit().await?;
        Ok(known.unwrap_or(new))
    }

    /// Decides about a user's access to a model, asked for or not.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn decide_access(
        &self,
        (model, person): (i64, &str),
        state: GrantState,
        by: Option<&str>,
    ) -> Result<()> {
        let tx = self.begin_write().await?;
        let now = wall_clock();
        let row = vec![
            model.into(),
            sql::text(person).to_ascii_lowercase().into(),
            state.as_str().into(),
            now.into(),
            (state != GrantState::Pending).then_some(now).into(),
            by.map(sql::text).into(),
        ];
        let columns = ["model", "person", "state", "asked_at", "decided_at", "decided_by"];
        let tail = "ON CONFLICT (model, person) DO UPDATE SET state = excluded.state,
                    decided_at = excluded.decided_at, decided_by = excluded.decided_by";
        sql::insert(&tx, ("grants", &columns), vec![row], tail).await?;
        Ok(tx.commit().await?)
    }

    /// What became of a user's request for a model's files; none was made.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn grant_of(&self, model: i64, person: &str) -> Result<Option<GrantState>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT state FROM grants WHERE model = {} AND person = {}",
            params.add(model),
            params.add(sql::text(person).to_ascii_lowercase())
        );
        sql::one(self.db(), &sql, params).await?.as_ref().map(state).transpose()
    }

    /// Requests for a model's files in one state, the latest first, at most `most`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn access_of(&self, model: i64, state: GrantState, most: u64) -> Result<Vec<GrantRow>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT person, state, asked_at, decided_at, decided_by FROM grants
             WHERE model = {} AND state = {} ORDER BY asked_at DESC, person LIMIT {}",
            params.add(model),
            params.add(state.as_str()),
            params.add(sql::capped(most))
        );
        sql::all(self.db(), &sql, params).await?.iter().map(grant).collect()
    }
}
