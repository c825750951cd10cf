//! Published revisions: all of one or nothing of it, under the job's fence when a job made it.

use std::sync::Arc;

use domain::{Claim, Digest, Limits, Metadata, Note, RelativePath};
use sea_orm::{DatabaseTransaction, QueryResult, Value as Sql};
use serde::Serialize;
use serde_json::Value;
use weights::{Checkpoint, ReadAt};

use crate::{
    Error, ModelRow, NewCommit, Result, Store,
    access::found_private,
    aliases,
    commits::{self, MAIN},
    connect::bump,
    draft::Draft,
    models::ids_of,
    queue,
    republish::{earlier, forget, known},
    rows::{get, json, maybe_json, parsed, signed, to_json, unsigned},
    signatures::{self, SignatureRow},
    sketches::{self, SketchRow},
    sql::{self, Params, wall_clock},
    upsert::{revision_digest, write_models},
    verified::date_files,
};

/// A file of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileRow {
    pub path: String,
    pub size: u64,
    pub digest: Digest,
}

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

/// Everything that becomes visible at once when a model is published.
#[derive(Debug, Clone)]
pub struct Publish {
    pub metadata: Metadata,
    pub claims: Vec<Claim>,
    pub files: Vec<FileRow>,
    pub tensors: Vec<TensorRow>,
    /// Sketches of float tensors, by position in `tensors`.
    pub sketches: Vec<SketchRow>,
    /// What they amount to; none where there are no sketches.
    pub signature: Option<SignatureRow>,
    /// A revision with the same weight files, whose tensors and sketches are these too; then none are given.
    pub weights_of: Option<i64>,
    /// Recipe of a model made here, with its digest.
    pub recipe: Option<(Digest, Value)>,
    /// How a model made here was made.
    pub provenance: Option<Value>,
    /// Job and fence of the worker that publishes.
    pub fence: Option<(String, i64)>,
    pub commit: NewCommit,
}

/// What a look at the weights of a revision that is published already found.
#[derive(Debug, Clone)]
pub struct Attach {
    pub revision: i64,
    pub tensors: Vec<TensorRow>,
    pub sketches: Vec<SketchRow>,
    pub signature: Option<SignatureRow>,
    /// Number of weights, where the metadata does not say it.
    pub parameters: Option<i64>,
    /// What a reader should know, added to the model's notes.
    pub notes: Vec<Note>,
    pub fence: Option<(String, i64)>,
}

impl Store {
    /// Publishes a revision in one transaction and makes it the model's current one. Publishing the same
    /// files again only refreshes the metadata.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when the job was handed on, [`Error::Cancelled`], [`Error::BlobMissing`] when a
    /// file's bytes are not stored, [`Error::OutputTaken`] when what a job made by a recipe would replace what another
    /// recipe or none made, or the record of a model without files; nothing is published then.
    pub async fn publish(&self, publish: Publish) -> Result<ModelRow> {
        self.publish_commit(publish).await.map(|(row, _)| row)
    }

