//! Commits of a repository, and the branches and tags that name them.

use std::{collections::HashMap, str::FromStr};

use domain::Digest;
use sea_orm::{DatabaseTransaction, QueryResult};
use serde::Serialize;

use crate::{
    Error, Result, Store,
    rows::{get, parsed, unsigned},
    sql::{self, Params, wall_clock},
};

/// The branch that says what a model is.
pub const MAIN: &str = "main";

/// What a commit says about itself; the files come with [`crate::Publish`].
#[derive(Debug, Clone)]
pub struct NewCommit {
    pub branch: String,
    pub title: String,
    pub message: String,
    pub author: Option<String>,
    /// The head of the branch that the commit builds on, whole or its first digits, at least seven; anything goes when
    /// none is given.
    pub parent: Option<String>,
    /// Its id, 40 hex digits, where it was made elsewhere.
    pub oid: Option<String>,
    /// Set where it must be the first commit of a model of which no more than the name is known.
    pub founds: Option<Founding>,
}

/// Who sees a model from its first commit on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Founding {
    /// Everybody, also where a private model had its name.
    Open,
    /// The members of its namespace.
    Private,
}

impl Default for NewCommit {
    fn default() -> Self {
        Self {
            branch: MAIN.to_owned(),
            title: "Publish".to_owned(),
            message: String::new(),
            author: None,
            parent: None,
            oid: None,
            founds: None,
        }
    }
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommitRow {
    /// 40 hex digits.
    pub oid: String,
    /// Row of the revision it shows.
    #[serde(skip)]
    pub revision: i64,
    /// Content digest of that revision.
    pub digest: Digest,
    pub parent: Option<String>,
    pub title: String,
    pub message: String,
    pub author: Option<String>,
    /// Unix seconds.
    pub created_at: i64,
}

/// What kind of name a ref is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RefKind {
    Branch,
    Tag,
}

impl RefKind {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Branch => "branch",
            Self::Tag => "tag",
        }
    }
}

impl FromStr for RefKind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = [Self::Branch, Self::Tag].into_iter().find(|kind| kind.word() == word);
        known.ok_or_else(|| format!("`{word}` is neither branch nor tag"))
    }
}

/// A branch or tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefRow {
    pub kind: RefKind,
    pub name: String,
    /// The commit it names.
    pub oid: String,
}

fn reference(row: &QueryResult) -> Result<RefRow> {
    Ok(RefRow { kind: parsed(row, "kind", "kind of ref")?, name: get(row, "name")?, oid: get(row, "oid")? })
}

/// Parts of a path that may belong to the name of a branch or tag.
const MOST_PARTS: usize = 64;

/// The kind that a full name under `refs/` states, and the short name.
fn full_name(name: &str) -> (Option<RefKind>, &str) {
    for (folder, kind) in [("refs/heads/", RefKind::Branch), ("refs/tags/", RefKind::Tag)] {
        if let Some(short) = name.strip_prefix(folder) {
            return (Some(kind), short);
        }
    }
    (None, name)
}

pub(crate) const COLUMNS: &str = "commits.oid, commits.revision, revisions.digest, commits.parent, commits.title, \
    commits.message, commits.author, commits.created_at";

pub(crate) fn commit(row: &QueryResult) -> Result<CommitRow> {
    Ok(CommitRow {
        oid: get(row, "oid")?,
        revision: get(row, "revision")?,
        digest: parsed(row, "digest", "digest")?,
        parent: get(row, "parent")?,
        title: get(row, "title")?,
        message: get(row, "message")?,
        author: get(row, "author")?,
        created_at: get(row, "created_at")?,
    })
}

