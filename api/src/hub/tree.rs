//! The files of a revision, as trees and by path.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use actix_web::{HttpResponse, web::Payload};
use http::{Problem, Result};
use jobs::Registry;
use serde_json::{Value, json};
use store::{CommitRow, FileRow, ModelRow};

use super::{
    Call,
    answer::{self, Found, date, hex_of, missing_entry, missing_revision},
    entries,
};

/// Entries on one page, and with `expand`.
const PAGE: usize = 1_000;
const EXPANDED_PAGE: usize = 50;

/// Commits that are looked through for the last one that touched a file.
const LOOK_BACK: u64 = 200;

/// A commit, its files and the path that was asked for, or the answer to give instead.
enum Opened {
    Here { row: Box<ModelRow>, commit: Option<CommitRow>, files: Vec<FileRow>, below: String },
    Elsewhere(HttpResponse),
}

async fn open(call: &Call<'_>) -> Result<Opened> {
    let row = match answer::find(call).await? {
        Found::Here(row) => row,
        Found::Elsewhere(answer) => return Ok(Opened::Elsewhere(answer)),
    };
    let (first, rest) = call.rest.split_first().ok_or_else(|| missing_revision(&call.id, ""))?;
    let place = (first.as_str(), &*rest.join("/"));
    let (commit, below) = answer::commit_and_path(call.registry, &row, place).await?;
    let files = match &commit {
        Some(commit) => call.registry.store.files(commit.revision).await?,
        None => Vec::new(),
    };
    Ok(Opened::Here { row, commit, files, below })
}

/// `GET …/tree/REV[/PATH]`.
///
/// # Errors
/// 404 for a path that holds nothing.
pub async fn list(call: &Call<'_>) -> Result<HttpResponse> {
    let (row, commit, files, below) = match open(call).await? {
        Opened::Here { row, commit, files, below } => (row, commit, files, below),
        Opened::Elsewhere(answer) => return Ok(answer),
    };
    let below = below.trim_matches('/');
    let entries = walk(&files, below, call.says("recursive").holds());
    if entries.is_empty() && !below.is_empty() {
        let oid = commit.map(|commit| commit.oid).unwrap_or_default();
        return Err(missing_entry(&row.name, below, &oid));
    }
    let expand = call.says("expand").holds();
    let most = if expand { EXPANDED_PAGE } else { PAGE };
    let start = match call.asked("cursor").last() {
        None => 0,
        Some(text) => {
            text.parse::<usize>().map_err(|_| Problem::bad_request("`cursor` is not one of this list"))?
        }
    };
    let shown: Vec<&Entry> = entries.iter().skip(start).take(most).collect();
    let next = (entries.len() > start + most).then(|| (start + most).to_string());
    let mut items = described(call.registry, commit.as_ref(), &shown).await?;
    if let Some(commit) = commit.as_ref().filter(|_| expand) {
        last_commits(call.registry, (&row, commit), &mut items).await?;
        say_unscanned(&mut items);
    }
    Ok(answer::page(call.request, &items, next.as_deref()))
}

/// `POST …/paths-info/REV`: the entries of these paths; unknown ones are left out.
///
/// # Errors
/// 400 for a body that names no paths.
pub async fn paths_info(call: &Call<'_>, payload: Payload) -> Result<HttpResponse> {
    let bytes = answer::bytes(call, payload).await?;
    let (paths, expand) = asked_paths(&bytes)?;
    let (row, commit, files) = match open(call).await? {
        Opened::Here { row, commit, files, below } if below.is_empty() => (row, commit, files),
        Opened::Here { row, .. } => return Err(missing_revision(&row.name, &call.rest.join("/"))),
        Opened::Elsewhere(answer) => return Ok(answer),
    };
    let mut found = Vec::new();
    for path in paths {
        let path = path.trim_matches('/');
        if let Some(file) = files.iter().find(|file| file.path == path) {
            found.push(Entry::File(file.clone()));
        } else if let Some(folder) = folder(&files, path) {
            found.push(folder);
        }
    }
    let mut items = described(call.registry, commit.as_ref(), &found.iter().collect::<Vec<_>>()).await?;
    if let Some(commit) = commit.as_ref().filter(|_| expand) {
        last_commits(call.registry, (&row, commit), &mut items).await?;
        say_unscanned(&mut items);
    }
    Ok(HttpResponse::Ok().json(items))
}

/// Python sends a form, others JSON.
fn asked_paths(bytes: &[u8]) -> Result<(Vec<String>, bool)> {
    #[derive(serde::Deserialize)]
    struct Asked {
        paths: Vec<String>,
        #[serde(default)]
        expand: bool,
    }
    if let Ok(Asked { paths, expand }) = serde_json::from_slice(bytes) {
        return Ok((paths, expand));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::bad_request("the body is not text"))?;
    let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(text)
        .map_err(|error| Problem::bad_request(format!("the form cannot be read: {error}")))?;
    let expand = pairs.iter().any(|(name, value)| name == "expand" && value.eq_ignore_ascii_case("true"));
    Ok((
        pairs.into_inner().into_iter().filter(|(name, _)| name == "paths").map(|(_, value)| value).collect(),
        expand,
    ))
}

/// A line of a tree.
enum Entry {
    File(FileRow),
    /// Path and an id made of what lies below.
    Folder(String, String),
}

