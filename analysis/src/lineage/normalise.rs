//! From a parent as written (URL, quoted, bulleted, with a path) to a repository id.

use domain::RepoId;

pub(super) const HOSTS: [&str; 4] = ["huggingface.co/", "www.huggingface.co/", "hf.co/", "www.hf.co/"];
/// Words found where an id should stand.
const WORDS: [&str; 14] = [
    "merge",
    "mergekit",
    "none",
    "null",
    "nan",
    "n/a",
    "na",
    "unknown",
    "scratch",
    "custom",
    "true",
    "false",
    "base_model",
    "model",
];
/// Bare ids of the Hub's first years, which moved under an organisation.
const LEGACY: [(&str, &[&str]); 7] = [
    (
        "openai-community",
        &["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "openai-gpt", "roberta-base-openai-detector"],
    ),
    (
        "google-bert",
        &[
            "bert-base-uncased",
            "bert-base-cased",
            "bert-large-uncased",
            "bert-large-cased",
            "bert-base-chinese",
            "bert-base-multilingual-cased",
            "bert-base-multilingual-uncased",
            "bert-base-german-cased",
            "bert-large-uncased-whole-word-masking",
            "bert-large-cased-whole-word-masking",
        ],
    ),
    (
        "distilbert",
        &[
            "distilbert-base-uncased",
            "distilbert-base-cased",
            "distilbert-base-multilingual-cased",
            "distilbert-base-uncased-finetuned-sst-2-english",
            "distilgpt2",
            "distilroberta-base",
        ],
    ),
    (
        "FacebookAI",
        &["roberta-base", "roberta-large", "xlm-roberta-base", "xlm-roberta-large", "roberta-large-mnli"],
    ),
    ("google-t5", &["t5-small", "t5-base", "t5-large", "t5-3b", "t5-11b"]),
    (
        "albert",
        &["albert-base-v1", "albert-base-v2", "albert-large-v2", "albert-xlarge-v2", "albert-xxlarge-v2"],
    ),
    ("xlnet", &["xlnet-base-cased", "xlnet-large-cased"]),
];

/// Reads a repository id from what people write in its place.
///
/// Trims blanks, quotes and list bullets; strips Hub URLs with their `/tree/…`, query and fragment.
///
/// # Errors
/// Why it is no id, for a note to the reader.
pub fn normalise(raw: &str) -> Result<RepoId, String> {
    let mut text = raw.trim();
    for bullet in ["- ", "* ", "\u{2022} "] {
        text = text.strip_prefix(bullet).unwrap_or(text);
    }
    text = text
        .trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | '[' | ']'));
    if text.is_empty() {
        return Err("the parent is empty; expected `org/name`".to_owned());
    }
    let (path, is_url) = strip_host(text)?;
    let path = path.split(['?', '#']).next().unwrap_or(path);
    // Tools write `org/name@revision`.
    let path = path.split_once('@').map_or(path, |(id, _)| if id.contains('/') { id } else { path });
    let path = cut_at_any(path, &["/tree/", "/blob/", "/resolve/", "/raw/", "/discussions", "/commit/"]);
    let path =
        path.strip_prefix("models/").filter(|_| is_url || path.matches('/').count() > 1).unwrap_or(path);
    let path = path.trim_end_matches('/');
    if path.starts_with(['/', '.', '~']) || path.contains('\\') {
        return Err(format!("`{}` is a local path; expected `org/name`", clip(raw)));
    }
    if WORDS.contains(&path.to_ascii_lowercase().as_str()) {
        return Err(format!("`{path}` is a word, not a model id; expected `org/name`"));
    }
    RepoId::parse(path).map_err(|error| error.to_string())
}

/// The model that somebody names as people do, an id of the Hub's first years under its organisation.
///
/// # Errors
/// Why it is no id, as of [`normalise`].
pub fn identify(raw: &str) -> Result<RepoId, String> {
    normalise(raw).map(modernise)
}

/// The model that a file of a checkpoint names: as of [`identify`], else the end of a local path.
pub fn located(raw: &str) -> Option<RepoId> {
    identify(raw).ok().or_else(|| from_local_path(raw))
}

