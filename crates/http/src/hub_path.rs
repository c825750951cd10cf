//! `/api/models/…` taken apart: which repository, what about it, and the rest. The gate and the handlers behind it read
//! addresses by this alone, so that none is taken for another by either.

use percent_encoding::percent_decode_str;

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
    Discussions,
    LfsFiles,
    SuperSquash,
    Resolve,
    SafetensorsMetadata,
    XetWriteToken,
    XetReadToken,
}

const VERBS: [(&str, Verb); 20] = [
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
    ("discussions", Verb::Discussions),
    ("lfs-files", Verb::LfsFiles),
    ("super-squash", Verb::SuperSquash),
    ("resolve", Verb::Resolve),
    ("safetensors-metadata", Verb::SafetensorsMetadata),
    ("xet-write-token", Verb::XetWriteToken),
    ("xet-read-token", Verb::XetReadToken),
];

/// What a part of an address asks, if it is the word for something.
pub fn verb(word: &str) -> Option<Verb> {
    VERBS.iter().find(|(known, _)| *known == word).map(|(_, verb)| *verb)
}

/// An address taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    pub id: String,
    pub verb: Verb,
    pub rest: Vec<String>,
}

/// Parts between slashes, each decoded after the cut; some clients encode the slash of an id too.
pub fn parts(tail: &str) -> Vec<String> {
    let plain = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let (id, rest) = tail.split_once('/').map_or((tail, None), |(id, rest)| (id, Some(rest)));
    let mut found: Vec<String> = plain(id).split('/').map(str::to_owned).collect();
    found.extend(rest.iter().flat_map(|rest| rest.trim_end_matches('/').split('/')).map(plain));
    while found.len() > 1 && found.last().is_some_and(String::is_empty) {
        found.pop();
    }
    found
}

/// Takes apart what follows `/api/models/`, cut into its [`parts`]; none for an address that the Hub does not have either.
pub fn read(parts: &[&str]) -> Option<Place> {
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

    #[test]
    fn an_encoded_slash_belongs_to_the_part_it_stands_in() {
        assert_eq!(parts("a/b/tree/dev%2Fx/y z%25/"), ["a", "b", "tree", "dev/x", "y z%"]);
        assert_eq!(parts("a%2Fb/refs"), ["a", "b", "refs"]);
        assert_eq!(parts("gpt2//"), ["gpt2"]);
    }
}
