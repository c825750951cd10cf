//! A pasted address of a model's page, here or on the Hub, as the id that it is about.

use domain::RepoId;

use super::normalise::{HOSTS, modernise};

/// What a pasted address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed {
    pub id: RepoId,
    /// A branch, tag or commit, where the address is of one.
    pub revision: Option<String>,
}

impl Addressed {
    /// `org/name`, or `org/name@revision`.
    pub fn told(&self) -> String {
        match &self.revision {
            Some(revision) => format!("{}@{revision}", self.id),
            None => self.id.to_string(),
        }
    }
}

/// Reads an address of the Hub, with its scheme or without, or of any other host with it: of that a link is moved by changing
/// the host. None for what is no address, or of nothing that is a model.
pub fn addressed(text: &str) -> Option<Addressed> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let scheme = ["https://", "http://"].into_iter().find(|scheme| lower.starts_with(scheme));
    let rest = &text[scheme.map_or(0, str::len)..];
    let on_hub = HOSTS.iter().any(|host| lower[lower.len() - rest.len()..].starts_with(host));
    if scheme.is_none() && !on_hub {
        return None;
    }
    let (_, path) = rest.split_once('/')?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.strip_prefix("models/").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let id = match parts.as_slice() {
        [name] => RepoId::parse(name).ok()?,
        [org, name, ..] => RepoId::parse(&format!("{org}/{name}")).ok()?,
        [] => return None,
    };
    let other = ["datasets", "spaces", "collections", "papers", "blog", "learn"];
    if id.is_reserved() || id.org().is_some_and(|org| other.contains(&org.to_ascii_lowercase().as_str())) {
        return None;
    }
    let revision = match parts.get(2..) {
        Some(["tree" | "blob" | "resolve" | "raw" | "commit", revision, ..]) if *revision != "main" => {
            Some((*revision).to_owned())
        }
        _ => None,
    };
    Some(Addressed { id: modernise(id), revision })
}

#[cfg(test)]
mod tests {
    use super::addressed;

    #[test]
    fn an_address_of_a_model_is_its_id_and_anything_else_is_none() {
        for (text, id) in [
            ("https://huggingface.co/mandoc/scribe-v1", "mandoc/scribe-v1"),
            (" HTTPS://HuggingFace.co/mandoc/scribe-v1/ ", "mandoc/scribe-v1"),
            ("hf.co/mandoc/scribe-v1?library=transformers#files", "mandoc/scribe-v1"),
            ("https://huggingface.co/mandoc/scribe-v1/tree/main", "mandoc/scribe-v1"),
            ("https://huggingface.co/mandoc/scribe-v1/blob/v2/config.json", "mandoc/scribe-v1@v2"),
            ("https://huggingface.co/gpt2", "openai-community/gpt2"),
            ("http://localhost:8080/mandoc/scribe-v1/lineage", "mandoc/scribe-v1"),
        ] {
            assert_eq!(addressed(text).map(|of| of.told()).as_deref(), Some(id), "{text}");
        }
        for other in [
            "mandoc/scribe-v1",
            "scribe",
            "https://huggingface.co/",
            "https://huggingface.co/datasets/a/b",
            "http://localhost:8080/kinship?of=a/b",
            "https://",
            "hf.com/a/b",
            "",
        ] {
            assert_eq!(addressed(other), None, "{other}");
        }
    }
}
