//! What results have to be.

use std::sync::Arc;

use super::facet::Facet;

/// A narrowing of all models; empty, it lets every one pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Filter {
    /// Words that all occur in the name, in lower case.
    words: Vec<String>,
    /// Organisation or user, in lower case.
    org: Option<String>,
    /// Values of facets, at most one of each.
    picks: Vec<(Facet, String)>,
    /// Tags, languages, libraries or tasks, all of them.
    tags: Vec<String>,
    /// The only models that may pass, ascending by number.
    only: Option<Arc<[i64]>>,
    /// More than a name.
    real: bool,
}

impl Filter {
    /// Only names that hold every word of `text`, in any case.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.words = text.split_whitespace().map(str::to_ascii_lowercase).collect();
        self.words.sort_unstable();
        self.words.dedup();
        self
    }

    /// Only models of this organisation or user.
    #[must_use]
    pub fn org(mut self, org: Option<&str>) -> Self {
        self.org = org.map(str::to_lowercase);
        self
    }

    /// Only models with this value.
    #[must_use]
    pub fn pick(mut self, facet: Facet, value: Option<&str>) -> Self {
        self.picks.retain(|(known, _)| *known != facet);
        self.picks.extend(value.map(|value| (facet, facet.normal(value))));
        self.picks.sort_unstable();
        self
    }

    /// Only models with all these tags.
    #[must_use]
    pub fn tags(mut self, tags: &[String]) -> Self {
        self.tags = tags.to_vec();
        self.tags.sort_unstable();
        self.tags.dedup();
        self
    }

    /// Only these models; of several such lists those in all.
    #[must_use]
    pub fn only(mut self, mut ids: Vec<i64>) -> Self {
        if let Some(before) = &self.only {
            ids.retain(|id| before.binary_search(id).is_ok());
        }
        ids.sort_unstable();
        ids.dedup();
        self.only = Some(ids.into());
        self
    }

    /// Only models that are more than a name.
    #[must_use]
    pub fn real(mut self) -> Self {
        self.real = true;
        self
    }

    /// The value of a facet that is asked for.
    pub fn picked(&self, facet: Facet) -> Option<&str> {
        self.picks.iter().find(|(known, _)| *known == facet).map(|(_, value)| value.as_str())
    }

    /// The name that is looked for, where the text is one word.
    pub(super) fn name(&self) -> Option<&str> {
        match self.words.as_slice() {
            [name] => Some(name),
            _ => None,
        }
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    pub(super) fn wanted_org(&self) -> Option<&str> {
        self.org.as_deref()
    }

    pub(super) fn wanted_ids(&self) -> Option<&[i64]> {
        self.only.as_deref()
    }

    pub(super) const fn wants_real(&self) -> bool {
        self.real
    }

    pub(super) fn wanted_tags(&self) -> &[String] {
        &self.tags
    }
}