impl Store {
    /// The commit that `name` stands for: a branch, a tag, either also by its full name under `refs/`, a commit's 40
    /// hex digits, or a revision's content digest with or without `sha256:`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn commit(&self, model: i64, name: &str) -> Result<Option<CommitRow>> {
        if name.contains('\0') {
            return Ok(None);
        }
        let mut params = Params::default();
        let (kind, name) = full_name(name);
        let (model, text) = (params.add(model), params.add(name));
        let only = match kind {
            Some(kind) => format!("AND named.kind = '{}'", kind.word()),
            None => String::new(),
        };
        let digest = params.add(format!("sha256:{}", name.strip_prefix("sha256:").unwrap_or(name)));
        // A branch goes before a tag, a tag before a commit, and the newest commit of a content before older ones.
        let sql = format!(
            "SELECT {COLUMNS},
                 CASE WHEN named.kind = 'branch' THEN 0 WHEN named.kind = 'tag' THEN 1 ELSE 2 END AS place
             FROM commits JOIN revisions ON revisions.id = commits.revision
             LEFT JOIN refs AS named
                 ON named.model = commits.model AND named.oid = commits.oid AND named.name = {text} {only}
             WHERE commits.model = {model}
               AND (named.name IS NOT NULL OR commits.oid = {text} OR revisions.digest = {digest})
             ORDER BY place, commits.id DESC LIMIT 1"
        );
        sql::one(self.db(), &sql, params).await?.as_ref().map(commit).transpose()
    }

    /// The head of a branch; no tag and no commit stands for one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn branch(&self, model: i64, name: &str) -> Result<Option<CommitRow>> {
        if name.contains('\0') {
            return Ok(None);
        }
        let mut params = Params::default();
        let sql = format!(
            "SELECT {COLUMNS} FROM refs
             JOIN commits ON commits.model = refs.model AND commits.oid = refs.oid
             JOIN revisions ON revisions.id = commits.revision
             WHERE refs.model = {} AND refs.kind = 'branch' AND refs.name = {}",
            params.add(model),
            params.add(name)
        );
        sql::one(self.db(), &sql, params).await?.as_ref().map(commit).transpose()
    }

    /// The commit that a path begins with, and what follows it: the longest branch or tag that is its beginning, since
    /// their names may hold slashes, else what the first part stands for.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn commit_along(&self, model: i64, path: &str) -> Result<Option<(CommitRow, String)>> {
        let (kind, short) = full_name(path);
        let ends = short.match_indices('/').map(|(at, _)| at).chain([short.len()]).take(MOST_PARTS);
        // No database has a NUL in a name, so that none is stored with one.
        let names: Vec<&str> = ends.map(|end| &short[..end]).filter(|name| !name.contains('\0')).collect();
        if names.is_empty() {
            return Ok(None);
        }
        let mut params = Params::default();
        let only = match kind {
            Some(kind) => format!("AND kind = '{}'", kind.word()),
            None => String::new(),
        };
        let sql = format!(
            "SELECT name FROM refs WHERE model = {} AND name IN {} {only} ORDER BY LENGTH(name) DESC LIMIT 1",
            params.add(model),
            params.list(names.iter().copied())
        );
        let longest: Option<String> = match sql::one(self.db(), &sql, params).await? {
            Some(row) => Some(get(&row, "name")?),
            None => None,
        };
        let length = path.len() - short.len();
        let end =
            length + longest.as_ref().map_or_else(|| short.find('/').unwrap_or(short.len()), String::len);
        let Some(commit) = self.commit(model, &path[..end]).await? else { return Ok(None) };
        Ok(Some((commit, path[end..].trim_start_matches('/').to_owned())))
    }

    /// The commits that `main` of some models is at, by model.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn heads(&self, models: &[i64]) -> Result<HashMap<i64, String>> {
        let sql = |models: &str| {
            format!(
                "SELECT model, oid FROM refs WHERE kind = 'branch' AND name = '{MAIN}' AND model IN {models}"
            )
        };
        let read = |row: &QueryResult| Ok((get(row, "model")?, get(row, "oid")?));
        Ok(sql::by_keys(self.db(), models, sql, read).await?.into_iter().collect())
    }

    /// When the first commit of some models was made, Unix seconds, by model.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn founded(&self, models: &[i64]) -> Result<HashMap<i64, i64>> {
        let sql = |models: &str| {
            format!(
                "SELECT model, MIN(created_at) AS first FROM commits
                 WHERE parent IS NULL AND model IN {models} GROUP BY model"
            )
        };
        let read = |row: &QueryResult| Ok((get(row, "model")?, get(row, "first")?));
        Ok(sql::by_keys(self.db(), models, sql, read).await?.into_iter().collect())
    }

    /// The history that ends in `oid`, newest first: `limit` commits after the first `skip`, and how many there
    /// are in all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn history(
        &self,
        model: i64,
        oid: &str,
        (skip, limit): (u64, u64),
    ) -> Result<(Vec<CommitRow>, u64)> {
        let mut params = Params::default();
        let (model, oid) = (params.add(model), params.add(oid));
        let line = format!(
            "WITH RECURSIVE line (oid, parent, depth) AS (
                 SELECT oid, parent, 0 FROM commits WHERE model = {model} AND oid = {oid}
                 UNION ALL
                 SELECT commits.oid, commits.parent, line.depth + 1
                 FROM line JOIN commits ON commits.model = {model} AND commits.oid = line.parent
                 WHERE line.depth < 1000000
             )"
        );
        let (skip, limit) = (params.add(sql::capped(skip)), params.add(sql::capped(limit)));
        let sql = format!(
            "{line} SELECT {COLUMNS}, (SELECT COUNT(*) FROM line) AS total
             FROM line JOIN commits ON commits.model = {model} AND commits.oid = line.oid
             JOIN revisions ON revisions.id = commits.revision
             ORDER BY line.depth LIMIT {limit} OFFSET {skip}"
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        let total = rows.first().map_or(Ok(0), |row| unsigned(row, "total"))?;
        Ok((rows.iter().map(commit).collect::<Result<_>>()?, total))
    }

    /// The first branches and tags of a model, branches before tags, by name, and how many there are in all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn refs(&self, model: i64, most: u64) -> Result<(Vec<RefRow>, u64)> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT kind, name, oid, COUNT(*) OVER () AS total FROM refs WHERE model = {}
             ORDER BY kind, name LIMIT {most}",
            params.add(model)
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        let total = rows.first().map_or(Ok(0), |row| unsigned(row, "total"))?;
        Ok((rows.iter().map(reference).collect::<Result<_>>()?, total))
    }

    /// The first branches and tags that name some commits of a model, branches before tags, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn refs_at(&self, model: i64, oids: &[&str], most: u64) -> Result<Vec<RefRow>> {
        if oids.is_empty() {
            return Ok(Vec::new());
        }
        let mut params = Params::default();
        let sql = format!(
            "SELECT kind, name, oid FROM refs WHERE model = {} AND oid IN {}
             ORDER BY kind, name LIMIT {most}",
            params.add(model),
            params.list(oids.iter().map(|oid| (*oid).to_owned()))
        );
        sql::all(self.db(), &sql, params).await?.iter().map(reference).collect()
    }

    /// Gives a commit a name that is not taken.
    ///
    /// # Errors
    /// [`Error::RefExists`].
    pub async fn create_ref(&self, model: i64, new: &RefRow) -> Result<()> {
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!(
            "INSERT INTO refs (model, kind, name, oid) VALUES ({}, {}, {}, {}) ON CONFLICT DO NOTHING",
            params.add(model),
            params.add(new.kind.word()),
            params.add(new.name.as_str()),
            params.add(new.oid.as_str())
        );
        if sql::run(&tx, &sql, params).await? == 0 {
            return Err(Error::RefExists { kind: new.kind.word(), name: new.name.clone() });
        }
        Ok(tx.commit().await?)
    }

    /// Removes a branch or tag; `false` when there is none. The commits stay.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_ref(&self, model: i64, (kind, name): (RefKind, &str)) -> Result<bool> {
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!(
            "DELETE FROM refs WHERE model = {} AND kind = {} AND name = {}",
            params.add(model),
            params.add(kind.word()),
            params.add(name)
        );
        let removed = sql::run(&tx, &sql, params).await?;
        tx.commit().await?;
        Ok(removed > 0)
    }
}

