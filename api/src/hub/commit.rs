//! Commits: what is to be sent how, and the commit itself, streamed to storage and applied at once.

use std::collections::{HashMap, HashSet};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, http::header, web::Payload};
use domain::{Act, BadDigest, Digest, RelativePath, RepoId};
use futures::StreamExt as _;
use http::{Problem, Result};
use jobs::{Change, Gathered, Incoming, Push, Registry};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{BlobWriter, CommitRow, FileRow, ModelRow, NewCommit};

use super::{
    Call,
    answer::{self, misread, missing_model, missing_revision},
    discussions,
    entries::{self, Kept},
    ignored::Ignored,
    ndjson::{Event, Reader},
    stop::Outcome,
    who,
};

/// `POST …/preupload/REV`: which files go into the commit and which through LFS.
///
/// # Errors
/// 404; 403 for a pull request; 400 for a path that cannot be stored or what is no branch, 413 for too many.
pub async fn preupload(call: &Call<'_>, payload: Payload) -> Outcome {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Asked {
        files: Vec<File>,
        /// The `.gitignore` that the commit is about to bring.
        git_ignore: Option<String>,
    }
    #[derive(Deserialize)]
    struct File {
        path: String,
        size: u64,
    }
    refuse_pull_request(call)?;
    let row = answer::find(call).await?;
    call.registry.store.may_with(Act::Write, &row).await?;
    let asked: Asked = answer::body(call, payload).await?;
    answer::within_paths(asked.files.len(), call.registry.limits.hub_paths)?;
    let (_, commit) = branch(call, &row).await?;
    let stored = match &commit {
        Some(commit) => call.registry.store.files(commit.revision).await?,
        None => Vec::new(),
    };
    let ignored = Ignored::of(call.registry, asked.git_ignore.as_deref(), &stored).await?;
    let (known, oids): (HashMap<String, FileRow>, HashMap<String, String>) = match &commit {
        Some(commit) => {
            let wanted: HashSet<&str> = asked.files.iter().map(|file| file.path.as_str()).collect();
            let named: Vec<FileRow> =
                stored.into_iter().filter(|file| wanted.contains(file.path.as_str())).collect();
            let oids = entries::oids(call.registry, commit.revision, &named).await?;
            let known = named.into_iter().map(|file| (file.path.clone(), file)).collect();
            (known, oids)
        }
        None => Default::default(),
    };
    let inline = inline_bytes(call);
    // Large files that now go into the commit are compared by what git would call their content.
    let large: Vec<Digest> =
        known.values().filter(|file| file.size <= inline).map(|file| file.digest).collect();
    let contents = call.registry.store.known_oids(&large).await?;
    let mut files = Vec::with_capacity(asked.files.len());
    for File { path, size } in asked.files {
        RelativePath::parse(&path).map_err(misread)?;
        let lfs = entries::kept(&path, size) == Kept::Lfs && size > inline;
        let held = known.get(&path);
        // What the client compares with depends on the way it will send the file.
        let oid = match (held, lfs) {
            (Some(file), true) => Some(file.digest.hex()),
            (Some(file), false) if entries::kept(&path, file.size) == Kept::Git => oids.get(&path).cloned(),
            (Some(file), false) if file.size == size => contents.get(&file.digest).cloned(),
            _ => None,
        };
        let ignore = ignored.names(&path);
        let mode = if lfs { "lfs" } else { "regular" };
        files.push(json!({ "path": path, "uploadMode": mode, "shouldIgnore": ignore, "oid": oid }));
    }
    Ok(HttpResponse::Ok().json(json!({ "files": files })))
}

/// Refuses a commit that is to become a pull request.
fn refuse_pull_request(call: &Call<'_>) -> Result<()> {
    if call.says("create_pr").holds() { Err(discussions::none_here()) } else { Ok(()) }
}

