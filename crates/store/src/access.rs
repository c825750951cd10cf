//! Storage through somebody's eyes: what [`Viewer::may`] decides, as conditions on rows and as one question about a model.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use domain::{Act, Digest, Refusal, Role, Thing, Viewer};
use sea_orm::DatabaseTransaction;

use crate::{
    Error, Founding, Hold, ModelRow, NewCommit, Result, Store, TokenRow,
    models::resolve,
    rows::get,
    sql::{self, Params},
    standins,
    tokens::Scope,
};

/// Whose eyes a store is read through, and whether they met a private model.
#[derive(Debug)]
pub struct Eyes {
    pub viewer: Viewer,
    met: Arc<AtomicBool>,
    /// Whether meetings count; those of the program itself do not.
    guest: bool,
}

impl Eyes {
    /// Those of the program itself.
    pub fn house() -> Self {
        Self { viewer: Viewer::house(), met: Arc::default(), guest: false }
    }

    /// Takes note of a private model that was shown.
    pub fn meet(&self, row: &ModelRow) {
        if row.private && self.guest {
            self.met.store(true, Ordering::Relaxed);
        }
    }

    /// Whether what this viewer asks for now rests on a private model.
    pub fn met_private(&self) -> bool {
        self.met.load(Ordering::Relaxed)
    }
}

/// What names an owner of uploads that no commit names yet.
pub fn upload_prefix(owner: Option<&str>) -> String {
    format!("upload {}:", owner.unwrap_or_default())
}

impl Store {
    /// The same storage as `viewer` may see it: private models of others are not there.
    #[must_use]
    pub fn seen_by(&self, viewer: Viewer) -> Self {
        self.with_eyes(Eyes { viewer, met: Arc::default(), guest: true })
    }

    /// The same storage with nothing hidden, for the work behind a request that was let in; it stays the viewer's.
    #[must_use]
    pub fn unveiled(&self) -> Self {
        let eyes = self.eyes();
        let viewer = Viewer { name: eyes.viewer.name.clone(), ..Viewer::house() };
        self.with_eyes(Eyes { viewer, met: Arc::clone(&eyes.met), guest: eyes.guest })
    }

    /// Whether what the viewer asked for so far met a private model.
    pub fn met_private(&self) -> bool {
        self.eyes().met_private()
    }

    /// Who sees this.
    pub fn viewer(&self) -> &Viewer {
        &self.eyes().viewer
    }

