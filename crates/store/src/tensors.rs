//! Tensors of revisions: written with their sketches, copied, and what a model is by them.

use domain::Digest;
use sea_orm::{DatabaseTransaction, QueryResult, Value as Sql};
use serde::Serialize;

use crate::{
    Result, Store,
    rows::{get, json, parsed, signed, to_json, unsigned},
    signatures::{self, SignatureRow},
    sketches::{self, SketchRow},
    sql::{self, Params},
};

/// A tensor of a revision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorRow {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<u64>,
    /// Of the stored bytes.
    pub digest: Digest,
    /// The file it lies in.
    pub file: String,
    /// First byte in the file.
    pub offset_begin: u64,
    /// One past the last byte in the file.
    pub offset_end: u64,
    /// Not-finite statistics are stored as none.
    pub l2: Option<f64>,
    pub mean: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Population standard deviation.
    pub std: Option<f64>,
    pub skewness: Option<f64>,
    /// Excess kurtosis: 0 for a normal distribution.
    pub kurtosis: Option<f64>,
    pub zeros: Option<u64>,
    /// NaN and infinite elements.
    pub nonfinite: u64,
}

const COLUMNS: [&str; 18] = [
    "revision",
    "position",
    "name",
    "dtype",
    "shape",
    "digest",
    "file",
    "offset_begin",
    "offset_end",
    "l2",
    "mean",
    "min",
    "max",
    "std",
    "skewness",
    "kurtosis",
    "zeros",
    "nonfinite",
];

impl Store {
    /// Tensors of a revision, in the order they were published.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tensors(&self, revision: i64) -> Result<Vec<TensorRow>> {
        let mut params = Params::default();
        let sql =
            format!("SELECT * FROM tensors WHERE revision = {} ORDER BY position", params.add(revision));
        sql::all(self.db(), &sql, params).await?.iter().map(tensor).collect()
    }

    /// Number of tensors of a revision.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tensor_count(&self, revision: i64) -> Result<u64> {
        let mut params = Params::default();
        let sql = format!("SELECT COUNT(*) AS n FROM tensors WHERE revision = {}", params.add(revision));
        sql::one(self.db(), &sql, params).await?.as_ref().map_or(Ok(0), |row| unsigned(row, "n"))
    }
}

/// Whether any tensor of a revision is known.
pub async fn any(tx: &DatabaseTransaction, revision: i64) -> Result<bool> {
    let mut params = Params::default();
    let sql = format!("SELECT 1 AS found FROM tensors WHERE revision = {} LIMIT 1", params.add(revision));
    Ok(sql::one(tx, &sql, params).await?.is_some())
}

/// Tensors of a revision with their sketches and what those amount to.
pub async fn write(
    tx: &DatabaseTransaction,
    revision: i64,
    (tensors, sketches, signature): (&[TensorRow], &[SketchRow], Option<&SignatureRow>),
) -> Result<()> {
    write_rows(tx, revision, tensors).await?;
    sketches::write(tx, revision, sketches).await?;
    match signature {
        Some(signature) => signatures::write(tx, revision, signature).await,
        None => Ok(()),
    }
}

/// Puts sketches in the place of those that were made in an earlier scheme.
pub async fn sketch_anew(
    tx: &DatabaseTransaction,
    revision: i64,
    (sketches, signature): (&[SketchRow], Option<&SignatureRow>),
) -> Result<()> {
    let (Some(scheme), Some(signature)) = (sketches.first().map(|sketch| sketch.scheme), signature) else {
        return Ok(());
    };
    let mut params = Params::default();
    let sql = format!(
        "DELETE FROM sketches WHERE revision = {} AND scheme < {}",
        params.add(revision),
        params.add(scheme)
    );
    if sql::run(tx, &sql, params).await? == 0 {
        return Ok(());
    }
    sketches::write(tx, revision, sketches).await?;
    signatures::write(tx, revision, signature).await
}

