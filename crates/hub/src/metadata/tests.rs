//! Tests of metadata reading.

use domain::{Gating, Limits, Relation, RepoId, Source, files::Beginning};
use serde_json::{Value, json};

use super::{Folder, from_checkpoint};

fn readme(text: &str) -> Beginning {
    Beginning { bytes: text.as_bytes().to_vec(), size: text.len() as u64 }
}

fn from_api_row(row: &Value) -> Result<domain::Metadata, String> {
    super::from_api_row(row, &Limits::default())
}

fn from_card(card: &str) -> Vec<(Source, Option<Relation>, String)> {
    let folder = Folder { card: Some(&readme(card)), ..Folder::default() };
    let metadata = from_checkpoint(RepoId::parse("me/m").unwrap(), &folder, &Limits::default());
    metadata.parents.into_iter().map(|parent| (parent.source, parent.relation, parent.raw)).collect()
}

#[test]
fn a_tag_of_two_letters_is_a_language_only_where_it_is_one() {
    let metadata = from_api_row(&json!({ "id": "org/m", "tags": ["tf", "pt", "rl", "de", "cv"] })).unwrap();

    assert_eq!(metadata.languages, ["pt", "de", "cv"]);
}

#[test]
fn the_format_of_quantised_weights_is_not_the_one_they_are_computed_in() {
    let format = |config: Value| {
        from_api_row(&json!({ "id": "org/m", "config": config })).unwrap().dtype.unwrap_or_default()
    };
    let quantised = |how: Value| json!({ "torch_dtype": "bfloat16", "quantization_config": how });

    assert_eq!(format(json!({ "torch_dtype": "bfloat16" })), "BF16");
    assert_eq!(format(json!({ "dtype": "float16", "quantization_config": null })), "F16");
    assert_eq!(format(quantised(json!({ "quant_method": "fp8", "fmt": "e4m3" }))), "F8_E4M3");
    assert_eq!(format(quantised(json!({ "quant_method": "fp8", "fmt": "e5m2" }))), "F8_E5M2");
    assert_eq!(format(quantised(json!({ "quant_method": "gptq", "bits": 4 }))), "", "nothing says it");
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
    let told: Vec<&str> = metadata.notes.iter().map(|note| note.code.as_str()).collect();
    assert_eq!(told, ["unreadable_value", "several_licenses"]);
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
        card: Some(&readme(card)),
        config: Some(&json!({"model_type": "llama"})),
        adapter_config: Some(&json!({"base_model_name_or_path": "a/x"})),
        files: &["config.json".to_owned()],
        ..Folder::default()
    };
    let metadata = from_checkpoint(RepoId::parse("me/m").unwrap(), &folder, &Limits::default());

    let merged: Vec<_> =
        metadata.parents.iter().filter(|p| p.source == Source::MergeConfig).map(|p| p.raw.as_str()).collect();
    assert_eq!(merged, ["a/x", "b/y", "c/lora"]);
    assert_eq!(metadata.parents.last().unwrap().source, Source::AdapterConfig);
    assert_eq!(metadata.library.as_deref(), Some("peft"));
    assert_eq!(metadata.model_type.as_deref(), Some("llama"));
    assert_eq!(metadata.tags, ["merge", "llama"]);
}

#[test]
fn another_licence_keeps_its_id_as_a_tag_and_is_told_to_have_a_name_and_a_link() {
    let read = |card: &str| {
        let folder = Folder { card: Some(&readme(card)), ..Folder::default() };
        from_checkpoint(RepoId::parse("me/m").unwrap(), &folder, &Limits::default())
    };

    let whole = read(
        "---\nlicense: other\nlicense_name: my-lic\nlicense_link: LICENSE\ntags: [a]\n---\nhttps://arxiv.org/abs/2403.04652\n",
    );
    let bare = read("---\nlicense: other\n---\n");

    assert_eq!(whole.licence(), Some("my-lic"));
    assert_eq!(whole.tags, ["a", "license:other", "arxiv:2403.04652"]);
    assert!(whole.notes.is_empty(), "{:?}", whole.notes);
    assert_eq!((bare.license.as_deref(), &*bare.tags), (Some("other"), &["license:other".to_owned()][..]));
    assert_eq!(bare.notes[0].code, "license_unnamed");
    assert!(read("---\nlicense: mit\n---\n").tags.is_empty());
}

#[test]
fn a_card_of_ten_thousand_parents_is_told_to_be_read_in_part() {
    let list: String = (0..10_000).map(|n| format!("- a/m{n}\n")).collect();
    let card = format!("---\nbase_model:\n{list}---\n");
    let folder = Folder { card: Some(&readme(&card)), ..Folder::default() };

    let metadata = from_checkpoint(RepoId::parse("me/m").unwrap(), &folder, &Limits::default());

    let notes: Vec<&str> = metadata.notes.iter().map(|note| note.detail.as_str()).collect();
    assert_eq!(notes, ["more than 500 parents are named; the first 500 are read"]);
}