/// What lies in a folder, folders first, each by path.
fn walk(files: &[FileRow], below: &str, recursive: bool) -> Vec<Entry> {
    let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
    let inside: Vec<(&FileRow, &str)> =
        files.iter().filter_map(|file| Some((file, file.path.strip_prefix(&prefix)?))).collect();
    let mut folders = BTreeSet::new();
    for (_, rest) in &inside {
        for (at, _) in rest.match_indices('/').take(if recursive { usize::MAX } else { 1 }) {
            folders.insert(format!("{prefix}{}", &rest[..at]));
        }
    }
    let folders = folders.into_iter().filter_map(|path| folder(files, &path));
    let here = inside.iter().filter(|(_, rest)| recursive || !rest.contains('/'));
    folders.chain(here.map(|(file, _)| Entry::File((*file).clone()))).collect()
}

fn folder(files: &[FileRow], path: &str) -> Option<Entry> {
    let prefix = format!("{path}/");
    let below: String = files
        .iter()
        .filter(|file| file.path.starts_with(&prefix))
        .map(|file| format!("{} {}\n", &file.path[prefix.len()..], file.digest))
        .collect();
    (!below.is_empty()).then(|| Entry::Folder(path.to_owned(), hex_of(&below, 40)))
}

async fn described(registry: &Registry, commit: Option<&CommitRow>, shown: &[&Entry]) -> Result<Vec<Value>> {
    let files: Vec<FileRow> = shown
        .iter()
        .filter_map(|entry| match entry {
            Entry::File(file) => Some(file.clone()),
            Entry::Folder(..) => None,
        })
        .collect();
    let oids = match commit {
        Some(commit) => entries::oids(registry, commit.revision, &files).await?,
        None => HashMap::new(),
    };
    let line = |entry: &&Entry| match entry {
        Entry::File(file) => entries::entry(file, oids.get(&file.path).map_or("", String::as_str)),
        Entry::Folder(path, oid) => json!({ "type": "directory", "path": path, "oid": oid, "size": 0 }),
    };
    Ok(shown.iter().map(line).collect())
}

/// Adds to each entry the last commit that touched it, as far back as is looked.
async fn last_commits(
    registry: &Registry,
    (row, commit): (&ModelRow, &CommitRow),
    items: &mut [Value],
) -> Result<()> {
    let (history, _) = registry.store.history(row.id, &commit.oid, (0, LOOK_BACK)).await?;
    let mut open: BTreeMap<usize, String> = BTreeMap::new();
    let path_of = |item: &Value| item["path"].as_str().unwrap_or_default().to_owned();
    let mut last = history.first();
    for (place, one) in history.iter().enumerate() {
        let files = registry.store.files(one.revision).await?;
        if place == 0 {
            for (at, item) in items.iter().enumerate() {
                open.insert(at, state(&files, &path_of(item)));
            }
        }
        let moved: Vec<usize> = open
            .iter()
            .filter(|(at, known)| state(&files, &path_of(&items[**at])) != **known)
            .map(|(at, _)| *at)
            .collect();
        for at in moved {
            open.remove(&at);
            note(&mut items[at], last);
        }
        if open.is_empty() {
            break;
        }
        last = Some(one);
    }
    for at in open.into_keys() {
        note(&mut items[at], last);
    }
    Ok(())
}

/// Says of each file that nothing was looked for in it: this registry has no scanner.
fn say_unscanned(items: &mut [Value]) {
    let status = json!({ "status": "unscanned", "avScan": null, "pickleImportScan": null });
    for item in items.iter_mut().filter(|item| item["type"] == "file") {
        item["securityFileStatus"] = status.clone();
    }
}

/// What a path holds in these files.
fn state(files: &[FileRow], path: &str) -> String {
    match files.iter().find(|file| file.path == path) {
        Some(file) => file.digest.to_string(),
        None => match folder(files, path) {
            Some(Entry::Folder(_, oid)) => oid,
            _ => String::new(),
        },
    }
}

fn note(item: &mut Value, commit: Option<&CommitRow>) {
    if let (Some(object), Some(commit)) = (item.as_object_mut(), commit) {
        let told = json!({ "id": commit.oid, "title": commit.title, "date": date(commit.created_at) });
        object.insert("lastCommit".to_owned(), told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<FileRow> {
        ["README.md", "a/b/c.txt", "a/d.txt", "ab.txt"]
            .map(|path| FileRow {
                path: path.to_owned(),
                size: 1,
                digest: domain::Digest::of(path.as_bytes()),
            })
            .to_vec()
    }

    fn paths(entries: &[Entry]) -> Vec<&str> {
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(match entry {
                Entry::File(file) => file.path.as_str(),
                Entry::Folder(path, _) => path.as_str(),
            });
        }
        paths
    }

    #[test]
    fn a_tree_lists_folders_first_and_goes_down_only_when_told() {
        assert_eq!(paths(&walk(&files(), "", false)), ["a", "README.md", "ab.txt"]);
        assert_eq!(
            paths(&walk(&files(), "", true)),
            ["a", "a/b", "README.md", "a/b/c.txt", "a/d.txt", "ab.txt"]
        );
        assert_eq!(paths(&walk(&files(), "a", false)), ["a/b", "a/d.txt"]);
        assert!(walk(&files(), "nowhere", true).is_empty());
        assert!(walk(&files(), "README.md", true).is_empty(), "a file is no folder");
    }

    #[test]
    fn paths_are_asked_for_as_a_form_or_as_json() {
        assert_eq!(
            asked_paths(b"paths=a&paths=b%2Fc&expand=False").unwrap(),
            (vec!["a".to_owned(), "b/c".to_owned()], false)
        );
        assert_eq!(asked_paths(br#"{"paths":["a"],"expand":true}"#).unwrap(), (vec!["a".to_owned()], true));
    }
}