/// Gives a revision the tensors and sketches of another one.
pub async fn copy(tx: &DatabaseTransaction, known: i64, revision: i64) -> Result<()> {
    for (table, columns) in [
        ("tensors", &COLUMNS[1..]),
        ("sketches", &sketches::COLUMNS[1..]),
        ("signatures", &signatures::COLUMNS[1..]),
    ] {
        let columns = columns.join(", ");
        let mut params = Params::default();
        let (revision, known) = (params.add(revision), params.add(known));
        let sql = format!(
            "INSERT INTO {table} (revision, {columns})
             SELECT CAST({revision} AS BIGINT), {columns} FROM {table} WHERE revision = {known}"
        );
        sql::run(tx, &sql, params).await?;
    }
    Ok(())
}

async fn write_rows(tx: &DatabaseTransaction, revision: i64, tensors: &[TensorRow]) -> Result<()> {
    let finite = |value: Option<f64>| Sql::from(value.filter(|value| value.is_finite()));
    let rows = (0..)
        .zip(tensors)
        .map(|(position, tensor): (i64, _)| {
            Ok(vec![
                revision.into(),
                position.into(),
                sql::text(&tensor.name).into(),
                tensor.dtype.as_str().into(),
                to_json(&tensor.shape)?.into(),
                tensor.digest.to_string().into(),
                tensor.file.as_str().into(),
                signed(tensor.offset_begin)?.into(),
                signed(tensor.offset_end)?.into(),
                finite(tensor.l2),
                finite(tensor.mean),
                finite(tensor.min),
                finite(tensor.max),
                finite(tensor.std),
                finite(tensor.skewness),
                finite(tensor.kurtosis),
                tensor.zeros.map(signed).transpose()?.into(),
                signed(tensor.nonfinite)?.into(),
            ])
        })
        .collect::<Result<Vec<_>>>()?;
    sql::insert(tx, ("tensors", &COLUMNS), rows, "").await
}

/// Reads a whole row.
pub fn tensor(row: &QueryResult) -> Result<TensorRow> {
    Ok(TensorRow {
        name: get(row, "name")?,
        dtype: get(row, "dtype")?,
        shape: json(row, "shape")?,
        digest: parsed(row, "digest", "digest")?,
        file: get(row, "file")?,
        offset_begin: unsigned(row, "offset_begin")?,
        offset_end: unsigned(row, "offset_end")?,
        l2: get(row, "l2")?,
        mean: get(row, "mean")?,
        min: get(row, "min")?,
        max: get(row, "max")?,
        std: get(row, "std")?,
        skewness: get(row, "skewness")?,
        kurtosis: get(row, "kurtosis")?,
        zeros: get::<Option<i64>>(row, "zeros")?.map(|zeros| zeros.unsigned_abs()),
        nonfinite: unsigned(row, "nonfinite")?,
    })
}

/// What the tensors of a revision make of its model, as columns to set: whether it has weights, whether kinship is answered
/// from sketches, and its number format where that is known. `revision` is the mark of a parameter.
pub fn set_of(revision: &str) -> String {
    format!(
        "has_weights = EXISTS (SELECT 1 FROM tensors WHERE tensors.revision = {revision}),
         sketched = EXISTS (SELECT 1 FROM signatures WHERE layout <> '' AND signatures.revision = {revision}),
         dtype = COALESCE({}, dtype)",
        dtype_of(revision)
    )
}

/// The number format of most of a revision's weights, as SQL; `revision` is the mark of a parameter. Weights are counted, not
/// bytes: of an eight-bit model the tables left in sixteen bits may take more room than all the rest.
fn dtype_of(revision: &str) -> String {
    format!(
        "(SELECT tensors.dtype FROM tensors WHERE tensors.revision = {revision} GROUP BY tensors.dtype
          ORDER BY SUM((tensors.offset_end - tensors.offset_begin) * 8 / {BITS}) DESC, tensors.dtype LIMIT 1)"
    )
}

/// Bits that one weight of a tensor takes, as SQL.
const BITS: &str = "CASE WHEN tensors.dtype IN ('F64', 'I64', 'U64', 'C64') THEN 64
    WHEN tensors.dtype IN ('F32', 'I32', 'U32') THEN 32 WHEN tensors.dtype IN ('F16', 'BF16', 'I16', 'U16') THEN 16
    WHEN tensors.dtype IN ('F6_E2M3', 'F6_E3M2') THEN 6 WHEN tensors.dtype = 'F4' THEN 4 ELSE 8 END";
