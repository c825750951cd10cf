//! Published revisions: all of one or nothing of it, under the job's fence when a job made it.

use std::sync::Arc;

use domain::{Claim, Digest, Limits, Metadata, Note, RelativePath, files};
use sea_orm::DatabaseTransaction;
use serde::Serialize;
use serde_json::Value;
use weights::{Checkpoint, ReadAt};

use crate::{
    Error, Hold, ModelRow, NewCommit, NewJob, Result, Store,
    access::found,
    aliases,
    commits::{self, MAIN},
    connect::bump,
    draft::Draft,
    due,
    models::ids_of,
    queue,
    republish::{earlier, forget, known},
    rows::{get, json, maybe_json, signed, to_json, unsigned},
    signatures::SignatureRow,
    sketches::SketchRow,
    sql::{self, Params, wall_clock},
    tensors::{self, TensorRow},
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

impl FileRow {
    fn holds_weights(&self) -> bool {
        files::is_weights(&self.path)
    }
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
    /// The job that reads the weights, of the model's name and the revision's row. It is queued with them where there are
    /// weight files and no tensors of theirs are known.
    pub survey: Option<fn(String, i64) -> NewJob>,
    /// Recipe of a model made here, with its digest.
    pub recipe: Option<(Digest, Value)>,
    /// How a model made here was made.
    pub provenance: Option<Value>,
    /// The claim of the worker that publishes.
    pub fence: Option<Hold>,
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
    pub fence: Option<Hold>,
}

impl Store {
    /// Publishes a revision in one transaction and makes it the model's current one. Publishing the same
    /// files again only refreshes the metadata.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when the job was handed on, [`Error::Cancelled`], [`Error::BlobMissing`] when a
    /// file's bytes are not stored, [`Error::OutputTaken`] when what a job made by a recipe would replace what another
    /// recipe or none made, or the record of a model without files, or a commit that founds a model finds one; nothing is
    /// published then.
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
        if let Some(hold) = &publish.fence {
            queue::hold(&tx, hold).await?;
        }
        // Under the writers' turn, so that no clean-up removes a blob between this look and the commit.
        if let Some(digest) = self.lacking(publish.files.iter().map(|file| file.digest).collect()).await? {
            return Err(Error::BlobMissing(digest));
        }
        let (key, name) = (publish.metadata.id.key(), publish.metadata.id.to_string());
        if publish.commit.founds.is_some() && known(&tx, &key).await? {
            return Err(Error::OutputTaken(key));
        }
        let current = publish.commit.branch == MAIN;
        let mut touched = Vec::new();
        if current {
            make_room(&tx, &key, &publish).await?;
            let record = (publish.metadata.clone(), publish.claims.clone());
            touched = write_models(&tx, Draft::of([record])?).await?.1;
            aliases::free(&tx, &key).await?;
        }
        let ids = ids_of(&tx, std::slice::from_ref(&key)).await?;
        let (model, _) = ids.get(&key).ok_or_else(|| Error::stored("model", format!("`{key}` vanished")))?;
        let digest = revision_digest(publish.files.iter().map(|file| (file.path.as_str(), file.digest)));
        let revision = write_revision(&tx, (*model, digest), &publish).await?;
        let oid = commits::add(&tx, (*model, revision, digest), &publish.commit).await?;
        touched.append(&mut found(&tx, *model, (made_by(&publish), &publish.commit)).await?);
        if current {
            // Of what is made here it is known when; a folder says nothing of it.
            let made = publish.recipe.is_some() || publish.provenance.is_some();
            make_current(&tx, (*model, revision, digest), made.then(wall_clock)).await?;
        }
        if let Some(survey) = publish.survey.filter(|_| publish.files.iter().any(FileRow::holds_weights))
            && !tensors::any(&tx, revision).await?
        {
            self.queue(&tx, survey(name, revision)).await?;
        }
        touched.push(*model);
        bump(&tx, &touched).await?;
        // Read before the commit: once it is made, nothing may fail any more.
        let row = self.models_in(&tx, &[*model]).await?.pop();
        let row = row.ok_or_else(|| Error::stored("model", format!("`{key}` vanished")))?;
        tx.commit().await?;
        Ok((row, oid))
    }

    /// Writes what was found in the weights of a published revision, once; sketches replace those of an earlier scheme.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when the job was handed on, [`Error::Cancelled`]; when the database refuses.
    pub async fn attach(&self, found: Attach) -> Result<()> {
        let tx = self.begin_write().await?;
        if let Some(hold) = &found.fence {
            queue::hold(&tx, hold).await?;
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
        let looked = (&found.tensors[..], &found.sketches[..], found.signature.as_ref());
        match unsigned(&row, "known")? {
            0 => tensors::write(&tx, found.revision, looked).await?,
            _ => tensors::sketch_anew(&tx, found.revision, (looked.1, looked.2)).await?,
        }
        let model = get::<Option<i64>>(&row, "model")?;
        if let Some(model) = model {
            let mut notes: Vec<Note> = json(&row, "notes")?;
            // A job that runs again finds the same.
            let new = found.notes.into_iter().filter(|note| !notes.contains(note)).collect::<Vec<_>>();
            notes.extend(new);
            let mut params = Params::default();
            let (parameters, notes) = (params.add(found.parameters), params.add(to_json(&notes)?));
            let revision = params.add(found.revision);
            let sql = format!(
                "UPDATE models SET parameters = COALESCE(parameters, {parameters}), notes = {notes},
                     {}
                 WHERE id = {}",
                tensors::set_of(&revision),
                params.add(model)
            );
            sql::run(&tx, &sql, params).await?;
            due::owe(&tx, model).await?;
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

/// The claim of a job that publishes what it made by a recipe. What one brings in from elsewhere may replace what was there,
/// and is as open as it is there.
fn made_by(publish: &Publish) -> Option<&Hold> {
    publish.fence.as_ref().filter(|_| publish.recipe.is_some())
}

/// Takes the place of what the model held without a revision of its own.
///
/// # Errors
/// [`Error::OutputTaken`] where what a job made would replace what another recipe or none made.
async fn make_room(tx: &DatabaseTransaction, key: &str, publish: &Publish) -> Result<()> {
    let made = made_by(publish).is_some();
    let taken = || Err(Error::OutputTaken(key.to_owned()));
    match earlier(tx, key).await? {
        Some(earlier) => {
            let own = publish.recipe.as_ref().map(|(digest, _)| *digest);
            if made && earlier.recipe != own {
                return taken();
            }
            forget(tx, earlier.model).await
        }
        None if made && known(tx, key).await? => taken(),
        None => Ok(()),
    }
}

/// The row of the revision that is published, with its files, tensors and provenance.
async fn write_revision(
    tx: &DatabaseTransaction,
    (model, digest): (i64, Digest),
    publish: &Publish,
) -> Result<i64> {
    let (revision, new) = ensure_revision(tx, model, digest, publish.recipe.as_ref()).await?;
    if new {
        write_files(tx, revision, &publish.files).await?;
        let weights = (&*publish.tensors, &*publish.sketches, publish.signature.as_ref());
        match publish.weights_of {
            Some(known) => tensors::copy(tx, known, revision).await?,
            None => tensors::write(tx, revision, weights).await?,
        }
    }
    if let Some(body) = &publish.provenance {
        let row = vec![revision.into(), to_json(body)?.into()];
        let on = "ON CONFLICT (revision) DO UPDATE SET body = excluded.body";
        sql::insert(tx, ("provenance", &["revision", "body"]), vec![row], on).await?;
    }
    Ok(revision)
}

/// Makes a revision the one that its model shows, and notes when it was made where that is known and was not before.
async fn make_current(
    tx: &DatabaseTransaction,
    (model, revision, digest): (i64, i64, Digest),
    made_at: Option<i64>,
) -> Result<()> {
    let mut params = Params::default();
    let revision = params.add(revision);
    let sql = format!(
        "UPDATE models SET revision = {revision}, digest = {}, created_at = COALESCE(created_at, {}),
             {}
         WHERE id = {}",
        params.add(digest.to_string()),
        params.add(made_at),
        tensors::set_of(&revision),
        params.add(model)
    );
    sql::run(tx, &sql, params).await?;
    due::owe(tx, model).await
}

/// The row of this revision; `true` when it is new.
async fn ensure_revision(
    tx: &DatabaseTransaction,
    model: i64,
    digest: Digest,
    recipe: Option<&(Digest, Value)>,
) -> Result<(i64, bool)> {
    if let Some((digest, body)) = recipe {
        let row = vec![digest.to_string().into(), to_json(body)?.into()];
        sql::insert(tx, ("recipes", &["digest", "body"]), vec![row], "ON CONFLICT (digest) DO NOTHING")
            .await?;
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

async fn write_files(tx: &DatabaseTransaction, revision: i64, files: &[FileRow]) -> Result<()> {
    let rows = files
        .iter()
        .map(|file| {
            let digest = file.digest.to_string();
            Ok(vec![revision.into(), file.path.as_str().into(), signed(file.size)?.into(), digest.into()])
        })
        .collect::<Result<Vec<_>>>()?;
    sql::insert(tx, ("files", &["revision", "path", "size", "digest"]), rows, "").await?;
    date_files(tx, revision).await
}
