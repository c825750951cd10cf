//! Which stored files something here reads, and why the others are never opened.

use crate::files::{
    ADAPTER_CONFIG, CONFIG, GENERATION_CONFIG, README, TOKENIZER, TOKENIZER_CONFIG, is_weights,
};

/// Files at the top of a repository that are read; beside them all weights and their index are.
const READ: [&str; 9] = [
    README,
    ADAPTER_CONFIG,
    "added_tokens.json",
    CONFIG,
    GENERATION_CONFIG,
    "stemma_provenance.json",
    TOKENIZER,
    TOKENIZER_CONFIG,
    "vocab.json",
];

const PICKLED: [&str; 11] =
    ["bin", "ckpt", "dill", "joblib", "npy", "npz", "pickle", "pkl", "pt", "pth", "th"];
const CODE: [&str; 12] = ["bat", "dll", "dylib", "exe", "ipynb", "jar", "js", "ps1", "py", "pyc", "sh", "so"];
const PACKED: [&str; 14] =
    ["7z", "bz2", "egg", "gz", "lz4", "nemo", "rar", "tar", "tgz", "whl", "xz", "zip", "zst", "keras"];
const OTHER_WEIGHTS: [&str; 14] = [
    "engine",
    "ggml",
    "gguf",
    "h5",
    "hdf5",
    "llamafile",
    "mlmodel",
    "msgpack",
    "onnx",
    "ot",
    "pb",
    "pdparams",
    // Written so, it is no ending of what is read.
    "safetensors",
    "tflite",
];

/// Whether a file of this path can be shown to a reader, who will see if it is text.
pub fn may_be_text(path: &str) -> bool {
    let opaque = [Uninspected::Pickled, Uninspected::Packed, Uninspected::OtherWeights];
    !is_weights(path) && Uninspected::of(path).is_none_or(|kind| !opaque.contains(&kind))
}

/// Why a stored file is hashed and listed, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uninspected {
    Pickled,
    Code,
    Packed,
    OtherWeights,
    Other,
}

impl Uninspected {
    /// Why nothing here looks into the file of this path inside its repository; none for one that is read.
    pub fn of(path: &str) -> Option<Self> {
        if READ.contains(&path) || is_weights(path) || path.ends_with(".safetensors.index.json") {
            return None;
        }
        let lower = path.to_ascii_lowercase();
        let ending =
            lower.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, end)| end);
        let kinds = [
            (&PICKLED[..], Self::Pickled),
            (&CODE[..], Self::Code),
            (&PACKED[..], Self::Packed),
            (&OTHER_WEIGHTS[..], Self::OtherWeights),
        ];
        let kind = kinds.into_iter().find(|(endings, _)| endings.contains(&ending));
        Some(kind.map_or(Self::Other, |(_, kind)| kind))
    }

    /// One word or two.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pickled => "may be pickled",
            Self::Code => "code",
            Self::Packed => "an archive",
            Self::OtherWeights => "another format",
            Self::Other => "not needed",
        }
    }

    /// The same in a sentence.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Pickled => {
                "Files of this kind may be pickled, and run code when they are loaded. It is stored and hashed, never \
                 opened here."
            }
            Self::Code => "Code is stored and hashed, never run here.",
            Self::Packed => "Archives are stored and hashed, never unpacked here.",
            Self::OtherWeights => {
                "Weights of this format are stored and hashed; only those in `.safetensors` are read here."
            }
            Self::Other => "Nothing here reads this file; it is stored and hashed.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Uninspected, may_be_text};

    #[test]
    fn what_is_never_opened_says_why_and_what_is_read_says_nothing() {
        for (path, why) in [
            ("pytorch_model.bin", Some(Uninspected::Pickled)),
            ("modeling_x.PY", Some(Uninspected::Code)),
            ("data/all.tar.gz", Some(Uninspected::Packed)),
            ("model-Q4_K_M.gguf", Some(Uninspected::OtherWeights)),
            ("model.SAFETENSORS", Some(Uninspected::OtherWeights)),
            ("merges.txt", Some(Uninspected::Other)),
            ("LICENSE", Some(Uninspected::Other)),
            ("unet/config.json", Some(Uninspected::Other)),
            ("model-00001-of-00002.safetensors", None),
            ("model.safetensors.index.json", None),
            ("config.json", None),
            ("README.md", None),
        ] {
            assert_eq!(Uninspected::of(path), why, "{path}");
        }
        for path in ["config.json", "a/LICENSE", "x.py"] {
            assert!(may_be_text(path), "{path}");
        }
        for path in ["pytorch_model.bin", "model.safetensors", "model.SAFETENSORS", "x.zip"] {
            assert!(!may_be_text(path), "{path}");
        }
    }
}
