//! Questions to the catalogue and the rows that answer them.

use domain::Relation;

use super::{LicenceClass, Name, Parameters, When, plural};

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
    Created,
    Likes,
    Parameters,
    Name,
    /// To the pinned model.
    Kinship,
}

impl Sort {
    /// Every order with its word and label.
    pub const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Downloads, "downloads", "most downloads"),
        (Self::Created, "created", "newest"),
        (Self::Likes, "likes", "most likes"),
        (Self::Parameters, "parameters", "most parameters"),
        (Self::Name, "name", "name"),
        (Self::Kinship, "kinship", "nearest to the pinned"),
    ];

    /// The word in the address.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(sort, ..)| *sort == self).map_or("downloads", |(_, word, _)| word)
    }

    /// Reads the word.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == word).map(|(sort, ..)| *sort)
    }
}

/// What results can be narrowed by: the parameter of the address, and its title.
pub const FACETS: [(&str, &str); 9] = [
    ("relation", "Descends by"),
    ("architecture", "Architecture"),
    ("size", "Size"),
    ("dtype", "Number format"),
    ("license", "Licence"),
    ("task", "Task"),
    ("library", "Library"),
    ("weights", "Weights"),
    ("kinship", "Kinship"),
];

/// A value of a facet as people read it.
pub(crate) fn facet_label(facet: &str, value: &str) -> String {
    let text = match (facet, value) {
        ("size", "under-100m") => "under 100M",
        ("size", "100m-1b") => "100M to 1B",
        ("size", "1b-4b") => "1B to 4B",
        ("size", "4b-10b") => "4B to 10B",
        ("size", "10b-40b") => "10B to 40B",
        ("size", "over-40b") => "40B and more",
        ("weights", "yes") => "stored here",
        ("weights", "no") => "not here",
        ("kinship", "yes") => "sketched",
        ("kinship", "no") => "no sketches",
        (_, value) => value,
    };
    text.to_owned()
}

/// One search, as the address states it.
#[derive(Debug, Clone, Default)]
pub struct SearchQuery {
    pub text: Option<String>,
    pub org: Option<String>,
    pub tags: Vec<String>,
    /// Values of [`FACETS`] by parameter.
    pub picks: Vec<(&'static str, String)>,
    pub sort: Sort,
    /// Whose kin come first where results are sorted by kinship.
    pub pin: Option<String>,
    pub cursor: Option<String>,
    pub limit: u32,
}

impl SearchQuery {
    /// The tensor that is looked for, where the text is `tensor:` and its name.
    pub fn tensor(&self) -> Option<&str> {
        tensor_of(self.text.as_deref()?)
    }
}

/// The name after `tensor:`.
pub(crate) fn tensor_of(text: &str) -> Option<&str> {
    let text = text.trim();
    let name = text.get(..7).filter(|word| word.eq_ignore_ascii_case("tensor:")).map(|_| text[7..].trim());
    name.filter(|name| !name.is_empty())
}

/// How many models have each value of a facet.
#[derive(Debug, Clone, Default)]
pub struct FacetGroup {
    /// The parameter of [`FACETS`].
    pub facet: &'static str,
    /// The most frequent values first.
    pub values: Vec<(String, u64)>,
    /// Values that are not listed.
    pub more: u64,
}

/// One page of results.
#[derive(Debug, Clone, Default)]
pub struct SearchPage {
    pub items: Vec<Found>,
    /// Cursor of the next page.
    pub next: Option<String>,
    /// Models on all pages, where that is known.
    pub total: Option<u64>,
    /// Names of tensors that somebody holds, where nobody holds the one looked for.
    pub near: Vec<String>,
    /// Facets that any of the models have.
    pub facets: Vec<FacetGroup>,
}

/// One model among the results.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub name: Name,
    pub ghost: bool,
    /// The primary parent and how the model descends from it.
    pub parent: Option<(Relation, Name)>,
    /// Parents beyond the primary one.
    pub more_parents: u64,
    pub parameters: Option<u64>,
    pub license: Option<String>,
    pub pipeline_tag: Option<String>,
    pub library: Option<String>,
    pub downloads: Option<u64>,
    pub likes: Option<u64>,
    pub created_at: Option<i64>,
    pub has_weights: bool,
    /// Whether the weights bear a claimed parent out, or contradict one; none says nothing.
    pub verified: Option<bool>,
    /// An advisory in force reaches it.
    pub advised: bool,
    /// Only members of its namespace see it.
    pub private: bool,
    /// Its files are only for those who were let in.
    pub gated: bool,
    /// About the cosine of its weights with those of the pinned model.
    pub kinship: Option<f32>,
}

impl Found {
    pub(crate) fn licence_class(&self) -> LicenceClass {
        LicenceClass::of(self.license.as_deref())
    }

    /// How often it is downloaded and liked, where somebody counts.
    pub(crate) fn counted(&self) -> Vec<String> {
        let downloads = self.downloads.map(|count| plural(count, "download", "downloads"));
        downloads.into_iter().chain(self.likes.map(|count| plural(count, "like", "likes"))).collect()
    }

    /// Licence, task, library, size and date, joined for one line.
    pub(crate) fn aside(&self) -> String {
        let mut parts = vec![self.license.clone().unwrap_or_else(|| "licence unknown".to_owned())];
        parts.extend([&self.pipeline_tag, &self.library].into_iter().flatten().cloned());
        parts.extend(self.parameters.map(|n| format!("{} parameters", Parameters(n))));
        parts.extend(self.created_at.map(|at| format!("created {}", When(at))));
        parts.join(" · ")
    }
}
