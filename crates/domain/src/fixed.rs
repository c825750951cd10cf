//! Bounds that nobody sets: what is over them is refused or cut wherever the service runs.

use serde::Serialize;

/// Bounds that are the same everywhere; told beside the limits, under `fixed`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Fixed {
    /// Longest path of a file, bytes.
    pub path_bytes: usize,
    /// Longest part of one, bytes.
    pub path_part_bytes: usize,
    /// Most parts of one; every file of a listing may lie in as many folders of its own.
    pub path_parts: usize,
    /// Deepest nesting of a JSON document of a checkpoint.
    pub json_depth: usize,
    /// Deepest nesting of a card's front matter.
    pub card_depth: usize,
    /// Most values in one.
    pub card_values: usize,
    /// Most aliases, and most anchors, in one.
    pub card_aliases: usize,
    /// Most tags, files, languages or datasets kept of one model.
    pub metadata_values: usize,
    /// Most bytes of a tag, a language, a dataset, a licence or an author.
    pub metadata_text_bytes: usize,
    /// Most parents of one model that are read of its card or its record.
    pub stated_parents: usize,
    /// Most results of evaluations that are read of one card.
    pub evaluations: usize,
    /// Most models that one import brings in with their parents.
    pub import_models: usize,
    /// Most models that a search orders by their kinship to one.
    pub ordered_by_kinship: usize,
    /// Seconds in which the head of a request has to come.
    pub head_seconds: u64,
}

/// These bounds.
pub const FIXED: Fixed = Fixed {
    path_bytes: 1_024,
    path_part_bytes: 255,
    path_parts: 64,
    json_depth: 64,
    card_depth: 64,
    card_values: 100_000,
    card_aliases: 1_000,
    metadata_values: 4_000,
    metadata_text_bytes: 300,
    stated_parents: 500,
    evaluations: 200,
    import_models: 1_000,
    ordered_by_kinship: 1_000,
    head_seconds: 5,
};
