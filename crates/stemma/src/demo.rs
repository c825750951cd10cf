//! The demo registry: real families by their metadata, tiny trained models with weights; all inside the binary.

use std::{io::Write as _, path::Path};

use domain::{Class, Digest, RepoId};
use jobs::Registry;

use crate::{
    exit::Failure,
    output::{self, Progress},
};

const HUB_MODELS: &[u8] = include_bytes!("../demo/hub-models.jsonl.zst");
const TOKENIZER: &[u8] = include_bytes!("../demo/zoo/tokenizer.json.zst");

struct TinyModel {
    id: &'static str,
    texts: &'static [(&'static str, &'static str)],
    weights: (&'static str, &'static [u8]),
}

macro_rules! full {
    ($id:literal) => {
        TinyModel {
            id: $id,
            texts: &[
                ("README.md", include_str!(concat!("../demo/zoo/", $id, "/README.md"))),
                ("config.json", include_str!(concat!("../demo/zoo/", $id, "/config.json"))),
            ],
            weights: (
                "model.safetensors",
                include_bytes!(concat!("../demo/zoo/", $id, "/model.safetensors.zst")),
            ),
        }
    };
}

const ZOO: &[TinyModel] = &[
    full!("mandoc/scribe-v1"),
    full!("mandoc/scribe-v1.1"),
    full!("mandoc/scribe-v1-de"),
    full!("mandoc/scribe-v1-fr"),
    full!("community/scribe-de-code"),
    full!("papyrus/reed-v1"),
    full!("community/mystery-de"),
    TinyModel {
        id: "community/scribe-es-lora",
        texts: &[
            ("README.md", include_str!("../demo/zoo/community/scribe-es-lora/README.md")),
            ("adapter_config.json", include_str!("../demo/zoo/community/scribe-es-lora/adapter_config.json")),
        ],
        weights: (
            "adapter_model.safetensors",
            include_bytes!("../demo/zoo/community/scribe-es-lora/adapter_model.safetensors.zst"),
        ),
    },
];

/// Fills a registry; one that holds the demo already is left as it is, an interrupted first run goes on.
///
/// # Errors
/// When the registry cannot be written.
pub async fn fill(registry: &Registry, data: &Path, progress: Progress) -> Result<(), Failure> {
    let io = |error: std::io::Error| Failure::new("io", Class::Internal, error.to_string());
    let folder = tempfile::tempdir().map_err(io)?;
    let mark = format!("demo {}", Digest::of(HUB_MODELS));
    if registry.store.import_position(&mark).await? == 0 {
        // An import goes on where it stopped when the file lies where it lay.
        let dump = data.join("demo-hub-models.jsonl.zst");
        fs_err::write(&dump, HUB_MODELS).map_err(io)?;
        let bar = output::bar(progress, "real families");
        let report = jobs::import_dump(registry, &dump, &|_, done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })
        .await?;
        bar.finish_and_clear();
        if let Some(fault) = report.fault() {
            return Err(fault.into());
        }
        registry.store.set_import_position(&mark, 1).await?;
        fs_err::remove_file(&dump).map_err(io)?;
        progress.tell(format_args!("{} real models, {} edges", report.models_inserted, report.edges));
    }
    for model in ZOO {
        if registry.store.model_by_id(model.id).await?.is_some_and(|row| row.has_weights) {
            continue;
        }
        let id =
            RepoId::parse(model.id).map_err(|e| Failure::new("bad_id", Class::Internal, e.to_string()))?;
        let at = folder.path().join(model.id.replace('/', "-"));
        unpack(model, &at).map_err(io)?;
        jobs::ingest_folder(registry, &at, &id, &|_, _| {}).await?;
        fs_err::remove_dir_all(&at).map_err(io)?;
        progress.tell(format_args!("{} with weights", model.id));
    }
    Ok(())
}

fn unpack(model: &TinyModel, at: &Path) -> std::io::Result<()> {
    fs_err::create_dir_all(at)?;
    for (name, text) in model.texts {
        fs_err::write(at.join(name), text)?;
    }
    fs_err::write(at.join("tokenizer.json"), zstd::decode_all(TOKENIZER)?)?;
    let mut file = fs_err::File::create(at.join(model.weights.0))?;
    file.write_all(&zstd::decode_all(model.weights.1)?)
}