    /// The user that a token speaks for, with the roles that it lends.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn viewer_of(&self, token: &TokenRow) -> Result<Viewer> {
        let lent = if token.scope == Scope::Write { Role::Admin } else { Role::Read };
        self.viewer_named(&token.owner, lent).await
    }

    /// A user with the roles that they have now, `lent` at most.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn viewer_named(&self, name: &str, lent: Role) -> Result<Viewer> {
        let person = name.to_ascii_lowercase();
        let mut params = Params::default();
        let key = params.add(person.as_str());
        let sql = format!(
            "SELECT key AS org, 'admin' AS role FROM accounts WHERE key = {key} AND admin
             UNION ALL SELECT org, role FROM members WHERE person = {key}"
        );
        let mut viewer = Viewer { name: Some(name.to_owned()), ..Viewer::default() };
        for row in sql::all(self.db(), &sql, params).await? {
            let (org, role): (String, String) = (get(&row, "org")?, get(&row, "role")?);
            let role: Role = role.parse().map_err(|error| Error::stored("role", error))?;
            match org == person {
                true => viewer.everywhere = Some(lent),
                false => drop(viewer.roles.insert(org, role.min(lent))),
            }
        }
        viewer.roles.insert(person, lent);
        Ok(viewer)
    }

    /// Whether the viewer may do this with the model called `name`, there or not.
    ///
    /// # Errors
    /// [`Error::Hidden`], [`Error::Gated`], [`Error::NotYours`].
    pub async fn may(&self, act: Act, name: &str) -> Result<()> {
        let key = sql::text(name).to_ascii_lowercase();
        let places = resolve(self.db(), std::slice::from_ref(&key)).await?;
        let known = match places.get(&key).and_then(|place| place.id) {
            // What is hidden is judged as its namespace is, so that its name says nothing.
            Some(id) if act.changes() => self.model(id).await?,
            Some(id) => self.unveiled().model(id).await?,
            None => None,
        };
        match known {
            Some(row) => self.may_with(act, &row).await,
            None => {
                let namespace = name.split_once('/').map(|(org, _)| org);
                let thing =
                    Thing { namespace, claimed: self.is_claimed(namespace).await?, ..Thing::default() };
                self.viewer().may(act, &thing).map_err(|refusal| refused(refusal, (act, name)))
            }
        }
    }

    /// Whether the viewer may do this with a model.
    ///
    /// # Errors
    /// As [`Self::may`].
    pub async fn may_with(&self, act: Act, row: &ModelRow) -> Result<()> {
        let viewer = self.viewer();
        let namespace = row.org.as_deref();
        let (private, gated) = (row.private, row.gated.is_some());
        let granted = act == Act::Read && gated && self.is_granted(row.id).await?;
        let claimed = matches!(act, Act::Write | Act::Govern) && self.is_claimed(namespace).await?;
        let thing = Thing { namespace, private, gated, granted, claimed };
        viewer.may(act, &thing).map_err(|refusal| refused(refusal, (act, &row.name)))
    }

    /// Whether a namespace is somebody's: an account's, or one with a private model, whose name could be told from
    /// the others else.
    async fn is_claimed(&self, namespace: Option<&str>) -> Result<bool> {
        let mut params = Params::default();
        let key = params.add(namespace.unwrap_or_default().to_ascii_lowercase());
        let older = match namespace {
            None => "aliases.key NOT LIKE '%/%'".to_owned(),
            Some(name) => {
                let name = name.to_ascii_lowercase().replace('_', "\\_");
                format!("aliases.key LIKE {} ESCAPE '\\'", params.add(format!("{name}/%")))
            }
        };
        let sql = format!(
            "SELECT 1 AS claimed FROM accounts WHERE key = {key}
             UNION ALL SELECT 1 FROM models WHERE private AND lower(COALESCE(org, '')) = {key}
             UNION ALL SELECT 1 FROM models JOIN aliases ON aliases.target = models.key
             WHERE models.private AND {older} LIMIT 1"
        );
        Ok(sql::one(self.db(), &sql, params).await?.is_some())
    }

    async fn is_granted(&self, model: i64) -> Result<bool> {
        let Some(name) = &self.viewer().name else { return Ok(false) };
        let mut params = Params::default();
        let sql = format!(
            "SELECT state FROM grants WHERE model = {} AND person = {} AND state = 'accepted'",
            params.add(model),
            params.add(name.to_ascii_lowercase())
        );
        Ok(sql::one(self.db(), &sql, params).await?.is_some())
    }

    /// The condition on `models` that leaves out what is hidden; none where nothing is.
    pub(crate) fn visible(&self, params: &mut Params) -> Option<String> {
        let viewer = self.viewer();
        if viewer.sees_everything() {
            return None;
        }
        Some(match viewer.roles.is_empty() {
            true => "NOT models.private".to_owned(),
            false => format!(
                "(NOT models.private OR lower(COALESCE(models.org, '')) IN {})",
                params.list(viewer.roles.keys().map(String::as_str))
            ),
        })
    }

    /// [`Self::visible`] as one more condition of a statement.
    pub(crate) fn and_visible(&self, params: &mut Params) -> String {
        self.visible(params).map_or_else(String::new, |only| format!("AND {only}"))
    }

    /// The condition on rows with an owner, such as jobs, that leaves out private ones of others; `TRUE` where nothing is.
    pub(crate) fn visible_work(&self, params: &mut Params) -> String {
        let viewer = self.viewer();
        match &viewer.name {
            _ if viewer.sees_everything() => "TRUE".to_owned(),
            None => "NOT private".to_owned(),
            Some(name) => format!("(NOT private OR owner = {})", params.add(name.to_ascii_lowercase())),
        }
    }

    /// Whose work it is that this viewer asks for, in lower case.
    pub(crate) fn owner(&self) -> Option<String> {
        self.viewer().name.as_ref().map(|name| name.to_ascii_lowercase())
    }

    /// Numbers of the models that are hidden from the viewer.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn hidden(&self) -> Result<HashSet<i64>> {
        let mut params = Params::default();
        let Some(visible) = self.visible(&mut params) else { return Ok(HashSet::new()) };
        let sql = format!("SELECT id FROM models WHERE private AND NOT {visible}");
        sql::all(self.db(), &sql, params).await?.iter().map(|row| get(row, "id")).collect()
    }

    /// Whether the viewer may have a blob's bytes: where a model open to the viewer holds it, a job made it for them or of
    /// models that they may read, or they uploaded it for a commit. What nothing names any more, or nothing yet, is nobody
    /// else's.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn may_have(&self, digest: &Digest) -> Result<bool> {
        let viewer = self.viewer();
        if viewer.sees_everything() {
            return Ok(true);
        }
        let mut params = Params::default();
        let wanted = params.add(digest.to_string());
        let mut open = vec!["(NOT models.private AND models.gated IS NULL)".to_owned()];
        if !viewer.roles.is_empty() {
            let own = params.list(viewer.roles.keys().map(String::as_str));
            open.push(format!("lower(COALESCE(models.org, '')) IN {own}"));
        }
        if let Some(name) = self.owner() {
            open.push(format!(
                "(NOT models.private AND EXISTS (SELECT 1 FROM grants WHERE grants.model = models.id
                   AND grants.person = {} AND grants.state = 'accepted'))",
                params.add(name)
            ));
        }
        let upload = upload_prefix(self.owner().as_deref()).replace('_', "\\_");
        let upload = params.add(format!("{upload}%"));
        let held = format!(
            "SELECT 1 FROM files JOIN revisions ON revisions.id = files.revision
             JOIN models ON models.id = revisions.model WHERE files.digest = {wanted}"
        );
        let sql = format!(
            "SELECT 1 AS open WHERE EXISTS ({held} AND ({open}))
                 OR EXISTS (SELECT 1 FROM pins WHERE digest = {wanted} AND holder LIKE {upload} ESCAPE '\\')",
            open = open.join(" OR ")
        );
        Ok(sql::one(self.db(), &sql, params).await?.is_some() || self.made_for_viewer(digest).await?)
    }
}

