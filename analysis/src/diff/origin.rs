//! What the file of a difference says of the models that it was taken of.

use std::{collections::BTreeMap, sync::Arc};

use domain::Digest;
use serde::{Deserialize, Serialize};
use weights::TensorSource;

/// A model as the file of a difference names it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Its name, or the last part of the path of a folder.
    pub name: String,
    /// Of the revision, or of the stored tensors of a folder.
    pub digest: Option<Digest>,
    /// What its weights are, whatever it is called; empty where that is not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Ids of the models that its weights are made of: of an adapter on a base the base, then the adapter; of a folder none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

impl Told {
    /// Ids of its models. A file that lists none names a model of a registry with its organisation, and a folder without.
    pub fn ids(&self) -> Vec<&str> {
        match self.models.is_empty() {
            true => [self.name.as_str()].into_iter().filter(|name| name.contains('/')).collect(),
            false => self.models.iter().map(String::as_str).collect(),
        }
    }

    /// Whether the two are the same model; none where one of them says too little.
    pub fn is(&self, other: &Self) -> Option<bool> {
        if !self.content.is_empty() && !other.content.is_empty() {
            return Some(self.content == other.content);
        }
        self.digest.zip(other.digest).map(|(own, other)| own == other)
    }
}

/// The two models that a difference was taken of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Taken {
    pub tuned: Told,
    pub base: Told,
}

impl Taken {
    /// What the metadata of a file says, of a shared difference that of one member. None where it says nothing that can be read.
    pub fn read(metadata: &BTreeMap<String, String>, member: Option<&str>) -> Option<Self> {
        let base = serde_json::from_str(metadata.get("base")?).ok()?;
        let tuned = match member {
            None => serde_json::from_str(metadata.get("tuned")?).ok()?,
            Some(member) => {
                let members: Vec<Told> = serde_json::from_str(metadata.get("members")?).ok()?;
                members.into_iter().find(|told| told.name == member)?
            }
        };
        Some(Self { tuned, base })
    }
}

/// A difference whose file says what it was taken of, under `tuned` and `base` of its metadata; everything else is that of `source`.
pub struct Recorded {
    pub source: Arc<dyn TensorSource>,
    pub taken: Taken,
}

impl TensorSource for Recorded {
    weights::forward!(
        source; tensors, read_bytes, read_f32, ready, view, read_unrounded, account, cautions, position
    );

    fn metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = self.source.metadata();
        for (key, told) in [("tuned", &self.taken.tuned), ("base", &self.taken.base)] {
            // Strings, digests and lists of strings always serialise.
            metadata.insert(key.to_owned(), serde_json::to_string(told).unwrap_or_default());
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Telling, hears};

    fn told(name: &str) -> Told {
        Told { name: name.to_owned(), ..Told::default() }
    }

    #[test]
    fn a_file_without_a_record_or_with_one_that_is_no_json_says_nothing() {
        let with = |pairs: &[(&str, &str)]| {
            let metadata =
                pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            Taken::read(&metadata, None)
        };

        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("base", "{"), ("tuned", "{}")]), None);
        assert_eq!(with(&[("base", "[1]"), ("tuned", r#"{"name":"a/b"}"#)]), None);
        let read = with(&[("base", r#"{"name":"a/b"}"#), ("tuned", r#"{"name":"a/c","license":"mit"}"#)]);
        let read = read.unwrap();
        assert_eq!((read.tuned.name.as_str(), read.tuned.license.as_deref()), ("a/c", Some("mit")));
    }

    #[test]
    fn a_member_is_told_by_its_name_and_a_folder_is_no_model() {
        let metadata = BTreeMap::from([
            ("base".to_owned(), r#"{"name":"folder"}"#.to_owned()),
            ("members".to_owned(), r#"[{"name":"a/x"},{"name":"a/y","relative_error":0.1}]"#.to_owned()),
        ]);

        let taken = Taken::read(&metadata, Some("a/y")).unwrap();

        assert_eq!(taken.tuned.ids(), ["a/y"]);
        assert!(taken.base.ids().is_empty());
        assert_eq!(Taken::read(&metadata, Some("a/z")), None);
        assert_eq!(Taken::read(&metadata, None), None);
    }

    #[test]
    fn models_are_the_same_by_content_before_digest_and_unknown_without_either() {
        let content = |content: &str| Told { content: content.to_owned(), ..told("a") };
        let digest = |text: &str| Told { digest: Some(Digest::of(text.as_bytes())), ..told("a") };

        assert_eq!(content("x").is(&content("x")), Some(true));
        assert_eq!(content("x").is(&content("y")), Some(false));
        assert_eq!(digest("x").is(&Told { content: "c".to_owned(), ..digest("x") }), Some(true));
        assert_eq!(digest("x").is(&content("x")), None);
    }

    #[test]
    fn what_a_difference_says_is_heard_beside_its_record() {
        let taken = Taken { tuned: told("a/b"), base: told("a/c") };

        let recorded = Recorded { source: Telling::shared(), taken };

        hears(&recorded);
        assert!(recorded.metadata()["tuned"].contains("a/b"));
    }
}
