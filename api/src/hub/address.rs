//! `/api/models/…` taken apart: which repository, what about it, and the rest.

use http::{Problem, Result};
use jobs::Registry;

/// What an address asks about a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Info,
    Revision,
    Tree,
    PathsInfo,
    Refs,
    Commits,
    Branch,
    Tag,
    AuthCheck,
    Settings,
    AccessRequest,
    AskAccess,
    Preupload,
    Commit,
    Resolve,
    SafetensorsMetadata,
    XetWriteToken,
    XetReadToken,
}

const VERBS: [(&str, Verb); 17] = [
    ("revision", Verb::Revision),
    ("tree", Verb::Tree),
    ("paths-info", Verb::PathsInfo),
    ("refs", Verb::Refs),
    ("commits", Verb::Commits),
    ("branch", Verb::Branch),
    ("tag", Verb::Tag),
    ("auth-check", Verb::AuthCheck),
    ("settings", Verb::Settings),
    ("user-access-request", Verb::AccessRequest),
    ("ask-access", Verb::AskAccess),
    ("preupload", Verb::Preupload),
    ("commit", Verb::Commit),
    ("resolve", Verb::Resolve),
    ("safetensors-metadata", Verb::SafetensorsMetadata),
    ("xet-write-token", Verb::XetWriteToken),
    ("xet-read-token", Verb::XetReadToken),
];

fn verb(word: &str) -> Option<Verb> {
    VERBS.iter().find(|(known, _)| *known == word).map(|(_, verb)| *verb)
}

/// An address taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    pub id: String,
    pub verb: Verb,
    pub rest: Vec<String>,
}

/// Takes apart what follows `/api/models/`.
///
/// # Errors
/// 404 for an address that the Hub does not have either.
pub async fn split(registry: &Registry, tail: &str) -> Result<Place> {
    let parts: Vec<&str> = tail.trim_end_matches('/').split('/').collect();
    // `gpt2/refs` may be the refs of `gpt2` or a model of that very name.
    if let [org, name] = parts[..]
        && verb(name).is_some()
        && registry.store.model_by_id(&format!("{org}/{name}")).await?.is_some_and(|row| !row.ghost)
    {
        return Ok(Place { id: format!("{org}/{name}"), verb: Verb::Info, rest: Vec::new() });
    }
    read(&parts).ok_or_else(|| Problem::not_found(format!("the address `/api/models/{tail}`")))
}

fn read(parts: &[&str]) -> Option<Place> {
    let owned = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
    match parts {
        [org, name, word, rest @ ..] if verb(word).is_some() => {
            Some(Place { id: format!("{org}/{name}"), verb: verb(word)?, rest: owned(rest) })
        }
        [name, word, rest @ ..] if verb(word).is_some() => {
            Some(Place { id: (*name).to_owned(), verb: verb(word)?, rest: owned(rest) })
        }
        [name] if !name.is_empty() => {
            Some(Place { id: (*name).to_owned(), verb: Verb::Info, rest: Vec::new() })
        }
        [org, name] => Some(Place { id: format!("{org}/{name}"), verb: Verb::Info, rest: Vec::new() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_and_of_two_parts_are_told_apart_by_the_verb_that_follows() {
        let place =
            |text: &str| read(&text.split('/').collect::<Vec<_>>()).map(|p| (p.id, p.verb, p.rest.join("/")));
        let is = |id: &str, verb, rest: &str| Some((id.to_owned(), verb, rest.to_owned()));

        assert_eq!(place("gpt2"), is("gpt2", Verb::Info, ""));
        assert_eq!(place("a/b"), is("a/b", Verb::Info, ""));
        assert_eq!(place("gpt2/tree/main/x/y"), is("gpt2", Verb::Tree, "main/x/y"));
        assert_eq!(place("a/b/tree/main/x/y"), is("a/b", Verb::Tree, "main/x/y"));
        assert_eq!(place("a/tree/tree/main"), is("a/tree", Verb::Tree, "main"));
        assert_eq!(place("a/b/resolve/main/commit/f"), is("a/b", Verb::Resolve, "main/commit/f"));
        assert_eq!(place("a/b/nonsense"), None);
    }
}
