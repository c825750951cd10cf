//! The fields that are read of a model's record, each by all its names; tables are decoded in these columns alone.

/// Declares fields by their names, and the list of all of them.
macro_rules! columns {
    ($($name:ident = [$($spelling:literal),+ $(,)?];)+) => {
        $(pub const $name: &[&str] = &[$($spelling),+];)+
        const ALL: &[&[&str]] = &[$($name),+];
    };
}

columns! {
    ID = ["id", "modelId", "model_id", "repo_id", "model_name", "selected_model"];
    AUTHOR = ["author", "owner"];
    SHA = ["sha"];
    CREATED = ["createdAt", "created_at"];
    MODIFIED = ["lastModified", "last_modified"];
    DOWNLOADS = ["downloads"];
    LIKES = ["likes"];
    PRIVATE = ["private"];
    GATED = ["gated"];
    DISABLED = ["disabled"];
    TAGS = ["tags"];
    LICENSE = ["license", "licenses"];
    LICENSE_NAME = ["license_name"];
    TASK = ["pipeline_tag", "pipelineTag", "pipeline"];
    LIBRARY = ["library_name", "libraryName", "library"];
    LANGUAGES = ["language", "languages"];
    DATASETS = ["datasets", "dataset"];
    NEW_VERSION = ["new_version"];
    CARD = ["_card", "card", "readme", "modelCard", "model_card"];
    FRONT_MATTER = ["cardData", "card_data"];
    SAFETENSORS = ["safetensors"];
    GGUF = ["gguf"];
    PARAMETERS = ["parameters"];
    FILES = ["siblings", "files"];
    CONFIG = ["config"];
    RESOLVED = ["baseModels", "base_models"];
    NAMED = ["base_model", "baseModel"];
    PARENT = ["parent_model", "parents", "parent"];
    PARENT_RELATION = ["relation"];
    RELATION = ["base_model_relation", "baseModelRelation"];
    FINETUNED = ["finetune_parent"];
    QUANTIZED = ["quantized_parent"];
    ADAPTED = ["adapter_parent"];
    MERGED = ["merge_parent"];
}

/// Whether a column of a table of models is read.
pub fn is_read(column: &str) -> bool {
    ALL.iter().any(|names| names.contains(&column))
}
