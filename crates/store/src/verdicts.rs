//! What the weights say of lineage: edges that machines propose and may replace, and verdicts on claimed parents.

use std::{
    collections::{BTreeMap, HashSet},
    str::FromStr,
};

use domain::{EdgeStatus, Evidence, Relation, Source};
use sea_orm::{DatabaseTransaction, QueryResult};
use serde::Serialize;

use crate::{
    Error, Page, Result, Store,
    connect::bump,
    edges::{self, EdgeRow},
    rows::{get, json, parsed},
    sql::{self, Params, text, wall_clock},
    stated::speaks,
};

/// Whether the weights agree with a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictWord {
    Verified,
    Contradicted,
}

impl VerdictWord {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Contradicted => "contradicted",
        }
    }
}

impl FromStr for VerdictWord {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Verified, Self::Contradicted]
            .into_iter()
            .find(|verdict| verdict.as_str() == word)
            .ok_or_else(|| format!("`{word}` is no verdict"))
    }
}

/// A verdict on one claimed parent.
#[derive(Debug, Clone, PartialEq)]
pub struct VerdictRow {
    /// Larger for later ones; given by the database.
    pub id: i64,
    pub child: i64,
    /// The parent that is claimed.
    pub parent: i64,
    pub verdict: VerdictWord,
    /// The claim as it is written.
    pub claimed: String,
    /// The model that the weights descend from instead.
    pub instead: Option<i64>,
    /// Of the weights of the two.
    pub cosine: f64,
    /// Of `cosine`, for models without a common origin.
    pub standard_error: f64,
    /// log₁₀ of the chance of such weights, were the verdict wrong.
    pub log10_p: f64,
    /// What the weights say.
    pub sentence: String,
    /// Unix seconds; given by the store.
    pub computed_at: i64,
}

/// A parent that the weights propose.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightEdge {
    pub parent: i64,
    /// The parent's name.
    pub name: String,
    pub relation: Relation,
    /// 0 to 1.
    pub confidence: f64,
    /// What the weights say.
    pub sentence: String,
}

/// All that was found for one model at one revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    pub model: i64,
    pub revision: i64,
    /// To its parents: they replace those that the weights proposed before.
    pub edges: Vec<WeightEdge>,
    /// On its claims.
    pub verdicts: Vec<VerdictRow>,
}

const COLUMNS: &str = "id, child, parent, verdict, claimed, instead, cosine, standard_error, log10_p, sentence, \
                       computed_at";

/// That no person decided about the edge of a verdict, as SQL.
const UNDECIDED: &str = "NOT EXISTS (SELECT 1 FROM decisions
    WHERE decisions.child = verdicts.child AND decisions.parent = verdicts.parent)";

impl Store {
    /// Writes down what the weights say of a model in place of what they said before; declared evidence and people's
    /// decisions stay. `false` when the model has another revision meanwhile: nothing is written then.
    ///
    /// # Errors
    /// When the database refuses; nothing is changed then.
    pub async fn record_findings(&self, found: &Findings) -> Result<bool> {
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!(
            "SELECT id FROM models WHERE id = {} AND revision = {}",
            params.add(found.model),
            params.add(found.revision)
        );
        if sql::one(&tx, &sql, params).await?.is_none() {
            return Ok(false);
        }
        let mut touched = replace_edges(&tx, found).await?;
        if contradicted(&tx, found.model).await? != contradicted_in(found) {
            touched.push(found.model);
        }
        if !touched.is_empty() {
            bump(&tx, &touched).await?;
        }
        let mut params = Params::default();
        let sql = format!("DELETE FROM verdicts WHERE child = {}", params.add(found.model));
        sql::run(&tx, &sql, params).await?;
        let columns: Vec<&str> = COLUMNS.split(", ").skip(1).collect();
        let now = wall_clock();
        let row = |row: &VerdictRow| {
            vec![
                found.model.into(),
                row.parent.into(),
                row.verdict.as_str().into(),
                text(&row.claimed).into(),
                row.instead.into(),
                row.cosine.into(),
                row.standard_error.into(),
                row.log10_p.into(),
                text(&row.sentence).into(),
                now.into(),
            ]
        };
        let rows: Vec<_> = found.verdicts.iter().map(row).collect();
        sql::insert(&tx, ("verdicts", &columns), rows, "ON CONFLICT (child, parent) DO NOTHING").await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Verdicts on the claims of some models, by claimed parent.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn verdicts_of(&self, children: &[i64]) -> Result<Vec<VerdictRow>> {
        let sql = |list: &str| {
            format!("SELECT {COLUMNS} FROM verdicts WHERE child IN {list} ORDER BY child, parent")
        };
        let mut found = sql::by_keys(self.db(), children, sql, verdict).await?;
        let hidden = self.hidden().await?;
        found.retain(|row| !concerns(row, &hidden));
        Ok(found)
    }

    /// Edges, by number, that the weights contradict while they speak for another parent of the child with at least this
    /// confidence, but for those about which a person decided.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn outweighed_edges(&self, confidence: f64) -> Result<Vec<i64>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT claimed.id, other.status, other.evidence FROM verdicts
             JOIN edges AS claimed ON claimed.child = verdicts.child AND claimed.parent = verdicts.parent
             JOIN edges AS other ON other.child = verdicts.child AND other.parent = verdicts.instead
             WHERE verdicts.verdict = {} AND {UNDECIDED}
             ORDER BY claimed.id",
            params.add(VerdictWord::Contradicted.as_str())
        );
        let mut found = Vec::new();
        for row in sql::all(self.db(), &sql, params).await? {
            let evidence: Vec<Evidence> = json(&row, "evidence")?;
            let sure = |told: &Evidence| told.source == Source::Weights && told.confidence >= confidence;
            if EdgeStatus::from_stored(&get::<String>(&row, "status")?).stands() && evidence.iter().any(sure)
            {
                found.push(get(&row, "id")?);
            }
        }
        Ok(found)
    }

    /// Edges, by number, that the weights contradict, but for those about which a person decided.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn contradicted_edges(&self) -> Result<Vec<i64>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT claimed.id FROM verdicts
             JOIN edges AS claimed ON claimed.child = verdicts.child AND claimed.parent = verdicts.parent
             WHERE verdicts.verdict = {} AND {UNDECIDED}
             ORDER BY claimed.id",
            params.add(VerdictWord::Contradicted.as_str())
        );
        sql::all(self.db(), &sql, params).await?.iter().map(|row| get(row, "id")).collect()
    }

    /// One page of claims that the weights contradict, the latest first; those about which a person decided are
    /// settled and left out.
    ///
    /// # Errors
    /// A cursor of another list; when the database cannot be read.
    pub async fn contradictions(&self, cursor: Option<&str>, limit: u64) -> Result<Page<VerdictRow>> {
        let limit = limit.clamp(1, 10_000);
        let mut params = Params::default();
        let mut sql = format!(
            "SELECT {COLUMNS} FROM verdicts WHERE verdict = {} AND {UNDECIDED}",
            params.add(VerdictWord::Contradicted.as_str())
        );
        if let Some(cursor) = cursor {
            let last: i64 = cursor.parse().map_err(|_| Error::bad_cursor(cursor))?;
            sql.push_str(&format!(" AND id < {}", params.add(last)));
        }
        sql.push_str(&format!(" ORDER BY id DESC LIMIT {}", limit + 1));
        let rows = sql::all(self.db(), &sql, params).await?;
        let items = rows.iter().map(verdict).collect::<Result<_>>()?;
        let mut page = Page::of(items, limit, |row: &VerdictRow| row.id.to_string());
        let hidden = self.hidden().await?;
        page.items.retain(|row| !concerns(row, &hidden));
        Ok(page)
    }
}