#[test]
fn a_configuration_that_is_no_object_is_noted() {
    let told = |config: &Value| {
        let folder = Folder { config: Some(config), ..Folder::default() };
        from_checkpoint(RepoId::parse("me/m").unwrap(), &folder, &Limits::default()).notes
    };

    assert_eq!(told(&json!([]))[0].code, "config_unread");
    assert!(told(&json!({})).is_empty());
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
fn a_card_names_its_base_in_a_map_with_commas_or_in_a_tag() {
    let card = |raw: &str| (Source::Card, None, raw.to_owned());

    assert_eq!(from_card("---\nbase_model: {name: a/b}\n---\n"), [card("a/b")]);
    assert_eq!(from_card("---\nbase_model: a/b, c/d,\n---\n"), [card("a/b"), card("c/d")]);
    let tagged = from_card("---\ntags:\n- base_model:finetune:a/b\n- base_model:c/d\n- x\n---\n");
    assert_eq!(tagged, [(Source::Card, Some(Relation::Finetune), "a/b".to_owned()), card("c/d")]);
}

#[test]
fn a_record_tells_which_sources_spoke_even_where_they_name_no_parent() {
    let sources = |row: Value| {
        let mut sources = from_api_row(&row).unwrap().sources;
        sources.sort_unstable();
        sources.dedup();
        sources
    };

    assert_eq!(sources(json!({ "id": "o/c", "downloads": 9 })), []);
    assert_eq!(sources(json!({ "id": "o/c", "cardData": null, "tags": null })), []);
    let (api, tag, card) = (Source::Api, Source::Tag, Source::Card);
    assert_eq!(sources(json!({ "id": "o/c", "cardData": {}, "tags": [] })), [api, tag, card]);
    assert_eq!(sources(json!({ "id": "o/c", "_card": "# Text" })), [card, Source::MergeConfig]);
    assert_eq!(sources(json!({ "id": "o/c", "base_model": "o/a", "tags": "" })), [Source::Table]);
}

#[test]
fn a_licence_without_an_id_is_stated_as_other_and_shown_by_its_name() {
    let licence = |row: Value| {
        let read = from_api_row(&row).unwrap();
        assert!(matches!(read.license.as_deref(), Some("other" | "mit")), "{:?}", read.license);
        read.licence().map(str::to_owned)
    };
    let card = |name: &str| json!({ "id": "q/b", "cardData": { "license": "other", "license_name": name } });

    assert_eq!(licence(card("my-open-licence")).as_deref(), Some("my-open-licence"));
    assert_eq!(licence(card("other")).as_deref(), Some("other"));
    assert_eq!(licence(card(&"x".repeat(200))).as_deref(), Some("other"));
    let tagged =
        json!({ "id": "q/b", "tags": ["license:other"], "cardData": { "license_name": "research" } });
    assert_eq!(licence(tagged).as_deref(), Some("research"));
    let named = json!({ "id": "q/b", "cardData": { "license": "mit", "license_name": "research" } });
    assert_eq!(licence(named).as_deref(), Some("mit"));
    let folder = Folder {
        card: Some(&readme("---\nlicense: other\nlicense_name: research\n---\n")),
        ..Folder::default()
    };
    let read = from_checkpoint(RepoId::parse("me/m").unwrap(), &folder, &Limits::default());
    assert_eq!((read.license.as_deref(), read.licence()), (Some("other"), Some("research")));
}

#[test]
fn what_is_private_gated_or_disabled_there_is_told() {
    let read = |row: Value| {
        let read = from_api_row(&row).unwrap();
        (read.private, read.gated, read.notes.into_iter().map(|note| note.code).collect::<Vec<_>>())
    };

    assert_eq!(
        read(json!({ "id": "a/b", "private": false, "gated": false, "disabled": false })),
        (false, None, vec![])
    );
    let closed = json!({ "id": "a/b", "private": true, "gated": "auto", "disabled": true });
    assert_eq!(read(closed), (true, Some(Gating::Auto), vec!["disabled".to_owned()]));
    let table = json!({ "id": "a/b", "private": "True", "gated": "manual", "disabled": "False" });
    assert_eq!(read(table), (true, Some(Gating::Manual), vec![]));
    assert_eq!(read(json!({ "id": "a/b", "gated": "False" })).1, None);
    assert_eq!(read(json!({ "id": "a/b", "gated": true })).1, Some(Gating::Manual));
    assert_eq!(read(json!({ "id": "a/b", "private": 1, "gated": 1 })), (true, Some(Gating::Manual), vec![]));
    assert_eq!(read(json!({ "id": "a/b", "private": 0, "gated": "no" })), (false, None, vec![]));
    assert_eq!(read(json!({ "id": "a/b", "gated": "yes" })), (false, Some(Gating::Manual), vec![]));
    for odd in [json!({ "id": "a/b", "private": "maybe" }), json!({ "id": "a/b", "private": [] })] {
        assert_eq!(
            read(odd),
            (true, None, vec!["unreadable_value".to_owned()]),
            "what is unclear stays closed"
        );
    }
}

#[test]
fn counts_and_dates_that_cannot_be_are_noted_and_not_taken() {
    let read = from_api_row(&json!({
        "id": "a/b", "likes": 1e30, "downloads": -5, "createdAt": "yesterday", "lastModified": "2024-13-45",
    }))
    .unwrap();

    assert_eq!((read.likes, read.downloads, read.created_at, read.last_modified), (None, None, None, None));
    let told: Vec<&str> = read.notes.iter().map(|note| note.detail.as_str()).collect();
    assert_eq!(
        told,
        [
            "`downloads` is -5; a count of zero or more is expected",
            "`likes` is 1e+30; a count of zero or more is expected",
            "`createdAt` is \"yesterday\"; a date is expected",
            "`lastModified` is \"2024-13-45\"; a date is expected",
        ]
    );
    let fine =
        from_api_row(&json!({ "id": "a/b", "likes": "", "downloads": 12.0, "createdAt": null })).unwrap();
    assert_eq!((fine.downloads, fine.notes), (Some(12), vec![]));
}

#[test]
fn tags_and_data_sets_that_are_left_out_are_noted() {
    let tags: Vec<String> = (0..4_001).map(|i| format!("t{i}")).chain(["x".repeat(301)]).collect();
    let datasets: Vec<String> = (0..4_002).map(|i| format!("d/{i}")).collect();
    let row =
        json!({ "id": "a/b", "tags": tags, "cardData": { "datasets": datasets, "tags": ["t1", "t1"] } });

    let read = from_api_row(&row).unwrap();

    assert_eq!((read.tags.len(), read.datasets.len()), (4_000, 4_000));
    let told: Vec<&str> = read.notes.iter().map(|note| note.detail.as_str()).collect();
    assert_eq!(
        told,
        [
            "2 of 4002 tags are left out; at most 4000 of up to 300 bytes are kept",
            "2 of 4002 data sets are left out; at most 4000 of up to 300 bytes are kept",
        ]
    );
}

#[test]
fn parents_are_read_in_every_shape_in_which_tables_hold_them() {
    let read = |row: Value| -> Vec<(Option<Relation>, String)> {
        let read = from_api_row(&row).unwrap();
        read.parents.into_iter().map(|parent| (parent.relation, parent.raw)).collect()
    };
    let parent = || "o/p".to_owned();
    let tuned = [(Some(Relation::Finetune), parent())];

    for value in [
        json!({ "relation": "finetune", "models": [{ "_id": "1", "id": "o/p" }] }),
        json!([{ "id": "o/p", "relation": "finetune" }]),
        json!({ "finetune": ["o/p"] }),
        json!({ "finetune": "o/p", "adapter": [] }),
        json!("{'relation': 'finetune', 'models': ['o/p']}"),
    ] {
        assert_eq!(read(json!({ "id": "o/c", "baseModels": value })), tuned, "{value}");
        assert_eq!(read(json!({ "id": "o/c", "base_model": value })), tuned, "{value}");
        assert_eq!(read(json!({ "id": "o/c", "cardData": { "base_model": value } })), tuned, "{value}");
    }
    for text in ["o/p;o/q", "o/p | o/q", "o/p\no/q", "['o/p', 'o/q']"] {
        let both = [(None, parent()), (None, "o/q".to_owned())];
        assert_eq!(read(json!({ "id": "o/c", "base_model": text })), both, "{text}");
    }
    let odd = from_api_row(&json!({ "id": "o/c", "baseModels": [{ "key": "o/p" }] })).unwrap();
    assert_eq!((odd.parents.len(), odd.notes[0].code.as_str()), (0, "parents_unread"));
    let odd =
        from_api_row(&json!({ "id": "o/c", "baseModels": { "relation": "x", "models": ["o/p"] } })).unwrap();
    assert_eq!((odd.parents.len(), odd.notes[0].code.as_str()), (1, "bad_relation"));
}

#[test]
fn a_relation_beside_a_flat_parent_is_read() {
    let row = json!({ "id": "a/b", "base_model": "c/d", "base_model_relation": "adapter" });

    assert_eq!(from_api_row(&row).unwrap().declared_relation, Some(Relation::Adapter));
}

#[test]
fn lists_in_one_cell_are_split_where_tables_join_them() {
    let read = from_api_row(&json!({
        "id": "a/b", "tags": "transformers, license:mit, base_model:adapter:c/d", "language": "en;de",
        "datasets": "x/y|x/z",
    }))
    .unwrap();

    assert_eq!(read.license.as_deref(), Some("mit"));
    assert_eq!(read.parents[0].relation, Some(Relation::Adapter));
    assert_eq!(
        (read.languages, read.datasets),
        (vec!["en".into(), "de".into()], vec!["x/y".into(), "x/z".into()])
    );
}

#[test]
fn a_licence_and_an_author_that_are_no_names_are_left_out_with_a_note() {
    let row = json!({ "id": "big/lic", "license": "D".repeat(8_000), "author": "A".repeat(7_000) });

    let read = from_api_row(&row).unwrap();

    assert_eq!((read.license, read.author.as_deref()), (None, Some("big")));
    assert_eq!(read.notes.iter().filter(|note| note.code == "text_too_long").count(), 2);
}
