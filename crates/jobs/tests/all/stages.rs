//! Recipes of several documents against the same merges one after the other.

use std::path::Path;

use analysis::TensorSource;
use domain::{Limits, RepoId};
use jobs::{Access, Extras, MergePlan, Pin, Pulse, Registry};
use serde_json::json;

const SIDE: usize = 16;
const MODULE: &str = "model.layers.0.mlp.up_proj";

/// A safetensors file of f32 matrices.
fn file(tensors: &[(String, [usize; 2], Vec<f32>)]) -> Vec<u8> {
    let (mut header, mut at) = (serde_json::Map::new(), 0);
    for (name, shape, values) in tensors {
        let end = at + 4 * values.len();
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [at, end] }));
        at = end;
    }
    let header = json!(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    for (_, _, values) in tensors {
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    bytes
}

fn values(key: u64, len: usize) -> Vec<f32> {
    (0..len).map(|at| (kernels::splitmix_unit(key, at as u64) * 2.0 - 1.0) as f32).collect()
}

fn keep(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    fs_err::create_dir_all(folder).unwrap();
    fs_err::write(folder.join(name), bytes).unwrap();
    folder.display().to_string()
}

fn model(place: &Path, name: &str, key: u64) -> String {
    let matrix = (format!("{MODULE}.weight"), [SIDE, SIDE], values(key, SIDE * SIDE));
    keep(&place.join(name), "model.safetensors", file(&[matrix]))
}

fn adapter(place: &Path, base: &str) -> String {
    let of = |side: &str, shape: [usize; 2], key| {
        (format!("base_model.model.{MODULE}.lora_{side}.weight"), shape, values(key, shape[0] * shape[1]))
    };
    let folder = place.join("adapter");
    let config = json!({
        "peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["up_proj"],
        "base_model_name_or_path": base,
    });
    keep(&folder, "adapter_config.json", config.to_string());
    keep(&folder, "adapter_model.safetensors", file(&[of("A", [2, SIDE], 8), of("B", [SIDE, 2], 9)]))
}

async fn plan(registry: &Registry, yaml: &str) -> Result<MergePlan, jobs::Error> {
    jobs::plan_merge(registry, yaml, &Access::Folders(Pin::Content)).await
}

fn bytes(plan: &MergePlan) -> Vec<u8> {
    let info = &plan.source.tensors()[0];
    let mut bytes = vec![0; info.bytes() as usize];
    plan.source.read_bytes(0, 0, &mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn an_adapter_is_applied_to_the_result_of_another_document() {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    let at = place.path();
    let [a, b, c] = [("a", 1), ("b", 2), ("c", 3)].map(|(name, key)| model(at, name, key));
    let lora = adapter(at, &a);
    let first =
        format!("merge_method: linear\nmodels:\n- model: {a}\n- model: {b}\nparameters: {{weight: 1}}\n");
    let then = |one: &str| {
        format!(
            "merge_method: linear\nmodels:\n- model: {one}+{lora}\n- model: {c}\nparameters: {{weight: 1}}\n"
        )
    };
    let merged = at.join("merged");
    let whole = plan(&registry, &first).await.unwrap();
    let derived = whole.derived(RepoId::parse("o/merged").unwrap(), first.clone(), Extras::default());
    jobs::write_folder(&registry, &merged, (derived, whole.source), &Pulse::default()).await.unwrap();

    let at_once = plan(&registry, &format!("{first}name: one\n---\n{}", then("one"))).await.unwrap();
    let apart = plan(&registry, &then(&merged.display().to_string())).await.unwrap();
    let bare = plan(&registry, &then(&a)).await.unwrap();

    assert_eq!(bytes(&at_once), bytes(&apart));
    assert_ne!(bytes(&at_once), bytes(&bare));
    let parents: Vec<&str> = at_once.operands.iter().map(|operand| operand.label.as_str()).collect();
    assert_eq!(parents, [a.as_str(), &b, &lora, &c]);
    let recipe = at_once.recipe.canonical();
    let pinned = &recipe["inputs"][format!("one+{lora}")];
    assert_eq!(pinned["base"]["recipe"]["config"]["merge_method"], "linear");
    assert!(at_once.models().contains(&lora) && at_once.models().contains(&b));
    assert_ne!(at_once.recipe.address(), apart.recipe.address());
}

#[tokio::test]
async fn what_is_wrong_with_a_document_is_told_once_though_another_reads_it_with_an_adapter() {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    let at = place.path();
    let a = model(at, "a", 1);
    let lora = adapter(at, &a);
    let yaml = format!(
        "name: one\nmerge_method: linear\nmodels: [{{model: no/where}}, {{model: {a}}}]\nparameters: {{weight: 1}}\n---\n\
         merge_method: linear\nmodels: [{{model: one+{lora}}}, {{model: {a}}}]\nparameters: {{weight: 1}}\n"
    );

    let told = domain::Fault::items(&plan(&registry, &yaml).await.err().unwrap());

    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].pointer, "/0/models/0/model");
}
