//! The files of a revision, as trees and by path.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use actix_web::{HttpRequest, HttpResponse, http::header, web::Payload};
use http::{Problem, Result};
use jobs::Registry;
use serde_json::{Value, json};
use store::{CommitRow, FileRow, ModelRow};

use super::{
    Answer, Call,
    answer::{self, date, missing_entry, missing_revision},
    entries,
    listing::Listing,
    stop::Outcome,
};
use crate::paging::place;

/// Commits that are looked through for the last one that touched a folder.
const LOOK_BACK: u64 = 200;

/// A commit, its files and the path that was asked for.
struct Opened {
    row: Box<ModelRow>,
    commit: Option<CommitRow>,
    files: Listing,
    below: String,
}

async fn open(call: &Call<'_>) -> Outcome<Opened> {
    let row = answer::find(call).await?;
    let (first, rest) = call.rest.split_first().ok_or_else(|| missing_revision(&call.id, ""))?;
    let place = (first.as_str(), &*rest.join("/"));
    let (commit, below) = answer::commit_and_path(call.registry, &row, place).await?;
    let files = match &commit {
        Some(commit) => call.registry.store.files(commit.revision).await?,
        None => Vec::new(),
    };
    Ok(Opened { row, commit, files: Listing::of(files), below })
}

/// Most entries of one answer; each with its last commit costs far more.
fn most(registry: &Registry, expand: Answer) -> usize {
    if expand.holds() { registry.limits.hub_paths_expanded } else { registry.limits.hub_paths }
}

/// `GET …/tree/REV[/PATH]`.
///
/// # Errors
/// 404 for a path that holds nothing.
pub async fn list(call: &Call<'_>) -> Outcome {
    let Opened { row, commit, files, below } = open(call).await?;
    let below = below.trim_matches('/');
    let expand = call.says("expand");
    let start = place(call.asked("cursor").last().map(String::as_str))?;
    let end = start.saturating_add(most(call.registry, expand));
    let (shown, count) = walk(&files, (below, call.says("recursive")), start..end);
    if count == 0 && !below.is_empty() {
        let oid = commit.map(|commit| commit.oid).unwrap_or_default();
        return Err(missing_entry(&row.name, below, &oid).into());
    }
    let next = (count > end).then(|| end.to_string());
    let mut items = described(call.registry, commit.as_ref(), &shown).await?;
    if let Some(commit) = commit.as_ref().filter(|_| expand.holds()) {
        last_commits(call.registry, (&row, commit), &mut items).await?;
        say_unscanned(&mut items);
    }
    Ok(answer::page(call.request, &items, next.as_deref()))
}

/// `POST …/paths-info/REV`: the entries of these paths; unknown ones are left out.
///
/// # Errors
/// 400 for a body that names no paths, 413 for too many.
pub async fn paths_info(call: &Call<'_>, payload: Payload) -> Outcome {
    let bytes = answer::bytes(call, payload).await?;
    let (paths, expand) = asked_paths(&bytes)?;
    answer::within_paths(paths.len(), most(call.registry, expand))?;
    let Opened { row, commit, files, below } = open(call).await?;
    if !below.is_empty() {
        return Err(missing_revision(&row.name, &call.rest.join("/")).into());
    }
    let found = named(&files, &paths);
    let mut items = described(call.registry, commit.as_ref(), &found).await?;
    if let Some(commit) = commit.as_ref().filter(|_| expand.holds()) {
        last_commits(call.registry, (&row, commit), &mut items).await?;
        say_unscanned(&mut items);
    } else if from_python(call.request) {
        name_copies(&mut items);
    }
    Ok(HttpResponse::Ok().json(items))
}

/// Whether the Hub's client in Python asks.
fn from_python(request: &HttpRequest) -> bool {
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.is_some_and(|text| text.contains("hf_hub/"))
}

/// Gives large files the `xetHash` without which that client copies none to another repository. It is not one of Xet's, which are
/// 64 digits alone, so that nothing is ever fetched by it.
fn name_copies(items: &mut [Value]) {
    for item in items {
        if let Some(digest) = item["lfs"]["oid"].as_str().map(|hex| format!("sha256:{hex}")) {
            item["xetHash"] = digest.into();
        }
    }
}

