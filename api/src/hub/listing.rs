//! The files of a revision in the order of git's trees, and the folders that they lie in.

use std::fmt::Write as _;

use store::FileRow;

use super::answer::hex_of;

/// Files of a revision, by the bytes of their paths: those of a folder stand together.
pub struct Listing(Vec<FileRow>);

impl Listing {
    pub fn of(mut files: Vec<FileRow>) -> Self {
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Self(files)
    }

    /// The file at a path.
    pub fn file(&self, path: &str) -> Option<&FileRow> {
        let at = self.0.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.0.get(at)
    }

    /// Everything in a folder, however deep; all files where it is the root, an empty path.
    pub fn below(&self, folder: &str) -> &[FileRow] {
        let prefix = prefix(folder);
        let from = self.0.partition_point(|file| file.path.as_str() < prefix.as_str());
        let rest = self.0.get(from..).unwrap_or_default();
        let count = rest.partition_point(|file| file.path.starts_with(&prefix));
        rest.get(..count).unwrap_or_default()
    }

    /// The folders that `wanted` picks, each asked about once before those in it, with an id made of what lies below.
    pub fn folders<'a>(
        &'a self,
        below: &str,
        mut wanted: impl FnMut(&'a str) -> bool,
    ) -> Vec<(&'a str, String)> {
        let top = prefix(below).len();
        let (mut found, mut open) = (Vec::new(), Vec::<Open<'a>>::new());
        for file in self.below(below) {
            let path = file.path.as_str();
            while open.last().is_some_and(|last| !lies_in(path, last.path)) {
                close(&mut open, &mut found);
            }
            let start = open.last().map_or(top, |last| last.path.len() + 1);
            for (at, _) in path[start..].match_indices('/') {
                let folder = &path[..start + at];
                let place = wanted(folder).then(|| {
                    found.push((folder, String::new()));
                    found.len() - 1
                });
                // An id is made of those below it, so they are needed where it is.
                let needed = place.is_some() || open.last().is_some_and(|last| last.children.is_some());
                open.push(Open { path: folder, place, children: needed.then(String::new) });
            }
            tell_parent(&mut open, path, &file.digest.to_string());
        }
        while !open.is_empty() {
            close(&mut open, &mut found);
        }
        found
    }
}

/// A folder whose files are being passed.
struct Open<'a> {
    path: &'a str,
    /// Its place among those found.
    place: Option<usize>,
    /// Names and ids of what lies in it, where its own id is needed.
    children: Option<String>,
}

fn close<'a>(open: &mut Vec<Open<'a>>, found: &mut [(&'a str, String)]) {
    let Some(Open { path, place, children: Some(children) }) = open.pop() else { return };
    let oid = hex_of(&children, 40);
    tell_parent(open, path, &oid);
    if let Some((_, id)) = place.and_then(|place| found.get_mut(place)) {
        *id = oid;
    }
}

fn tell_parent(open: &mut [Open<'_>], path: &str, oid: &str) {
    let name = path.rsplit('/').next().unwrap_or(path);
    if let Some(children) = open.last_mut().and_then(|last| last.children.as_mut()) {
        let _ = writeln!(children, "{name} {oid}");
    }
}

fn prefix(folder: &str) -> String {
    if folder.is_empty() { String::new() } else { format!("{folder}/") }
}

fn lies_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn listing(paths: &[&str]) -> Listing {
        let file = |path: &&str| FileRow {
            path: (*path).to_owned(),
            size: 1,
            digest: domain::Digest::of(path.as_bytes()),
        };
        Listing::of(paths.iter().map(file).collect())
    }

    #[test]
    fn every_folder_is_asked_about_once_and_before_those_in_it() {
        let files = listing(&["a/b/c", "a-b/x", "a/d", "z", "a/b/e/f"]);

        let found: Vec<&str> = files.folders("", |_| true).into_iter().map(|(path, _)| path).collect();

        assert_eq!(found, ["a-b", "a", "a/b", "a/b/e"]);
        let inside: Vec<&str> = files.folders("a", |_| true).into_iter().map(|(path, _)| path).collect();
        assert_eq!(inside, ["a/b", "a/b/e"]);
    }

    #[test]
    fn an_id_is_of_what_lies_below_and_the_same_whichever_others_are_asked_for() {
        let files = listing(&["a/b/c", "a/d", "e/f"]);
        let id = |files: &Listing, path: &str| files.folders("", |folder| folder == path)[0].1.clone();

        let all = files.folders("", |_| true);

        assert!(all.iter().all(|(path, oid)| *oid == id(&files, path)), "{all:?}");
        assert_eq!(id(&files, "a/b"), files.folders("a", |_| true)[0].1, "wherever the walk begins");
        let more = listing(&["a/b/c", "a/b/g", "a/d", "e/f"]);
        assert_ne!(id(&more, "a"), id(&files, "a"));
        assert_ne!(id(&more, "a/b"), id(&files, "a/b"));
        assert_eq!(id(&more, "e"), id(&files, "e"));
    }

    #[test]
    fn folders_are_made_for_those_asked_for_and_no_others() {
        let paths: Vec<String> = (0..1_000).map(|n| format!("{}/{}/file", n / 10, n)).collect();
        let files = listing(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        let asked = Cell::new(0);

        let found = files.folders("", |path| {
            asked.set(asked.get() + 1);
            path == "7/70"
        });

        assert_eq!((found.len(), found[0].0), (1, "7/70"));
        assert_eq!(asked.get(), 1_100, "100 folders and 1,000 in them");
    }

    #[test]
    fn a_file_is_found_by_its_whole_path_and_a_folder_by_its_own() {
        let files = listing(&["ab", "a/b", "a-/c", "a/b2", "b"]);

        assert_eq!(files.file("a/b").map(|file| file.path.as_str()), Some("a/b"));
        assert!(files.file("a").is_none());
        let below: Vec<&str> = files.below("a").iter().map(|file| file.path.as_str()).collect();
        assert_eq!(below, ["a/b", "a/b2"]);
        assert_eq!(files.below("").len(), 5);
        assert!(files.below("b").is_empty());
    }
}
