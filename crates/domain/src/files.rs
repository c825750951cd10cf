//! What the small files of a repository are called, and which of its files are weights.

pub const README: &str = "README.md";
pub const CONFIG: &str = "config.json";
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
pub const GENERATION_CONFIG: &str = "generation_config.json";
pub const TOKENIZER: &str = "tokenizer.json";
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// The recipe that merge tools leave beside their result.
pub const MERGE_RECIPE: &str = "mergekit_config.yml";
/// The folder of results of evaluations.
pub const EVAL_RESULTS: &str = ".eval_results";
pub const INDEX: &str = "model.safetensors.index.json";

/// Whether the file of this path is read as weights: its name ends in `.safetensors`, written so. The libraries that load
/// models do not know the ending in capitals either.
pub fn is_weights(path: &str) -> bool {
    path.ends_with(".safetensors")
}

/// How a file begins, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    pub bytes: Vec<u8>,
    /// Bytes of the whole file.
    pub size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_end_in_safetensors_written_small() {
        assert!(is_weights("model.safetensors") && is_weights("unet/part-1.safetensors"));
        for other in ["model.SAFETENSORS", "model.safetensors.index.json", "safetensors", "model.bin"] {
            assert!(!is_weights(other), "{other}");
        }
    }
}
