//! Tests of metadata reading.

use domain::{Limits, Relation, RepoId, Source};
use serde_json::{Value, json};

use super::{Folder, delta_base, from_checkpoint};

fn from_api_row(row: &Value) -> Result<domain::Metadata, String> {
    super::from_api_row(row, &Limits::default())
}

fn from_card(card: &str) -> Vec<(Source, Option<Relation>, String)> {
    let folder = Folder { card: Some(card), ..Folder::default() };
    let metadata = from_checkpoint(RepoId::parse("me/m").unwrap(), &folder, &Limits::default());
    metadata.parents.into_iter().map(|parent| (parent.source, parent.relation, parent.raw)).collect()
}

#[test]
fn a_tag_of_two_letters_is_a_language_only_where_it_is_one() {
    let metadata = from_api_row(&json!({ "id": "org/m", "tags": ["tf", "pt", "rl", "de", "cv"] })).unwrap();

    assert_eq!(metadata.languages, ["pt", "de", "cv"]);
}

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
    let folder = Folder {
        card: Some(card),
        config: Some(&json!({"model_type": "llama"})),
        adapter_config: Some(&json!({"base_model_name_or_path": "a/x"})),
        files: &["config.json".to_owned()],
    };
    let metadata = from_checkpoint(RepoId::parse("me/m").unwrap(), &folder, &Limits::default());

    let merged: Vec<_> =
        metadata.parents.iter().filter(|p| p.source == Source::MergeConfig).map(|p| p.raw.as_str()).collect();
    assert_eq!(merged, ["a/x", "b/y", "c/lora"]);
    assert_eq!(metadata.parents.last().unwrap().source, Source::AdapterConfig);
    assert_eq!(metadata.library.as_deref(), Some("peft"));
    assert_eq!(metadata.model_type.as_deref(), Some("llama"));
    assert_eq!(metadata.tags, ["merge"]);
}

#[test]
fn a_recipe_names_revisions_and_objects() {
    let parents = from_card(
        "```yaml\nmodels:\n  - model: a/b@main\n  - model: {path: c/d, revision: x}\n  - model: {model: {path: e/f}, lora: {path: g/h}}\nbase_model: {path: i/j@refs/pr/1}\nmerge_method: ties\n```\n",
    );

    let raws: Vec<&str> = parents.iter().map(|(.., raw)| raw.as_str()).collect();
    assert_eq!(raws, ["a/b", "c/d", "e/f", "g/h", "i/j"]);
    assert!(
        parents.iter().all(|parent| parent.0 == Source::MergeConfig && parent.1 == Some(Relation::Merge))
    );
}

#[test]
fn a_recipe_tells_what_its_changes_are_measured_from_unless_its_method_knows_none() {
    let card = |method: &str| {
        format!(
            "---\nlicense: mit\n---\n```yaml\nmodels:\n- model: a/b\nbase_model: c/d@main\nmerge_method: {method}\n```\n"
        )
    };

    assert_eq!(delta_base(&card("task_arithmetic")).as_deref(), Some("c/d"));
    assert_eq!(delta_base(&card("slerp")), None);
    assert_eq!(delta_base("---\nbase_model: c/d\n---\n"), None);
}

#[test]
fn a_card_names_its_base_in_a_map_with_commas_or_in_a_tag() {
    let card = |raw: &str| (Source::Card, None, raw.to_owned());

    assert_eq!(from_card("---\nbase_model: {name: a/b}\n---\n"), [card("a/b")]);
    assert_eq!(from_card("---\nbase_model: a/b, c/d,\n---\n"), [card("a/b"), card("c/d")]);
    let tagged = from_card("---\ntags:\n- base_model:finetune:a/b\n- base_model:c/d\n- x\n---\n");
    assert_eq!(tagged, [(Source::Card, Some(Relation::Finetune), "a/b".to_owned()), card("c/d")]);
}
