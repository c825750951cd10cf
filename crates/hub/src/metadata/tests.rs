//! Tests of metadata reading.

use domain::{Limits, Relation, RepoId, Source};
use serde_json::json;

use super::{from_api_row, from_checkpoint};

#[test]
fn an_api_row_is_read_in_camel_case() {
    let metadata = from_api_row(&json!({
        "id": "org/m", "author": "org", "createdAt": "2024-07-23T15:36:34.000Z", "downloads": 12, "likes": 3,
        "tags": ["peft", "license:mit", "base_model:adapter:a/b", "base_model:a/b", "dataset:x/y", "en"],
        "cardData": "{\"language\": [false, \"en\"], \"base_model\": [\"a/b\", null, {\"name\": \"c/d\"}]}",
        "baseModels": {"relation": "adapter", "models": [{"_id": "1", "id": "a/b"}]},
        "safetensors": {"parameters": {"BF16": 7}, "total": 7}, "library_name": "peft",
        "siblings": [{"rfilename": "adapter_config.json"}],
        "config": {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
    }))
    .unwrap();

    assert_eq!(metadata.created_at, Some(1_721_748_994));
    assert_eq!(metadata.license.as_deref(), Some("mit"));
    assert_eq!(metadata.parameters, Some(7));
    assert_eq!(metadata.languages, ["no", "en"]);
    assert_eq!(metadata.datasets, ["x/y"]);
    assert_eq!(metadata.files, ["adapter_config.json"]);
    assert_eq!(metadata.architecture.as_deref(), Some("LlamaForCausalLM"));
    let parents: Vec<_> = metadata.parents.iter().map(|p| (p.source, p.relation, p.raw.as_str())).collect();
    assert_eq!(
        parents,
        [
            (Source::Api, Some(Relation::Adapter), "a/b"),
            (Source::Tag, Some(Relation::Adapter), "a/b"),
            (Source::Tag, None, "a/b"),
            (Source::Card, None, "a/b"),
            (Source::Card, None, "c/d"),
        ]
    );
}

#[test]
fn an_api_row_is_read_in_snake_case_with_yaml_and_printed_siblings() {
    let metadata = from_api_row(&json!({
        "modelId": "org/m", "created_at": "2025-01-29 08:29:22+00:00", "last_modified": "2025-01-29",
        "card_data": "license: [mit, other]\nnew_version: org/n\nbase_model: a/b\nbase_model_relation: quantized",
        "siblings": ["RepoSibling(rfilename='model.gguf', size=None)"], "downloads": -1,
        "_card": "---\nlicense: apache-2.0\n---\n# Hello\n",
    }))
    .unwrap();

    assert_eq!(metadata.created_at, Some(1_738_139_362));
    assert_eq!(metadata.last_modified, Some(1_738_108_800));
    assert_eq!(metadata.license.as_deref(), Some("mit"));
    assert_eq!(metadata.notes[0].code, "several_licenses");
    assert_eq!(metadata.new_version.as_deref(), Some("org/n"));
    assert_eq!(metadata.declared_relation, Some(Relation::Quantized));
    assert_eq!(metadata.files, ["model.gguf"]);
    assert_eq!(metadata.card.as_deref(), Some("# Hello"));
    assert_eq!(metadata.downloads, None);
}

#[test]
fn a_record_without_a_valid_id_is_refused_with_the_reason() {
    assert!(from_api_row(&json!({"x": 1})).unwrap_err().contains("no id"));
    assert!(from_api_row(&json!({"id": "../etc"})).unwrap_err().contains("not a model id"));
    assert!(from_api_row(&json!([1])).unwrap_err().contains("a list"));
}

#[test]
fn a_checkpoint_names_the_base_of_its_adapter_and_of_its_merge_recipe() {
    let card = "---\nbase_model: [a/x, b/y]\ntags: [merge]\n---\n```yaml\nmodels:\n  - model: a/x\n    parameters: {weight: 0.5}\n  - model: b/y+c/lora\n  - model: ./local\nmerge_method: linear\n```\n";
    let metadata = from_checkpoint(
        RepoId::parse("me/m").unwrap(),
        Some(card),
        Some(&json!({"model_type": "llama"})),
        Some(&json!({"base_model_name_or_path": "a/x"})),
        &["config.json".to_owned()],
        &Limits::default(),
    );

    let merged: Vec<_> =
        metadata.parents.iter().filter(|p| p.source == Source::MergeConfig).map(|p| p.raw.as_str()).collect();
    assert_eq!(merged, ["a/x", "b/y", "c/lora"]);
    assert_eq!(metadata.parents.last().unwrap().source, Source::AdapterConfig);
    assert_eq!(metadata.library.as_deref(), Some("peft"));
    assert_eq!(metadata.model_type.as_deref(), Some("llama"));
    assert_eq!(metadata.tags, ["merge"]);
}