    /// [`Self::publish`] that also gives the id of the commit. On another branch than `main` the model's
    /// metadata and current revision stay as they are.
    ///
    /// # Errors
    /// As [`Self::publish`]; [`Error::StaleParent`].
    pub async fn publish_commit(&self, publish: Publish) -> Result<(ModelRow, String)> {
        let tx = self.begin_write().await?;
        if let Some((job, fence)) = &publish.fence {
            queue::hold(&tx, job, *fence).await?;
        }
        // Under the writers' turn, so that no clean-up removes a blob between this look and the commit.
        if let Some(digest) = self.lacking(publish.files.iter().map(|file| file.digest).collect()).await? {
            return Err(Error::BlobMissing(digest));
        }
        let key = publish.metadata.id.key();
        let current = publish.commit.branch == MAIN;
        // What a job brings in from elsewhere may replace what was there, and is as open as it is there.
        let made_by = publish.fence.as_ref().filter(|_| publish.recipe.is_some());
        if let Some(earlier) = earlier(&tx, &key).await?.filter(|_| current) {
            let own = publish.recipe.as_ref().map(|(digest, _)| *digest);
            if made_by.is_some() && earlier.recipe != own {
                return Err(Error::OutputTaken(key));
            }
            forget(&tx, earlier.model).await?;
        } else if current && made_by.is_some() && known(&tx, &key).await? {
            return Err(Error::OutputTaken(key));
        }
        let mut touched = Vec::new();
        if current {
            touched = write_models(&tx, Draft::of([(publish.metadata, publish.claims)])?).await?.1;
            aliases::free(&tx, &key).await?;
        }
        let ids = ids_of(&tx, std::slice::from_ref(&key)).await?;
        let (model, _) = ids.get(&key).ok_or_else(|| Error::stored("model", format!("`{key}` vanished")))?;
        let digest = revision_digest(publish.files.iter().map(|file| (file.path.as_str(), file.digest)));
        let (revision, new) = ensure_revision(&tx, *model, digest, publish.recipe.as_ref()).await?;
        if new {
            write_files(&tx, revision, &publish.files).await?;
            let weights = (&*publish.tensors, &*publish.sketches, publish.signature.as_ref());
            match publish.weights_of {
                Some(known) => copy_weights(&tx, known, revision).await?,
                None => write_weights(&tx, revision, weights).await?,
            }
        }
        if let Some(body) = &publish.provenance {
            let row = vec![revision.into(), to_json(body)?.into()];
            let on = "ON CONFLICT (revision) DO UPDATE SET body = excluded.body";
            sql::insert(&tx, "provenance", &["revision", "body"], vec![row], on).await?;
        }
        let oid = commits::add(&tx, (*model, revision, digest), &publish.commit).await?;
        found_private(&tx, *model, (made_by, &publish.commit)).await?;
        if current {
            let mut params = Params::default();
            let revision = params.add(revision);
            // Of what is made here it is known when; a folder says nothing of it.
            let made = publish.recipe.is_some() || publish.provenance.is_some();
            let sql = format!(
                "UPDATE models SET revision = {revision}, digest = {}, created_at = COALESCE(created_at, {}),
                     has_weights = EXISTS (SELECT 1 FROM tensors WHERE tensors.revision = {revision}),
                     {SKETCHED_OF}{revision}),
                     dtype = COALESCE({}, dtype)
                 WHERE id = {}",
                params.add(digest.to_string()),
                params.add(made.then(wall_clock)),
                dtype_of(&revision),
                params.add(*model)
            );
            sql::run(&tx, &sql, params).await?;
        }
        touched.push(*model);
        bump(&tx, &touched).await?;
        tx.commit().await?;
        let row = self.model(*model).await?;
        Ok((row.ok_or_else(|| Error::stored("model", format!("`{key}` vanished")))?, oid))
    }

    /// Writes what was found in the weights of a published revision, once.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when the job was handed on, [`Error::Cancelled`]; when the database refuses.
    pub async fn attach(&self, found: Attach) -> Result<()> {
        let tx = self.begin_write().await?;
        if let Some((job, fence)) = &found.fence {
            queue::hold(&tx, job, *fence).await?;
        }
        let mut params = Params::default();
        let sql = format!(
            "SELECT (SELECT COUNT(*) FROM tensors WHERE tensors.revision = revisions.id) AS known,
                 models.id AS model, models.notes AS notes
             FROM revisions LEFT JOIN models ON models.revision = revisions.id WHERE revisions.id = {}",
            params.add(found.revision)
        );
        // A model that was deleted meanwhile needs nothing.
        let Some(row) = sql::one(&tx, &sql, params).await? else { return Ok(()) };
        if unsigned(&row, "known")? == 0 {
            write_weights(&tx, found.revision, (&found.tensors, &found.sketches, found.signature.as_ref()))
                .await?;
        }
        let model = get::<Option<i64>>(&row, "model")?;
        if let Some(model) = model {
            let mut notes: Vec<Note> = json(&row, "notes")?;
            notes.extend(found.notes);
            let mut params = Params::default();
            let (parameters, notes) = (params.add(found.parameters), params.add(to_json(&notes)?));
            let revision = params.add(found.revision);
            let sql = format!(
                "UPDATE models SET parameters = COALESCE(parameters, {parameters}), notes = {notes},
                     has_weights = EXISTS (SELECT 1 FROM tensors WHERE tensors.revision = {revision}),
                     {SKETCHED_OF}{revision}),
                     dtype = COALESCE({}, dtype)
                 WHERE id = {}",
                dtype_of(&revision),
                params.add(model)
            );
            sql::run(&tx, &sql, params).await?;
        }
        bump(&tx, model.as_slice()).await?;
        Ok(tx.commit().await?)
    }

    /// Files of a revision, by path.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn files(&self, revision: i64) -> Result<Vec<FileRow>> {
        let files = self.checked_files(revision).await?;
        Ok(files.into_iter().map(|checked| checked.file).collect())
    }

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

    /// A recipe by digest.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn recipe(&self, digest: &Digest) -> Result<Option<Value>> {
        let mut params = Params::default();
        let sql = format!("SELECT body FROM recipes WHERE digest = {}", params.add(digest.to_string()));
        let row = sql::one(self.db(), &sql, params).await?;
        row.as_ref().map_or(Ok(None), |row| maybe_json(row, "body"))
    }

    /// The recipe a revision was made from, for models made here.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn recipe_of(&self, revision: i64) -> Result<Option<Value>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT body FROM recipes JOIN revisions ON revisions.recipe = recipes.digest
             WHERE revisions.id = {}",
            params.add(revision)
        );
        let row = sql::one(self.db(), &sql, params).await?;
        row.as_ref().map_or(Ok(None), |row| maybe_json(row, "body"))
    }

    /// How a revision that was made here was made.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn provenance_of(&self, revision: i64) -> Result<Option<Value>> {
        let mut params = Params::default();
        let sql = format!("SELECT body FROM provenance WHERE revision = {}", params.add(revision));
        let row = sql::one(self.db(), &sql, params).await?;
        row.as_ref().map_or(Ok(None), |row| maybe_json(row, "body"))
    }

    /// The row of a model's revision with this digest, current or not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn revision_of(&self, model: i64, digest: &Digest) -> Result<Option<i64>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT id FROM revisions WHERE model = {} AND digest = {}",
            params.add(model),
            params.add(digest.to_string())
        );
        sql::one(self.db(), &sql, params).await?.map(|row| get(&row, "id")).transpose()
    }

    /// The revision's checkpoint over its blobs; none when it holds no weights.
    ///
    /// # Errors
    /// [`Error::BlobMissing`]; what is wrong with the files.
    pub async fn checkpoint(&self, revision: i64, limits: &Limits) -> Result<Option<Checkpoint>> {
        let mut named: Vec<(RelativePath, Arc<dyn ReadAt>)> = Vec::new();
        for file in self.files(revision).await? {
            let path = RelativePath::parse(&file.path).map_err(|error| Error::stored("path", error))?;
            named.push((path, Arc::new(self.open_blob(&file.digest).await?)));
        }
        let limits = *limits;
        Ok(tokio::task::spawn_blocking(move || weights::assemble(&named, &limits)).await??)
    }
}