/// Adds a commit that shows `revision` and moves its branch there; gives the commit's id. A commit that changes
/// nothing is the head it was made on.
///
/// # Errors
/// [`Error::StaleParent`].
pub async fn add(
    tx: &DatabaseTransaction,
    (model, revision, digest): (i64, i64, Digest),
    new: &NewCommit,
) -> Result<String> {
    let mut params = Params::default();
    let sql = format!(
        "SELECT commits.oid, commits.revision FROM refs
         JOIN commits ON commits.model = refs.model AND commits.oid = refs.oid
         WHERE refs.model = {} AND refs.kind = 'branch' AND refs.name = {}",
        params.add(model),
        params.add(new.branch.as_str())
    );
    let head: Option<(String, i64)> = match sql::one(tx, &sql, params).await? {
        Some(row) => Some((get(&row, "oid")?, get(&row, "revision")?)),
        None => None,
    };
    if new.parent.as_ref().is_some_and(|seen| !head.as_ref().is_some_and(|(oid, _)| names(seen, oid))) {
        let head = head.map_or_else(|| "nothing".to_owned(), |(oid, _)| oid);
        return Err(Error::StaleParent { branch: new.branch.clone(), head });
    }
    // What was committed since stays in the history: a commit that is here already is made once more, on top of that.
    let wanted = match &new.oid {
        Some(oid) if is_known(tx, model, oid).await? => None,
        wanted => wanted.clone(),
    };
    if let Some((oid, shown)) = &head
        && *shown == revision
        && wanted.is_none()
    {
        return Ok(oid.clone());
    }
    let parent = head.map(|(oid, _)| oid);
    let (title, message) = (sql::text(&new.title), sql::text(&new.message));
    let now = wall_clock();
    let author = new.author.as_deref().unwrap_or_default();
    let said = format!("{model}\0{digest}\0{parent:?}\0{title}\0{message}\0{author}\0{now}");
    let made = || Digest::of(said.as_bytes()).hex().chars().take(40).collect();
    let oid: String = wanted.unwrap_or_else(made);
    let row = vec![
        model.into(),
        oid.as_str().into(),
        revision.into(),
        parent.into(),
        title.into(),
        message.into(),
        new.author.clone().into(),
        now.into(),
    ];
    let columns = ["model", "oid", "revision", "parent", "title", "message", "author", "created_at"];
    sql::insert(tx, ("commits", &columns), vec![row], "ON CONFLICT (model, oid) DO NOTHING").await?;
    let row = vec![model.into(), "branch".into(), new.branch.as_str().into(), oid.as_str().into()];
    let tail = "ON CONFLICT (model, kind, name) DO UPDATE SET oid = excluded.oid";
    sql::insert(tx, ("refs", &["model", "kind", "name", "oid"]), vec![row], tail).await?;
    Ok(oid)
}

/// Fewest digits that stand for a commit.
const SHORT: usize = 7;

/// Whether a text is a commit's id or a beginning of it that clients may give in its place.
fn names(text: &str, oid: &str) -> bool {
    let beginning = oid.get(..text.len()).filter(|_| text.len() >= SHORT);
    beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(text))
}

async fn is_known(tx: &DatabaseTransaction, model: i64, oid: &str) -> Result<bool> {
    let mut params = Params::default();
    let (model, oid) = (params.add(model), params.add(oid));
    let sql = format!("SELECT 1 AS found FROM commits WHERE model = {model} AND oid = {oid}");
    Ok(sql::one(tx, &sql, params).await?.is_some())
}
