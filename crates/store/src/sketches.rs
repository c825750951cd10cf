//! Sketches of a revision's tensors: written when it is published, read instead of its weights.

use domain::Digest;
use sea_orm::{DatabaseTransaction, QueryResult};

use crate::{
    Error, Result, Store,
    rows::{get, json, maybe_digest, unsigned},
    sql::{self, Params},
};

/// The sketch of one tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct SketchRow {
    /// Position of the tensor in its revision.
    pub position: i64,
    /// How it was made; sketches of different schemes do not compare.
    pub scheme: i32,
    /// Whether nothing was lost.
    pub exact: bool,
    /// Sum of the tensor's finite values.
    pub sum: f64,
    /// Sums of each block of rows that has cells of its own; none for a tensor that is not divided.
    pub block_sums: Vec<f64>,
    pub cells: Vec<f32>,
}

/// A tensor known by its sketch.
#[derive(Debug, Clone, PartialEq)]
pub struct SketchedTensor {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<u64>,
    /// Of its stored bytes.
    pub digest: Option<Digest>,
    /// Values that are NaN or infinite.
    pub nonfinite: u64,
    pub sketch: SketchRow,
}

impl Store {
    /// The sketched tensors of a revision, in its order; none for a revision published before there were
    /// sketches.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn sketches(&self, revision: i64) -> Result<Vec<SketchedTensor>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT t.name AS name, t.dtype AS dtype, t.shape AS shape, t.digest AS digest, t.nonfinite AS nonfinite,
                 s.position AS position, s.scheme AS scheme, s.exact AS exact, s.sum AS sum, s.block_sums AS block_sums,
                 s.cells AS cells
             FROM sketches s JOIN tensors t ON t.revision = s.revision AND t.position = s.position
             WHERE s.revision = {} ORDER BY s.position",
            params.add(revision)
        );
        sql::all(self.db(), &sql, params).await?.iter().map(sketched).collect()
    }
}

fn sketched(row: &QueryResult) -> Result<SketchedTensor> {
    Ok(SketchedTensor {
        name: get(row, "name")?,
        dtype: get(row, "dtype")?,
        shape: json(row, "shape")?,
        digest: maybe_digest(row, "digest")?,
        nonfinite: unsigned(row, "nonfinite")?,
        sketch: SketchRow {
            position: get(row, "position")?,
            scheme: get(row, "scheme")?,
            exact: get(row, "exact")?,
            sum: get(row, "sum")?,
            block_sums: sums_of(row)?,
            cells: cells_of(row)?,
        },
    })
}

/// The column `cells`.
pub fn cells_of(row: &QueryResult) -> Result<Vec<f32>> {
    let bytes: Vec<u8> = get(row, "cells")?;
    let (cells, []) = bytes.as_chunks::<4>() else {
        return Err(Error::stored("sketch", format!("{} bytes are no f32 numbers", bytes.len())));
    };
    Ok(cells.iter().map(|raw| f32::from_le_bytes(*raw)).collect())
}

fn sums_of(row: &QueryResult) -> Result<Vec<f64>> {
    let bytes: Option<Vec<u8>> = get(row, "block_sums")?;
    let (sums, []) = bytes.as_deref().unwrap_or_default().as_chunks::<8>() else {
        return Err(Error::stored("sketch", "sums that are no f64 numbers"));
    };
    Ok(sums.iter().map(|raw| f64::from_le_bytes(*raw)).collect())
}

impl Store {
    /// Models whose current revision has sketches of a scheme before `scheme`, by name and revision, at most `most`, the
    /// most downloaded first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn outdated_sketches(&self, scheme: i32, most: u64) -> Result<Vec<(String, i64)>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT models.name AS name, models.revision AS revision FROM models
             WHERE EXISTS (SELECT 1 FROM sketches
                 WHERE sketches.revision = models.revision AND sketches.scheme < {})
             ORDER BY COALESCE(models.downloads, 0) DESC, models.id LIMIT {}",
            params.add(scheme),
            params.add(sql::capped(most))
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        rows.iter().map(|row| Ok((get(row, "name")?, get(row, "revision")?))).collect()
    }
}

/// Cells as a column.
pub fn bytes_of(cells: &[f32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_le_bytes()).collect()
}

/// Columns of the table.
pub const COLUMNS: [&str; 7] = ["revision", "position", "scheme", "exact", "sum", "block_sums", "cells"];

/// Rows written with one statement: each carries kilobytes.
const AT_ONCE: usize = 100;

/// Writes the sketches of a new revision.
pub async fn write(tx: &DatabaseTransaction, revision: i64, sketches: &[SketchRow]) -> Result<()> {
    for sketches in sketches.chunks(AT_ONCE) {
        let row = |sketch: &SketchRow| {
            vec![
                revision.into(),
                sketch.position.into(),
                sketch.scheme.into(),
                sketch.exact.into(),
                sketch.sum.into(),
                (!sketch.block_sums.is_empty())
                    .then(|| sketch.block_sums.iter().flat_map(|sum| sum.to_le_bytes()).collect::<Vec<u8>>())
                    .into(),
                bytes_of(&sketch.cells).into(),
            ]
        };
        sql::insert(tx, ("sketches", &COLUMNS), sketches.iter().map(row).collect(), "").await?;
    }
    Ok(())
}
