//! Questions to the catalogue and the rows that answer them.

use domain::Relation;

use super::{LicenceClass, Name, Parameters, When};

/// The size of the catalogue.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Models known with metadata.
    pub models: u64,
    /// Models only named as a parent by others.
    pub ghosts: u64,
    /// Accepted parent-child edges.
    pub edges: u64,
    /// Models whose weights are stored here.
    pub with_weights: u64,
    /// Jobs waiting or running.
    pub jobs_queued: u64,
}

/// The order of search results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    #[default]
    Downloads,
    Likes,
    Created,
    Name,
}

impl Sort {
    /// Every order with its word and label.
    pub const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Downloads, "downloads", "most downloads"),
        (Self::Likes, "likes", "most likes"),
        (Self::Created, "created", "newest"),
        (Self::Name, "name", "name"),
    ];

    /// The word in the address.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(sort, ..)| *sort == self).map_or("downloads", |(_, word, _)| word)
    }

    /// Reads the word; anything unknown is the default.
    pub fn read(word: &str) -> Self {
        Self::ALL.iter().find(|(_, known, _)| *known == word).map_or_else(Self::default, |(sort, ..)| *sort)
    }
}

/// One search, as the address states it.
#[derive(Debug, Clone, Default)]
pub struct SearchQuery {
    pub text: Option<String>,
    pub org: Option<String>,
    pub license: Option<String>,
    pub pipeline_tag: Option<String>,
    pub library: Option<String>,
    pub relation: Option<Relation>,
    pub has_weights: Option<bool>,
    pub sort: Sort,
    pub cursor: Option<String>,
    pub limit: u32,
}

/// One page of results.
#[derive(Debug, Clone, Default)]
pub struct SearchPage {
    pub items: Vec<Found>,
    /// Cursor of the next page.
    pub next: Option<String>,
}

/// One model among the results.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub name: Name,
    pub ghost: bool,
    /// The primary parent and how the model descends from it.
    pub parent: Option<(Relation, Name)>,
    pub parameters: Option<u64>,
    pub license: Option<String>,
    pub pipeline_tag: Option<String>,
    pub library: Option<String>,
    pub downloads: Option<u64>,
    pub likes: Option<u64>,
    pub created_at: Option<i64>,
    pub has_weights: bool,
}

impl Found {
    pub(crate) fn licence_class(&self) -> LicenceClass {
        LicenceClass::of(self.license.as_deref())
    }

    /// Task, library, size and date, joined for one line.
    pub(crate) fn aside(&self) -> String {
        let mut parts: Vec<String> =
            [&self.pipeline_tag, &self.library].into_iter().flatten().cloned().collect();
        parts.extend(self.parameters.map(|n| format!("{} parameters", Parameters(n))));
        parts.extend(self.created_at.map(|at| format!("created {}", When(at))));
        parts.join(" · ")
    }
}
