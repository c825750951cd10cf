//! What the Hub derives from a checkpoint's files and configuration where the card does not say it.

use domain::Metadata;

/// The tag of a format, and how the names of its files begin and end.
const FORMATS: [(&str, &str, &str); 9] = [
    ("safetensors", "", ".safetensors"),
    ("gguf", "", ".gguf"),
    ("onnx", "", ".onnx"),
    ("pytorch", "pytorch_model", ".bin"),
    ("tf", "tf_model", ".h5"),
    ("jax", "flax_model", ".msgpack"),
    ("openvino", "openvino_model", ".xml"),
    ("coreml", "", ".mlmodel"),
    ("tensorboard", "events.out.tfevents", ""),
];

/// Files that only checkpoints of one library have.
const LIBRARIES: [(&str, &str); 2] =
    [("model_index.json", "diffusers"), ("config_sentence_transformers.json", "sentence-transformers")];

/// The end of an architecture's name, the class of transformers that loads it, and its task in the Hub's words.
const CLASSES: [(&str, AutoClass); 12] = [
    ("ForCausalLM", class("AutoModelForCausalLM", "text-generation")),
    ("LMHeadModel", class("AutoModelForCausalLM", "text-generation")),
    ("ForMaskedLM", class("AutoModelForMaskedLM", "fill-mask")),
    ("ForSequenceClassification", class("AutoModelForSequenceClassification", "text-classification")),
    ("ForTokenClassification", class("AutoModelForTokenClassification", "token-classification")),
    ("ForQuestionAnswering", class("AutoModelForQuestionAnswering", "question-answering")),
    ("ForImageClassification", class("AutoModelForImageClassification", "image-classification")),
    ("ForObjectDetection", class("AutoModelForObjectDetection", "object-detection")),
    ("ForSemanticSegmentation", class("AutoModelForSemanticSegmentation", "image-segmentation")),
    ("ForDepthEstimation", class("AutoModelForDepthEstimation", "depth-estimation")),
    ("ForAudioClassification", class("AutoModelForAudioClassification", "audio-classification")),
    ("ForCTC", class("AutoModelForCTC", "automatic-speech-recognition")),
];

/// A class of transformers by which checkpoints of an architecture are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoClass {
    /// As in Python.
    pub name: &'static str,
    /// The Hub's `pipeline_tag`.
    pub task: &'static str,
}

const fn class(name: &'static str, task: &'static str) -> AutoClass {
    AutoClass { name, task }
}

/// The class that loads an architecture, such as `LlamaForCausalLM`; none where its name does not tell.
pub fn auto_class(architecture: &str) -> Option<AutoClass> {
    CLASSES.into_iter().find(|(end, _)| architecture.ends_with(end)).map(|(_, class)| class)
}

/// Fills library, task and tags.
pub(super) fn fill(metadata: &mut Metadata) {
    let holds = |(_, start, end): &(&str, &str, &str)| {
        let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        metadata
            .files
            .iter()
            .map(|path| name(path))
            .any(|name| name.starts_with(start) && name.ends_with(end))
    };
    let formats: Vec<&str> = FORMATS.iter().filter(|format| holds(format)).map(|(tag, ..)| *tag).collect();
    let of_files = LIBRARIES.iter().find(|(file, _)| metadata.files.iter().any(|path| path == file));
    let config = metadata.config.as_ref();
    let transformers = metadata.architecture.is_some()
        || config.is_some_and(|config| config.get("transformers_version").is_some());
    let library = of_files.map(|(_, library)| *library).or(transformers.then_some("transformers"));
    let task = metadata.architecture.as_deref().and_then(auto_class).map(|class| class.task);
    let tags = formats.into_iter().map(str::to_owned).chain(metadata.model_type.clone());
    for tag in tags.collect::<Vec<_>>() {
        if !metadata.tags.contains(&tag) {
            metadata.tags.push(tag);
        }
    }
    metadata.library = metadata.library.take().or(library.map(str::to_owned));
    metadata.pipeline_tag = metadata.pipeline_tag.take().or(task.map(str::to_owned));
}

#[cfg(test)]
mod tests {
    use domain::{Limits, RepoId};
    use serde_json::{Value, json};

    use super::*;
    use crate::metadata::{Folder, from_checkpoint};

    fn read(files: &[&str], config: &Value) -> Metadata {
        let files: Vec<String> = files.iter().map(|path| (*path).to_owned()).collect();
        let folder = Folder { config: Some(config), files: &files, ..Folder::default() };
        from_checkpoint(RepoId::parse("me/m").unwrap(), &folder, &Limits::default())
    }

    #[test]
    fn formats_are_tagged_by_the_names_of_files_and_the_type_by_the_configuration() {
        let files =
            ["config.json", "model.safetensors", "pytorch_model-00001-of-00002.bin", "m.gguf", "onnx/m.onnx"];

        let metadata = read(&files, &json!({ "model_type": "llama", "architectures": ["LlamaForCausalLM"] }));

        assert_eq!(metadata.tags, ["safetensors", "gguf", "onnx", "pytorch", "llama"]);
        assert_eq!(metadata.library.as_deref(), Some("transformers"));
        assert_eq!(metadata.pipeline_tag.as_deref(), Some("text-generation"));
        assert!(read(&["model.bin", "gguf", "notes.txt"], &json!({})).tags.is_empty());
    }

    #[test]
    fn a_library_is_known_by_its_files_before_the_configuration_and_by_nothing_else() {
        let bert = json!({ "architectures": ["BertModel"], "transformers_version": "5.0" });

        let library = |files: &[&str], config: &Value| read(files, config).library;

        assert_eq!(
            library(&["config_sentence_transformers.json"], &bert).as_deref(),
            Some("sentence-transformers")
        );
        assert_eq!(library(&["model_index.json"], &json!({})).as_deref(), Some("diffusers"));
        assert_eq!(library(&[], &bert).as_deref(), Some("transformers"));
        assert_eq!(library(&[], &json!({ "model_type": "mine" })), None);
        assert_eq!(read(&[], &bert).pipeline_tag, None);
    }

    #[test]
    fn what_a_card_says_is_left_as_it_is() {
        let card = "---\nlibrary_name: mlx\npipeline_tag: feature-extraction\ntags: [llama]\n---\n";
        let card = domain::files::Beginning { bytes: card.as_bytes().to_vec(), size: card.len() as u64 };
        let config = json!({ "model_type": "llama", "architectures": ["LlamaForCausalLM"] });
        let folder = Folder { card: Some(&card), config: Some(&config), ..Folder::default() };

        let metadata = from_checkpoint(RepoId::parse("me/m").unwrap(), &folder, &Limits::default());

        assert_eq!(metadata.library.as_deref(), Some("mlx"));
        assert_eq!(metadata.pipeline_tag.as_deref(), Some("feature-extraction"));
        assert_eq!(metadata.tags, ["llama"]);
    }
}