/// The present id of a legacy id without organisation; others come back unchanged.
pub(super) fn modernise(id: RepoId) -> RepoId {
    if id.org().is_some() {
        return id;
    }
    let key = id.key();
    let found = LEGACY.iter().find(|(_, names)| names.contains(&key.as_str()));
    found.and_then(|(org, _)| RepoId::parse(&format!("{org}/{key}")).ok()).unwrap_or(id)
}

/// The last two parts of a local path, when they look like an id.
pub(super) fn from_local_path(raw: &str) -> Option<RepoId> {
    let text = raw.trim().trim_end_matches(['/', '\\']);
    let parts: Vec<&str> =
        text.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | ".." | "~")).collect();
    if parts.iter().any(|part| part.starts_with("models--")) {
        return cached(text);
    }
    let [.., org, name] = parts.as_slice() else { return None };
    RepoId::parse(&format!("{org}/{name}")).ok()
}

/// The id in a path of the Hub's cache, which spells it `models--org--name`.
pub(crate) fn cached(path: &str) -> Option<RepoId> {
    let name = path.split(['/', '\\']).find_map(|part| part.strip_prefix("models--"))?;
    RepoId::parse(&name.replacen("--", "/", 1)).ok()
}

fn strip_host(text: &str) -> Result<(&str, bool), String> {
    let lower = text.to_ascii_lowercase();
    let scheme =
        ["https://", "http://"].into_iter().find(|scheme| lower.starts_with(scheme)).map_or(0, str::len);
    let (rest, rest_lower) = (&text[scheme..], &lower[scheme..]);
    match HOSTS.into_iter().find(|host| rest_lower.starts_with(host)) {
        Some(host) => Ok((&rest[host.len()..], true)),
        None if scheme > 0 => Err(format!("`{}` points outside the Hub; expected `org/name`", clip(text))),
        None => Ok((rest, false)),
    }
}

fn cut_at_any<'a>(path: &'a str, marks: &[&str]) -> &'a str {
    let end = marks.iter().filter_map(|mark| path.find(mark)).min().unwrap_or(path.len());
    &path[..end]
}

fn clip(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_in_whatever_people_write() {
        for (raw, id) in [
            ("org/name", "org/name"),
            ("  'org/name' ", "org/name"),
            ("- 01-ai/Yi-6B", "01-ai/Yi-6B"),
            ("https://huggingface.co/org/name/tree/main?x=1#top", "org/name"),
            ("HTTP://www.HuggingFace.co/Org/Name/", "Org/Name"),
            ("hf.co/org/name/blob/main/README.md", "org/name"),
            ("org/name@refs/pr/1", "org/name"),
            ("https://huggingface.co/models/org/name", "org/name"),
            ("gpt2", "gpt2"),
        ] {
            assert_eq!(normalise(raw).unwrap().as_str(), id, "{raw}");
        }
    }

    #[test]
    fn words_paths_and_foreign_addresses_are_no_ids() {
        for raw in [
            "",
            "merge",
            "Mergekit",
            "/home/u/models/x",
            "./base",
            "a b",
            "https://example.org/a/b",
            "a/b/c",
            "é/x",
            "\"",
        ] {
            assert!(normalise(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn legacy_ids_move_under_their_organisation() {
        assert_eq!(modernise(normalise("gpt2").unwrap()).as_str(), "openai-community/gpt2");
        assert_eq!(modernise(normalise("my-gpt").unwrap()).as_str(), "my-gpt");
    }

    #[test]
    fn a_local_path_yields_its_last_two_parts() {
        assert_eq!(from_local_path("/home/u/models/org/name/").unwrap().as_str(), "org/name");
        assert_eq!(from_local_path("C:\\m\\org\\name").unwrap().as_str(), "org/name");
        assert_eq!(from_local_path("/c/hub/models--org--name/snapshots/abc").unwrap().as_str(), "org/name");
        assert!(from_local_path("./base").is_none());
    }
}