/// Hides a model that begins with this revision where the commit asks for it, or a private job made it; opens one that is
/// to be open where the name was a hidden model's. Gives the models that this touched.
pub async fn found(
    tx: &DatabaseTransaction,
    model: i64,
    (fence, commit): (Option<&Hold>, &NewCommit),
) -> Result<Vec<i64>> {
    if commit.founds == Some(Founding::Open) {
        let mut params = Params::default();
        let id = params.add(model);
        let sql =
            format!("UPDATE models SET private = FALSE WHERE id = {id} AND private AND revision IS NULL");
        return match sql::run(tx, &sql, params).await? {
            0 => Ok(Vec::new()),
            _ => standins::join(tx, model).await,
        };
    }
    let mut params = Params::default();
    let job = fence.map(|hold| hold.job.clone());
    let sql = format!(
        "UPDATE models SET private = TRUE WHERE id = {} AND revision IS NULL
         AND ({} OR EXISTS (SELECT 1 FROM jobs WHERE id = {} AND private))",
        params.add(model),
        params.add(commit.founds == Some(Founding::Private)),
        params.add(job)
    );
    if sql::run(tx, &sql, params).await? > 0 {
        standins::leave(tx, model).await?;
    }
    Ok(Vec::new())
}

fn refused(refusal: Refusal, (act, name): (Act, &str)) -> Error {
    let name = name.to_owned();
    match refusal {
        Refusal::Hidden => Error::Hidden(name),
        Refusal::Gated => Error::Gated(name),
        Refusal::NotYours if act == Act::Close => Error::NotClosable(name),
        Refusal::NotYours if act == Act::Write => Error::NotYours { name, role: Role::Write },
        Refusal::NotYours => Error::NotYours { name, role: Role::Admin },
    }
}