/// Python sends a form, others JSON.
fn asked_paths(bytes: &[u8]) -> Result<(Vec<String>, Answer)> {
    let said = |expand| if expand { Answer::Yes } else { Answer::No };
    #[derive(serde::Deserialize)]
    struct Asked {
        paths: Vec<String>,
        #[serde(default)]
        expand: bool,
    }
    if let Ok(Asked { paths, expand }) = serde_json::from_slice(bytes) {
        return Ok((paths, said(expand)));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::bad_request("the body is not text"))?;
    let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(text)
        .map_err(|error| Problem::bad_request(format!("the form cannot be read: {error}")))?;
    let expand = pairs.iter().any(|(name, value)| name == "expand" && value.eq_ignore_ascii_case("true"));
    Ok((
        pairs.into_inner().into_iter().filter(|(name, _)| name == "paths").map(|(_, value)| value).collect(),
        said(expand),
    ))
}

/// A line of a tree.
enum Entry<'a> {
    File(&'a FileRow),
    /// Path and an id made of what lies below.
    Folder(&'a str, String),
}

/// What lies in a folder, folders first, each by path: the entries of one page, and how many there are.
fn walk<'a>(
    files: &'a Listing,
    (below, deep): (&str, Answer),
    page: Range<usize>,
) -> (Vec<Entry<'a>>, usize) {
    let top = if below.is_empty() { 0 } else { below.len() + 1 };
    let here = |path: &str| deep.holds() || !path[top..].contains('/');
    let mut count = 0;
    let folders = files.folders(below, |path| {
        let place = count;
        count += usize::from(here(path));
        here(path) && page.contains(&place)
    });
    let mut entries: Vec<Entry<'a>> =
        folders.into_iter().map(|(path, oid)| Entry::Folder(path, oid)).collect();
    for file in files.below(below).iter().filter(|file| here(&file.path)) {
        if page.contains(&count) {
            entries.push(Entry::File(file));
        }
        count += 1;
    }
    (entries, count)
}

/// What these paths hold, in their order; those that hold nothing are left out.
fn named<'a>(files: &'a Listing, paths: &[String]) -> Vec<Entry<'a>> {
    let paths: Vec<&str> = paths.iter().map(|path| path.trim_matches('/')).collect();
    let wanted: HashSet<&str> = paths.iter().copied().collect();
    let folders: HashMap<&str, String> =
        files.folders("", |path| wanted.contains(path)).into_iter().collect();
    let mut found = Vec::new();
    for path in paths {
        if let Some(file) = files.file(path) {
            found.push(Entry::File(file));
        } else if let Some((path, oid)) = folders.get_key_value(path) {
            found.push(Entry::Folder(path, oid.clone()));
        }
    }
    found
}

async fn described(
    registry: &Registry,
    commit: Option<&CommitRow>,
    shown: &[Entry<'_>],
) -> Result<Vec<Value>> {
    let files: Vec<FileRow> = shown
        .iter()
        .filter_map(|entry| match entry {
            Entry::File(file) => Some((*file).clone()),
            Entry::Folder(..) => None,
        })
        .collect();
    let oids = match commit {
        Some(commit) => entries::oids(registry, commit.revision, &files).await?,
        None => HashMap::new(),
    };
    let line = |entry: &Entry<'_>| match entry {
        Entry::File(file) => entries::entry(file, oids.get(&file.path).map_or("", String::as_str)),
        Entry::Folder(path, oid) => json!({ "type": "directory", "path": path, "oid": oid, "size": 0 }),
    };
    Ok(shown.iter().map(line).collect())
}

/// Adds to each entry the last commit that touched it. A folder that none of the latest commits touched goes without one.
async fn last_commits(
    registry: &Registry,
    (row, commit): (&ModelRow, &CommitRow),
    items: &mut [Value],
) -> Result<()> {
    let path = |item: &Value| item["path"].as_str().unwrap_or_default().to_owned();
    let (files, folders): (Vec<&mut Value>, Vec<&mut Value>) =
        items.iter_mut().partition(|item| item["type"] == "file");
    let paths: Vec<String> = files.iter().map(|item| path(item)).collect();
    let touched = registry.store.last_commits(row.id, &commit.oid, &paths).await?;
    for (item, path) in files.into_iter().zip(&paths) {
        note(item, touched.get(path));
    }
    if folders.is_empty() {
        return Ok(());
    }
    let paths: Vec<String> = folders.iter().map(|item| path(item)).collect();
    let touched = folders_touched(registry, (row, commit), &paths).await?;
    for (item, path) in folders.into_iter().zip(&paths) {
        note(item, touched.get(path));
    }
    Ok(())
}