/// Claimed parents of a model that its weights contradict, each with what they name instead: they decide where it hangs.
type Contradicted = BTreeMap<i64, Option<i64>>;

async fn contradicted(tx: &DatabaseTransaction, model: i64) -> Result<Contradicted> {
    let mut params = Params::default();
    let sql = format!(
        "SELECT parent, instead FROM verdicts WHERE child = {} AND verdict = {}",
        params.add(model),
        params.add(VerdictWord::Contradicted.as_str())
    );
    let rows = sql::all(tx, &sql, params).await?;
    rows.iter().map(|row| Ok((get(row, "parent")?, get(row, "instead")?))).collect()
}

fn contradicted_in(found: &Findings) -> Contradicted {
    let against = found.verdicts.iter().filter(|row| row.verdict == VerdictWord::Contradicted);
    against.map(|row| (row.parent, row.instead)).collect()
}

/// Whether a verdict speaks of one of these models.
fn concerns(row: &VerdictRow, models: &HashSet<i64>) -> bool {
    [Some(row.child), Some(row.parent), row.instead].into_iter().flatten().any(|id| models.contains(&id))
}

/// Takes away what the weights said before and puts in what they say now; gives the children whose edges changed.
async fn replace_edges(tx: &DatabaseTransaction, found: &Findings) -> Result<Vec<i64>> {
    let known = edges::of_children(tx, &[found.model]).await?;
    let before: BTreeMap<i64, EdgeRow> = known.into_iter().map(|edge| (edge.parent, edge)).collect();
    let mut after = before.clone();
    for edge in after.values_mut() {
        edge.evidence.retain(|evidence| evidence.source != Source::Weights);
    }
    for new in &found.edges {
        let edge = after.entry(new.parent).or_insert_with(|| {
            let ends = (found.model, new.parent);
            EdgeRow::new(ends, text(&new.name), new.relation, EdgeStatus::Proposed)
        });
        if edge.status == EdgeStatus::Proposed && !edge.declared() {
            edge.relation = new.relation;
        }
        let (detail, confidence) = (text(&new.sentence), new.confidence);
        edge.evidence.push(Evidence { source: Source::Weights, detail, confidence });
    }
    let (kept, gone): (Vec<EdgeRow>, Vec<EdgeRow>) = after.into_values().partition(speaks);
    let changed: Vec<EdgeRow> =
        kept.into_iter().filter(|edge| before.get(&edge.parent) != Some(edge)).collect();
    let touched = changed.iter().chain(&gone).map(|edge| edge.child).collect();
    edges::delete(tx, &gone.iter().map(|edge| edge.id).collect::<Vec<_>>()).await?;
    edges::write(tx, changed.into_iter()).await?;
    Ok(touched)
}

fn verdict(row: &QueryResult) -> Result<VerdictRow> {
    Ok(VerdictRow {
        id: get(row, "id")?,
        child: get(row, "child")?,
        parent: get(row, "parent")?,
        verdict: parsed(row, "verdict", "verdict")?,
        claimed: get(row, "claimed")?,
        instead: get(row, "instead")?,
        cosine: get(row, "cosine")?,
        standard_error: get(row, "standard_error")?,
        log10_p: get(row, "log10_p")?,
        sentence: get(row, "sentence")?,
        computed_at: get(row, "computed_at")?,
    })
}