/// The branch that a commit goes to, and its head; none of one that the first commit makes.
///
/// # Errors
/// 404 `RevisionNotFound`; 400 for a tag or a commit.
async fn branch(call: &Call<'_>, row: &ModelRow) -> Result<(String, Option<CommitRow>)> {
    let asked = call.revision().unwrap_or_else(|| store::MAIN.to_owned());
    let name = asked.strip_prefix("refs/heads/").unwrap_or(&asked);
    let store = &call.registry.store;
    if let Some(head) = store.branch(row.id, name).await? {
        return Ok((name.to_owned(), Some(head)));
    }
    if name == store::MAIN {
        return Ok((name.to_owned(), None));
    }
    match answer::commit_of(call.registry, row, &asked).await? {
        Some(_) => {
            let told = format!("`{asked}` is a tag or a commit; commits go to a branch");
            Err(Problem::bad_request(told))
        }
        None => Err(missing_revision(&row.name, &asked)),
    }
}

/// Large files up to this size are taken within the commit. Clients from 1.20 on send what goes through LFS to a
/// store of another kind and do not fall back, and they do not say whether that is switched off.
fn inline_bytes(call: &Call<'_>) -> u64 {
    let agent = call.request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let version = agent.and_then(|text| text.split("hf_hub/").nth(1)).unwrap_or_default();
    let mut numbers = version.split(['.', ';', ' ']).map_while(|part| part.parse::<u64>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (1, 20) { call.registry.limits.inline_bytes } else { 0 }
}

/// `POST …/commit/BRANCH`: everything of it, or nothing.
///
/// # Errors
/// 404, also for a file to delete; 403 for a pull request; 412 when the branch has moved from the parent that was named; 400 for
/// what is no branch or cannot be applied.
pub async fn commit(call: &Call<'_>, payload: Payload) -> Outcome {
    let coding = call.request.headers().get(header::CONTENT_ENCODING);
    if coding.is_some_and(|coding| coding != "identity") {
        let told = "send the commit as it is, without Content-Encoding";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", told).into());
    }
    refuse_pull_request(call)?;
    let row = answer::find(call).await?;
    call.registry.store.may_with(Act::Write, &row).await?;
    let id = RepoId::parse(&row.name).map_err(|_| missing_model(&call.id))?;
    let (branch, _) = branch(call, &row).await?;
    let author = who::author(call.request, call.registry).await?;
    // Contents come as base64, four bytes for three.
    call.registry.store.room_for(announced(call.request) / 4 * 3)?;
    let mut body = Body::new(call.registry, NewCommit { branch, author, ..NewCommit::default() });
    if let Err(problem) = body.receive(payload).await {
        body.gathered.discard(call.registry).await;
        return Err(problem.into());
    }
    let Body { changes, gathered, commit, .. } = body;
    let push = Push { id, changes, gathered, commit };
    let (row, oid) = jobs::push(call.registry, push).await.map_err(|error| {
        let stale = matches!(error, jobs::Error::Store(store::Error::StaleParent { .. }));
        let missing = matches!(error, jobs::Error::NoSuchFile(_));
        let mut problem = Problem::from(error);
        if missing {
            return problem.for_hub("EntryNotFound", None);
        }
        if stale {
            problem.status = StatusCode::PRECONDITION_FAILED.as_u16();
        } else if problem.status == StatusCode::UNPROCESSABLE_ENTITY.as_u16() {
            return problem.as_misread();
        }
        problem
    })?;
    let url = format!("{}/{}/commit/{oid}", http::address(call.request), row.name);
    Ok(HttpResponse::Ok()
        .json(json!({ "success": true, "commitOid": oid, "commitUrl": url, "hookOutput": "" })))
}

/// Bytes that a request says it will send; none where it does not say.
pub fn announced(request: &HttpRequest) -> u64 {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A commit body on its way in.
struct Body<'a> {
    registry: &'a Registry,
    commit: NewCommit,
    changes: Vec<Change>,
    gathered: Gathered,
    /// The content that is being written, and the one that awaits its line.
    writer: Option<BlobWriter>,
    written: u64,
    content: Option<(Digest, u64)>,
}

#[derive(Deserialize)]
#[serde(tag = "key", content = "value", rename_all = "camelCase")]
enum Line {
    #[serde(rename_all = "camelCase")]
    Header {
        #[serde(default)]
        summary: String,
        #[serde(default)]
        description: Option<String>,
        parent_commit: Option<String>,
    },
    File {
        path: String,
        encoding: Option<String>,
    },
    LfsFile {
        path: String,
        oid: String,
        size: Option<u64>,
    },
    DeletedFile {
        path: String,
    },
    DeletedFolder {
        path: String,
    },
}

impl<'a> Body<'a> {
    fn new(registry: &'a Registry, commit: NewCommit) -> Self {
        Self {
            registry,
            commit,
            changes: Vec::new(),
            gathered: Gathered::new(),
            writer: None,
            written: 0,
            content: None,
        }
    }

    async fn receive(&mut self, mut payload: Payload) -> Result<()> {
        let (mut reader, mut events) = (Reader::new(self.registry.limits.body_bytes), Vec::new());
        while let Some(part) = payload.next().await {
            let part =
                part.map_err(|error| Problem::bad_request(format!("the commit ended early: {error}")))?;
            reader.feed(&part, &mut events).map_err(|bad| Problem::bad_request(bad.0))?;
            self.take(&mut events).await?;
        }
        reader.finish(&mut events).map_err(|bad| Problem::bad_request(bad.0))?;
        self.take(&mut events).await
    }

    async fn take(&mut self, events: &mut Vec<Event>) -> Result<()> {
        for event in events.drain(..) {
            match event {
                Event::Content(bytes) => {
                    let most = self.registry.limits.file_bytes;
                    self.written += bytes.len() as u64;
                    if self.written > most {
                        let detail = format!("a file is over {most} bytes");
                        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "file_too_large", detail));
                    }
                    self.open().await?.write(&bytes).await?;
                }
                Event::ContentEnd => {
                    self.open().await?;
                    if let Some(writer) = self.writer.take() {
                        self.content = Some(writer.finish().await?);
                    }
                    self.written = 0;
                }
                Event::Line(line) => self.line(&line).await?,
            }
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<&mut BlobWriter> {
        if self.writer.is_none() {
            self.writer = Some(self.registry.store.blob_writer(&self.gathered.holder).await?);
        }
        self.writer.as_mut().ok_or_else(|| Problem::bad_request("a content without a file"))
    }

    async fn line(&mut self, line: &[u8]) -> Result<()> {
        let number = self.changes.len() + 1;
        let bad = |error: serde_json::Error| {
            Problem::bad_request(format!("operation {number} of the commit cannot be read: {error}"))
        };
        let document: Value = serde_json::from_slice(line).map_err(bad)?;
        if self.changes.len() >= self.registry.limits.files {
            return Err(Problem::bad_request(format!(
                "over {} operations in one commit",
                self.registry.limits.files
            )));
        }
        let path = |text: &str| RelativePath::parse(text).map_err(misread);
        match serde_json::from_value(document).map_err(bad)? {
            Line::Header { summary, description, parent_commit } => {
                self.commit.title = summary.chars().take(1_000).collect();
                self.commit.message = description.unwrap_or_default().chars().take(100_000).collect();
                self.commit.parent = parent_commit.filter(|parent| !parent.is_empty());
            }
            Line::File { path: name, encoding } => {
                if encoding.as_deref().is_some_and(|word| word != "base64") {
                    return Err(Problem::bad_request(format!("`{name}`: contents come as base64")));
                }
                let (digest, size) = self
                    .content
                    .take()
                    .ok_or_else(|| Problem::bad_request(format!("`{name}` comes without content")))?;
                let file = Incoming { path: path(&name)?, digest, size };
                self.gathered.files.push(file.clone());
                self.changes.push(Change::Put(file));
            }
            Line::LfsFile { path: name, oid, size } => {
                let digest: Digest = oid.parse().map_err(misread::<BadDigest>)?;
                let stored = self.registry.store.open_size(&digest).await?;
                let held = stored
                    .ok_or_else(|| Problem::bad_request(format!("`{name}`: {oid} was not uploaded")))?;
                if size.is_some_and(|size| size != held) {
                    return Err(Problem::bad_request(format!("`{name}` has {held} bytes, not {size:?}")));
                }
                self.changes.push(Change::Put(Incoming { path: path(&name)?, digest, size: held }));
            }
            Line::DeletedFile { path: name } => self.changes.push(Change::Delete(path(&name)?)),
            Line::DeletedFolder { path: name } => {
                self.changes.push(Change::DeleteFolder(path(name.trim_end_matches('/'))?));
            }
        }
        Ok(())
    }
}