/// Whether kinship is answered from sketches, up to the mark of a revision and the bracket after it.
const SKETCHED_OF: &str =
    "sketched = EXISTS (SELECT 1 FROM signatures WHERE layout <> '' AND signatures.revision = ";

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

/// The row of this revision; `true` when it is new.
async fn ensure_revision(
    tx: &DatabaseTransaction,
    model: i64,
    digest: Digest,
    recipe: Option<&(Digest, Value)>,
) -> Result<(i64, bool)> {
    if let Some((digest, body)) = recipe {
        let row = vec![digest.to_string().into(), to_json(body)?.into()];
        sql::insert(tx, "recipes", &["digest", "body"], vec![row], "ON CONFLICT (digest) DO NOTHING").await?;
    }
    let mut params = Params::default();
    let sql = format!(
        "INSERT INTO revisions (model, digest, created_at) VALUES ({}, {}, {})
         ON CONFLICT (model, digest) DO NOTHING RETURNING id",
        params.add(model),
        params.add(digest.to_string()),
        params.add(wall_clock())
    );
    let made = sql::one(tx, &sql, params).await?;
    let new = made.is_some();
    let mut params = Params::default();
    let sql = format!(
        "UPDATE revisions SET recipe = COALESCE({}, recipe) WHERE model = {} AND digest = {} RETURNING id",
        params.add(recipe.map(|(digest, _)| digest.to_string())),
        params.add(model),
        params.add(digest.to_string())
    );
    let row = sql::one(tx, &sql, params).await?;
    let row = row.ok_or_else(|| Error::stored("revision", format!("{digest} vanished")))?;
    Ok((get(&row, "id")?, new))
}

/// Tensors of a revision with their sketches and what those amount to.
async fn write_weights(
    tx: &DatabaseTransaction,
    revision: i64,
    (tensors, sketches, signature): (&[TensorRow], &[SketchRow], Option<&SignatureRow>),
) -> Result<()> {
    write_tensors(tx, revision, tensors).await?;
    sketches::write(tx, revision, sketches).await?;
    match signature {
        Some(signature) => signatures::write(tx, revision, signature).await,
        None => Ok(()),
    }
}

/// Gives a revision the tensors and sketches of another one.
async fn copy_weights(tx: &DatabaseTransaction, known: i64, revision: i64) -> Result<()> {
    for (table, columns) in [
        ("tensors", &TENSOR_COLUMNS[1..]),
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

async fn write_files(tx: &DatabaseTransaction, revision: i64, files: &[FileRow]) -> Result<()> {
    let rows = files
        .iter()
        .map(|file| {
            let digest = file.digest.to_string();
            Ok(vec![revision.into(), file.path.as_str().into(), signed(file.size)?.into(), digest.into()])
        })
        .collect::<Result<Vec<_>>>()?;
    sql::insert(tx, "files", &["revision", "path", "size", "digest"], rows, "").await?;
    date_files(tx, revision).await
}

const TENSOR_COLUMNS: [&str; 18] = [
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

async fn write_tensors(tx: &DatabaseTransaction, revision: i64, tensors: &[TensorRow]) -> Result<()> {
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
    sql::insert(tx, "tensors", &TENSOR_COLUMNS, rows, "").await
}

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
