//! Signatures of revisions: written with their sketches, read all at once to find nearest relatives.

use domain::Digest;
use sea_orm::{DatabaseTransaction, QueryResult};

use crate::{
    Result, Store,
    connect::bump,
    rows::{get, parsed},
    sketches::{bytes_of, cells_of},
    sql::{self, Params},
};

/// The signature of a revision.
#[derive(Debug, Clone, PartialEq)]
pub struct SignatureRow {
    /// How it was made; signatures of different schemes do not compare.
    pub scheme: i32,
    /// Layout and numbers; none for a revision that has no signature in this scheme.
    pub signature: Option<(Digest, Vec<f32>)>,
}

/// The current revision of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CurrentRevision {
    pub model: i64,
    pub revision: i64,
}

impl Store {
    /// Models whose current revision has a signature in `scheme`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn signed_revisions(&self, scheme: i32) -> Result<Vec<CurrentRevision>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT models.id AS model, signatures.revision AS revision
             FROM signatures JOIN revisions ON revisions.id = signatures.revision
             JOIN models ON models.id = revisions.model AND models.revision = signatures.revision
             WHERE signatures.scheme = {} AND signatures.layout <> ''
             ORDER BY signatures.revision",
            params.add(scheme)
        );
        let row = |row: &QueryResult| {
            Ok(CurrentRevision { model: get(row, "model")?, revision: get(row, "revision")? })
        };
        sql::all(self.db(), &sql, params).await?.iter().map(row).collect()
    }

    /// Signatures in `scheme` of the current revisions of one layout, by revision.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn signatures_of_layout(
        &self,
        scheme: i32,
        layout: &Digest,
    ) -> Result<Vec<(CurrentRevision, SignatureRow)>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT models.id AS model, signatures.revision AS revision, signatures.scheme AS scheme,
                 signatures.layout AS layout, signatures.cells AS cells
             FROM signatures JOIN revisions ON revisions.id = signatures.revision
             JOIN models ON models.id = revisions.model AND models.revision = signatures.revision
             WHERE signatures.scheme = {} AND signatures.layout = {} ORDER BY signatures.revision",
            params.add(scheme),
            params.add(layout.to_string())
        );
        let row = |row: &QueryResult| {
            let of = CurrentRevision { model: get(row, "model")?, revision: get(row, "revision")? };
            Ok((of, signature(row)?))
        };
        sql::all(self.db(), &sql, params).await?.iter().map(row).collect()
    }

    /// At most `most` current revisions with sketches but without a signature in `scheme`, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unsigned_revisions(&self, scheme: i32, most: u64) -> Result<Vec<i64>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT models.revision AS revision FROM models
             WHERE EXISTS (SELECT 1 FROM sketches WHERE sketches.revision = models.revision)
               AND NOT EXISTS (SELECT 1 FROM signatures
                   WHERE signatures.revision = models.revision AND signatures.scheme = {})
             ORDER BY models.revision LIMIT {}",
            params.add(scheme),
            params.add(sql::capped(most))
        );
        sql::all(self.db(), &sql, params).await?.iter().map(|row| get(row, "revision")).collect()
    }

    /// The signatures of some revisions, whatever their scheme; those without one are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn signatures(&self, revisions: &[i64]) -> Result<Vec<(i64, SignatureRow)>> {
        let sql = |list: &str| {
            format!(
                "SELECT revision, scheme, layout, cells FROM signatures WHERE revision IN {list} ORDER BY revision"
            )
        };
        let read = |row: &QueryResult| Ok((get(row, "revision")?, signature(row)?));
        sql::by_keys(self.db(), revisions, sql, read).await
    }

    /// Writes signatures of revisions published without them.
    ///
    /// # Errors
    /// When a revision does not exist, or the database cannot be written.
    pub async fn sign(&self, signatures: &[(i64, SignatureRow)]) -> Result<()> {
        let tx = self.begin_write().await?;
        let mut touched = Vec::new();
        for (revision, row) in signatures {
            write(&tx, *revision, row).await?;
            let mut params = Params::default();
            let sql = format!(
                "UPDATE models SET sketched = {} WHERE revision = {} RETURNING id",
                params.add(row.signature.is_some()),
                params.add(*revision)
            );
            for row in sql::all(&tx, &sql, params).await? {
                touched.push(get(&row, "id")?);
            }
        }
        bump(&tx, &touched).await?;
        Ok(tx.commit().await?)
    }
}

/// Columns of the table.
pub const COLUMNS: [&str; 4] = ["revision", "scheme", "layout", "cells"];

fn signature(row: &QueryResult) -> Result<SignatureRow> {
    let layout: String = get(row, "layout")?;
    let signature = match layout.is_empty() {
        true => None,
        false => Some((parsed(row, "layout", "layout")?, cells_of(row)?)),
    };
    Ok(SignatureRow { scheme: get(row, "scheme")?, signature })
}

/// Writes the signature of a revision, over an earlier one.
pub async fn write(tx: &DatabaseTransaction, revision: i64, row: &SignatureRow) -> Result<()> {
    let (layout, cells) = match &row.signature {
        Some((layout, cells)) => (layout.to_string(), bytes_of(cells)),
        None => (String::new(), Vec::new()),
    };
    let rows = vec![vec![revision.into(), row.scheme.into(), layout.into(), cells.into()]];
    let tail = "ON CONFLICT (revision) DO UPDATE
        SET scheme = excluded.scheme, layout = excluded.layout, cells = excluded.cells";
    sql::insert(tx, ("signatures", &COLUMNS), rows, tail).await
}