/// The last commit that touched each of these folders, as far back as is looked.
async fn folders_touched(
    registry: &Registry,
    (row, commit): (&ModelRow, &CommitRow),
    paths: &[String],
) -> Result<HashMap<String, CommitRow>> {
    let (history, total) = registry.store.history(row.id, &commit.oid, (0, LOOK_BACK)).await?;
    let mut open: BTreeMap<&String, String> = BTreeMap::new();
    let mut touched = HashMap::new();
    let mut last = history.first();
    for (place, one) in history.iter().enumerate() {
        let files = Listing::of(registry.store.files(one.revision).await?);
        let held = states(&files, paths);
        let state = |path: &String| held.get(path.as_str()).map_or("", String::as_str);
        if place == 0 {
            open.extend(paths.iter().map(|path| (path, state(path).to_owned())));
        }
        open.retain(|path, known| {
            let same = state(path) == *known;
            if let Some(last) = last.filter(|_| !same) {
                touched.insert((*path).clone(), last.clone());
            }
            same
        });
        if open.is_empty() {
            return Ok(touched);
        }
        last = Some(one);
    }
    // What was there from the first commit on was made by it.
    if let Some(first) = last.filter(|_| total <= LOOK_BACK) {
        touched.extend(open.into_keys().map(|path| (path.clone(), first.clone())));
    }
    Ok(touched)
}

/// Says of each file that nothing was looked for in it: this registry has no scanner.
fn say_unscanned(items: &mut [Value]) {
    let status = json!({ "status": "unscanned", "avScan": null, "pickleImportScan": null });
    for item in items.iter_mut().filter(|item| item["type"] == "file") {
        item["securityFileStatus"] = status.clone();
    }
}

/// What each of these paths holds in these files, by its id.
fn states<'a>(files: &'a Listing, paths: &[String]) -> HashMap<&'a str, String> {
    let told = |entry| match entry {
        Entry::File(file) => (file.path.as_str(), file.digest.to_string()),
        Entry::Folder(path, oid) => (path, oid),
    };
    named(files, paths).into_iter().map(told).collect()
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

    fn files() -> Listing {
        let file = |path: &str| FileRow {
            path: path.to_owned(),
            size: 1,
            digest: domain::Digest::of(path.as_bytes()),
        };
        Listing::of(["README.md", "a/b/c.txt", "a/d.txt", "ab.txt"].map(file).to_vec())
    }

    fn paths<'a>(entries: &'a [Entry<'_>]) -> Vec<&'a str> {
        let path = |entry: &'a Entry<'_>| match entry {
            Entry::File(file) => file.path.as_str(),
            Entry::Folder(path, _) => path,
        };
        entries.iter().map(path).collect()
    }

    #[test]
    fn a_tree_lists_folders_first_and_goes_down_only_when_told() {
        let files = files();
        for (below, deep, listed) in [
            ("", Answer::No, vec!["a", "README.md", "ab.txt"]),
            ("", Answer::Yes, vec!["a", "a/b", "README.md", "a/b/c.txt", "a/d.txt", "ab.txt"]),
            ("a", Answer::No, vec!["a/b", "a/d.txt"]),
            ("nowhere", Answer::Yes, vec![]),
            ("README.md", Answer::Yes, vec![]),
        ] {
            let (entries, count) = walk(&files, (below, deep), 0..100);

            assert_eq!(paths(&entries), listed, "{below}");
            assert_eq!(count, listed.len());
        }
    }

    #[test]
    fn the_pages_of_a_tree_are_the_list_cut() {
        let files = files();
        let (all, count) = walk(&files, ("", Answer::Yes), 0..100);
        for start in 0..=count {
            let (page, known) = walk(&files, ("", Answer::Yes), start..start + 2);

            assert_eq!(paths(&page), paths(&all[start..(start + 2).min(count)]));
            assert_eq!(known, count);
        }
    }

    #[test]
    fn named_paths_come_in_the_order_asked_for_and_unknown_ones_not_at_all() {
        let files = files();
        let asked = ["ab.txt", "a/", "none", "a/b", "a/b/c.txt"].map(str::to_owned);

        let found = named(&files, &asked);

        assert_eq!(paths(&found), ["ab.txt", "a", "a/b", "a/b/c.txt"]);
        assert!(matches!(&found[1], Entry::Folder(_, oid) if oid.len() == 40));
    }

    #[test]
    fn paths_are_asked_for_as_a_form_or_as_json() {
        assert_eq!(
            asked_paths(b"paths=a&paths=b%2Fc&expand=False").unwrap(),
            (vec!["a".to_owned(), "b/c".to_owned()], Answer::No)
        );
        assert_eq!(
            asked_paths(br#"{"paths":["a"],"expand":true}"#).unwrap(),
            (vec!["a".to_owned()], Answer::Yes)
        );
    }
}
