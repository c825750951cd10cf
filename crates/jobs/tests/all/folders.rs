//! Models in folders, some of which cannot be read, and what is known of models by their weights alone.

use std::path::Path;

use analysis::export::{Format, write};
use domain::{Fault as _, Limits, Relation, RepoId};
use jobs::{Access, KinshipQuery, Pin, Reading, ingest_folder};
use store::{Findings, WeightEdge};

const SIDE: usize = 64;

fn values(key: u64, scale: f64) -> Vec<f32> {
    let value = |at: usize| (kernels::splitmix_unit(key, at as u64) * 2.0 - 1.0) * scale;
    (0..SIDE * SIDE).map(|at| value(at) as f32).collect()
}

/// A safetensors file of one matrix.
fn file(values: &[f32]) -> Vec<u8> {
    let header = format!(
        r#"{{"model.layers.0.mlp.up_proj.weight":{{"dtype":"F32","shape":[{SIDE},{SIDE}],"data_offsets":[0,{}]}}}}"#,
        values.len() * 4
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

fn keep(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    fs_err::create_dir_all(folder).unwrap();
    fs_err::write(folder.join(name), bytes).unwrap();
}

/// A model and its fine-tune.
fn pair() -> [Vec<u8>; 2] {
    let base = values(1, 1.0);
    let tuned: Vec<f32> = base.iter().zip(values(2, 0.01)).map(|(a, b)| a + b).collect();
    [file(&base), file(&tuned)]
}

#[tokio::test]
async fn a_card_in_another_encoding_or_longer_than_cards_are_read_hinders_no_import() {
    let limits = Limits { card_bytes: 60, ..Limits::default() };
    let (place, registry) = crate::common::registry(limits).await;
    let folder = place.path().join("model");
    keep(&folder, "config.json", "{}");
    let mut card = b"---\nbase_model: o/base\n---\nGr\xfc\xdfe ".to_vec();
    card.extend([b'x'; 100]);
    keep(&folder, "README.md", card);

    let row =
        ingest_folder(&registry, &folder, &RepoId::parse("o/tuned").unwrap(), &|_, _| {}).await.unwrap();

    let edges = registry.store.edges_of(row.id).await.unwrap();
    let notes = registry.store.notes_of(row.id).await.unwrap();
    let codes: Vec<&str> = notes.iter().map(|note| note.code.as_str()).collect();
    assert_eq!((edges.len(), codes), (1, vec!["card_truncated", "card_not_utf8"]));
}

#[tokio::test]
async fn a_folder_whose_card_has_no_recipe_has_the_parents_of_the_recipe_beside_it() {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    let folder = place.path().join("merged");
    keep(&folder, "config.json", "{}");
    keep(&folder, "README.md", "# Merged\n");
    let recipe = "base_model: o/one\nmerge_method: slerp\nmodules:\n  default:\n    slices:\n    - sources:\n      - {layer_range: [0, 4], model: o/one}\n      - {layer_range: [0, 4], model: o/two}\n";
    keep(&folder, "mergekit_config.yml", recipe);

    let row =
        ingest_folder(&registry, &folder, &RepoId::parse("o/merged").unwrap(), &|_, _| {}).await.unwrap();

    let edges = registry.store.edges_of(row.id).await.unwrap();
    let told: Vec<_> = edges.iter().map(|edge| (edge.relation, edge.evidence[0].detail.as_str())).collect();
    assert_eq!(
        told,
        [
            (Relation::Merge, "o/one · base · model 1 · by slerp"),
            (Relation::Merge, "o/two · model 2 · by slerp")
        ]
    );
}

#[tokio::test]
async fn results_of_evaluations_are_read_of_the_card_and_of_the_files_for_them() {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    let folder = place.path().join("model");
    keep(&folder, "config.json", "{}");
    let card = "---\nmodel-index:\n- results:\n  - dataset: {name: MMLU}\n    metrics: [{type: acc, value: 0.61}]\n---\n";
    keep(&folder, "README.md", card);
    let results = folder.join(".eval_results");
    keep(&results, "hle.yaml", "- dataset: {id: cais/hle, task_id: default}\n  value: 20.5\n");
    keep(&results, "long.yaml", format!("- dataset: {{id: a/b}}\n  value: {}\n", "1".repeat(70_000)));
    keep(&results, "notes.txt", "dataset: {id: a/b}\nvalue: 1\n");

    let row =
        ingest_folder(&registry, &folder, &RepoId::parse("o/model").unwrap(), &|_, _| {}).await.unwrap();

    let found = jobs::evaluations(&registry, row.revision.unwrap()).await.unwrap();
    let told: Vec<_> =
        found.iter().map(|one| (one.dataset.as_str(), one.metric.as_str(), one.value.as_str())).collect();
    assert_eq!(told, [("MMLU", "acc", "0.61"), ("cais/hle", "default", "20.5")]);
    let entries = jobs::eval_results(&registry, row.revision.unwrap()).await.unwrap();
    assert_eq!((entries.len(), entries[0].0.as_str()), (1, ".eval_results/hle.yaml"));
}

#[tokio::test]
async fn folders_that_cannot_be_read_are_left_out_by_name_and_reason_where_two_others_can() {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    let zoo = place.path().join("zoo");
    let [base, tuned] = pair();
    keep(&zoo.join("base"), "model.safetensors", &base);
    keep(&zoo.join("cut"), "model.safetensors", &base[..200]);
    keep(&zoo.join("pickled"), "pytorch_model.bin", "\u{80}");
    keep(&zoo.join("bare"), "config.json", "{}");
    keep(&zoo.join("notes"), "todo.txt", "nothing");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 17\n";
    keep(&zoo.join("pointed"), "model.safetensors", pointer);
    keep(&zoo.join("zipped"), "model.safetensors", b"PK\x03\x04\x00\x00\x08\x08archive/data.pkl");
    let whole = [zoo.display().to_string()];

    let too_few = jobs::recover(&registry, &whole).await.err().unwrap();
    keep(&zoo.join("tuned"), "model.safetensors", &tuned);
    let found = jobs::recover(&registry, &whole).await.unwrap();

    assert_eq!(too_few.code(), "invalid_request");
    assert!(too_few.to_string().contains("1 left; left out: bare: "), "{too_few}");
    let models: Vec<&str> = found.report.models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(models, ["base", "tuned"]);
    let left: Vec<(&str, &str)> =
        found.left_out.iter().map(|gone| (gone.model.as_str(), gone.code)).collect();
    assert_eq!(
        left,
        [
            ("bare", "no_weights"),
            ("cut", "truncated"),
            ("pickled", "weights_format"),
            ("pointed", "lfs_pointer"),
            ("zipped", "weights_format")
        ]
    );
    let told = |model: &str| {
        found.left_out.iter().find(|gone| gone.model == model).map(|gone| gone.reason.clone()).unwrap()
    };
    assert!(told("pointed").contains("git lfs pull"), "{}", told("pointed"));
    assert!(told("zipped").contains("a ZIP archive"), "{}", told("zipped"));
    assert_eq!(serde_json::json!(found)["left_out"][1]["model"], "cut");
}

#[tokio::test]
async fn of_several_models_the_one_that_cannot_be_read_is_named() {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    let zoo = place.path().join("zoo");
    let [base, _] = pair();
    keep(&zoo.join("base"), "model.safetensors", &base);
    keep(&zoo.join("cut"), "model.safetensors", &base[..200]);
    let models = ["base", "cut"].map(|name| zoo.join(name).display().to_string());
    let query = KinshipQuery {
        models: models.to_vec(),
        base: None,
        access: Access::Folders(Pin::Nothing),
        reading: Reading::Weights,
        partial: Default::default(),
        parity: None,
    };

    let kinship = jobs::kinship(&registry, query).await.err().unwrap();
    let lineage = jobs::recover(&registry, &models).await.err().unwrap();
    let access = Access::Folders(Pin::Nothing);
    let compared =
        jobs::compare(&registry, [&models[0], &models[1]], (&access, Reading::Stored)).await.err().unwrap();

    for error in [kinship, lineage, compared] {
        assert_eq!(error.code(), "truncated");
        assert!(error.to_string().contains("zoo/cut/model.safetensors: "), "{error}");
    }
}

#[tokio::test]
async fn an_edge_that_only_the_weights_know_has_a_length() {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    for (id, bytes) in ["o/base", "o/tuned"].iter().zip(pair()) {
        let folder = place.path().join("in").join(id);
        keep(&folder, "model.safetensors", bytes);
        ingest_folder(&registry, &folder, &RepoId::parse(id).unwrap(), &|_, _| {}).await.unwrap();
    }
    let row = async |id: &str| registry.store.model_by_id(id).await.unwrap().unwrap();
    let (base, tuned) = (row("o/base").await, row("o/tuned").await);
    let edge = WeightEdge {
        parent: base.id,
        name: base.name,
        relation: Relation::Finetune,
        confidence: 0.99,
        sentence: "finetune by its weights".to_owned(),
    };
    let revision = tuned.revision.unwrap();
    let findings = Findings { model: tuned.id, revision, edges: vec![edge], verdicts: Vec::new() };
    assert!(registry.store.record_findings(&findings).await.unwrap());

    let pedigree = jobs::pedigree(&registry, &tuned, (usize::MAX, 0)).await.unwrap();
    let newick = write(&pedigree, Format::Newick);

    let cosine = pedigree.edges[0].cosine.unwrap();
    assert!((0.99..1.0).contains(&cosine), "{cosine}");
    assert_eq!(newick.trim(), format!("('o/tuned':{:.6})'o/base';", 1.0 - cosine));
}

#[tokio::test]
async fn safetensors_that_make_no_checkpoint_are_noted() {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    let folder = place.path().join("model");
    let [base, tuned] = pair();
    keep(&folder, "config.json", "{}");
    keep(&folder, "a.safetensors", &base);
    keep(&folder, "b.safetensors", &tuned);

    let row = ingest_folder(&registry, &folder, &RepoId::parse("o/two").unwrap(), &|_, _| {}).await.unwrap();

    let notes = registry.store.notes_of(row.id).await.unwrap();
    assert_eq!((row.has_weights, notes[0].code.as_str()), (false, jobs::UNREAD));
    assert!(notes[0].detail.contains("one of several safetensors files without an index"), "{notes:?}");
}

#[tokio::test]
async fn files_that_are_a_model_each_are_told_apart_by_their_names() {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    let flat = place.path().join("flat");
    let [base, tuned] = pair();
    keep(&flat, "base.safetensors", base);
    keep(&flat, "tuned.safetensors", tuned);

    let found = jobs::recover(&registry, &[flat.display().to_string()]).await.unwrap();

    let models: Vec<&str> = found.report.models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!((models, found.report.families.len()), (vec!["base", "tuned"], 1));
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_left_out_by_name_and_reason() {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    let zoo = place.path().join("zoo");
    let [base, tuned] = pair();
    keep(&zoo.join("base"), "model.safetensors", &base);
    keep(&zoo.join("tuned"), "model.safetensors", &tuned);
    keep(&zoo.join("cached"), "notes.txt", "");
    std::os::unix::fs::symlink(zoo.join("base"), zoo.join("linked")).unwrap();
    let file = zoo.join("base").join("model.safetensors");
    std::os::unix::fs::symlink(file, zoo.join("cached").join("model.safetensors")).unwrap();

    let found = jobs::recover(&registry, &[zoo.display().to_string()]).await.unwrap();

    assert_eq!(found.report.models.len(), 2);
    let left: Vec<(&str, &str)> =
        found.left_out.iter().map(|gone| (gone.model.as_str(), gone.code)).collect();
    assert_eq!(left, [("cached", "not_a_plain_file"), ("linked", "not_a_plain_file")]);
    assert!(found.left_out[1].reason.contains("cp -rL"), "{}", found.left_out[1].reason);
}

/// A file of one factor pair of an adapter of [`file`].
fn factors(names: [&str; 2]) -> Vec<u8> {
    let bytes = SIDE * 4;
    let [down, up] = names;
    let header = format!(
        r#"{{"{down}":{{"dtype":"F32","shape":[1,{SIDE}],"data_offsets":[0,{bytes}]}},"{up}":{{"dtype":"F32","shape":[{SIDE},1],"data_offsets":[{bytes},{}]}}}}"#,
        2 * bytes
    );
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.into_bytes());
    file.extend(values(3, 1.0)[..2 * SIDE].iter().flat_map(|value| value.to_le_bytes()));
    file
}

#[tokio::test]
async fn an_adapter_finds_its_base_however_its_configuration_names_it_and_whatever_its_kind() {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    let zoo = place.path().join("zoo");
    let [base, other] = pair();
    keep(&zoo.join("models--o--base/snapshots/abc"), "model.safetensors", base);
    keep(&zoo.join("o/tuned"), "model.safetensors", other);
    let lora =
        ["lora_A", "lora_B"].map(|part| format!("base_model.model.model.layers.0.mlp.up_proj.{part}.weight"));
    let lora = lora.each_ref().map(String::as_str);
    let cases = [
        ("case", "O/Base", r#""r":1"#, lora),
        ("address", "https://huggingface.co/o/base", r#""r":1"#, lora),
        ("dora", "o/base", r#""r":1,"use_dora":true"#, lora),
        ("prompt", "o/base", r#""peft_type":"PROMPT_TUNING""#, ["prompt_embeddings", "prompt_more"]),
    ];
    for (name, base, fields, names) in cases {
        let folder = zoo.join("a").join(name);
        let config = format!(r#"{{"base_model_name_or_path":"{base}",{fields}}}"#);
        keep(&folder, "adapter_config.json", config);
        keep(&folder, "adapter_model.safetensors", factors(names));
    }

    let found = jobs::recover(&registry, &[zoo.display().to_string()]).await.unwrap();

    assert_eq!(found.report.models.len(), 6, "{:?}", found.left_out);
    for model in found.report.models.iter().filter(|model| model.id.starts_with("a/")) {
        let parents: Vec<&str> = model.parents.iter().map(|parent| parent.id.as_str()).collect();
        assert_eq!(parents, ["models--o--base/snapshots/abc"], "{}: {:?}", model.id, model.contradiction);
        assert_eq!(model.contradiction, None, "{}", model.id);
    }
}

#[tokio::test]
async fn an_adapter_that_names_its_base_by_its_address_is_applied_to_the_base_that_is_here() {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    let lora =
        ["lora_A", "lora_B"].map(|part| format!("base_model.model.model.layers.0.mlp.up_proj.{part}.weight"));
    let [base, _] = pair();
    let at = |name: &str| place.path().join("in").join(name);
    keep(&at("base"), "model.safetensors", base);
    let named = "/root/.cache/huggingface/hub/models--o--base/snapshots/abc";
    keep(&at("lora"), "adapter_config.json", format!(r#"{{"base_model_name_or_path":"{named}","r":1}}"#));
    keep(&at("lora"), "adapter_model.safetensors", factors(lora.each_ref().map(String::as_str)));
    for name in ["base", "lora"] {
        let id = RepoId::parse(&format!("o/{name}")).unwrap();
        ingest_folder(&registry, &at(name), &id, &|_, _| {}).await.unwrap();
    }

    let opened = jobs::open_operand(&registry, "o/lora", &Access::registry()).await.unwrap();

    assert_eq!(opened.base.unwrap().label, "o/base");
}
