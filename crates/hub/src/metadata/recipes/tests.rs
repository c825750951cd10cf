//! Tests of what merge recipes say of parents.

use domain::{Limits, Metadata, RepoId, files::Beginning};

use super::*;
use crate::metadata::{Folder, from_checkpoint};

fn beginning(text: &str) -> Beginning {
    Beginning { bytes: text.as_bytes().to_vec(), size: text.len() as u64 }
}

fn read(card: Option<&str>, recipe: Option<&str>) -> Metadata {
    let (card, recipe) = (card.map(beginning), recipe.map(beginning));
    let folder = Folder { card: card.as_ref(), recipe: recipe.as_ref(), ..Folder::default() };
    from_checkpoint(RepoId::parse("me/m").unwrap(), &folder, &Limits::default())
}

fn parts_of(metadata: &Metadata) -> Vec<String> {
    metadata.parents.iter().map(|p| format!("{}: {}", p.raw, p.part.as_deref().unwrap_or("-"))).collect()
}

/// The parents that a card of these blocks names.
fn parts(blocks: &[&str]) -> Vec<String> {
    let card: String = blocks.iter().map(|block| format!("Text\n```yaml\n{block}\n```\n")).collect();
    parts_of(&read(Some(&card), None))
}

#[test]
fn a_recipe_tells_the_order_of_its_models_their_weights_and_which_is_the_base() {
    let ties = "merge_method: ties\nbase_model: o/base\nmodels:\n- model: z/one\n  parameters: {weight: 0.5, density: [0.1, 0.9]}\n- model: a/two\n  parameters: {weight: 1}";
    assert_eq!(
        parts(&[ties]),
        [
            "z/one: model 1 · weight 0.5 · density [0.1,0.9] · by ties",
            "a/two: model 2 · weight 1 · by ties",
            "o/base: base · by ties"
        ]
    );
    let slerp = "merge_method: slerp\nbase_model: z/one\nparameters: {t: [0, 0.5, 1]}\nslices:\n- sources:\n  - {model: z/one, layer_range: [0, 2]}\n  - {model: a/two, layer_range: [0, 2]}";
    assert_eq!(
        parts(&[slerp]),
        ["z/one: base · model 1 · by slerp", "a/two: model 2 · t [0,0.5,1] · by slerp"]
    );
}

#[test]
fn a_share_that_the_recipe_states_for_all_is_that_of_each_model_and_of_no_base_of_changes() {
    let linear = "merge_method: linear\nparameters: {weight: 1.0}\nmodels: [{model: a/one}, {model: a/two, parameters: {weight: 0.2}}]";
    assert_eq!(
        parts(&[linear]),
        ["a/one: model 1 · weight 1.0 · by linear", "a/two: model 2 · weight 0.2 · by linear"]
    );
    let ties = "merge_method: ties\nbase_model: a/one\nparameters: {weight: 1.0}\nmodels: [{model: a/one}, {model: a/two}]";
    assert_eq!(parts(&[ties]), ["a/one: base · model 1 · by ties", "a/two: model 2 · weight 1.0 · by ties"]);
}

const MODULES: &str = "base_model: a/one\nmerge_method: slerp\nmodules:\n  default:\n    slices:\n    - parameters: {t: 0.4}\n      sources:\n      - {layer_range: [0, 4], model: a/one}\n      - {layer_range: [0, 4], model: b/two}\n";

#[test]
fn the_form_that_the_merge_tool_itself_writes_names_all_models() {
    assert_eq!(parts(&[MODULES]), ["a/one: base · model 1 · by slerp", "b/two: model 2 · t 0.4 · by slerp"]);
    let stacked = "merge_method: passthrough\nmodules:\n  default:\n    slices:\n    - sources: [{layer_range: [0, 4], model: a/one}]\n    - sources: [{layer_range: [2, 4], model: b/two}]\n";
    assert_eq!(parts(&[stacked]), ["a/one: model 1 · by passthrough", "b/two: model 2 · by passthrough"]);
}

#[test]
fn of_several_documents_or_blocks_the_last_step_tells_the_parts_and_no_step_is_a_parent() {
    let first = "name: First\nmerge_method: karcher\nmodels: [{model: a/one}, {model: b/two}]";
    let last = "merge_method: ties\nbase_model: c/base\nmodels:\n- model: ./intermediates/First\n- model: d/four\n  parameters: {weight: 0.5}";
    let expected = [
        "d/four: model 2 · weight 0.5 · by ties",
        "c/base: base · by ties",
        "a/one: in First · model 1 · by karcher",
        "b/two: in First · model 2 · by karcher",
    ];

    assert_eq!(parts(&[first, last]), expected);
    assert_eq!(parts(&[&format!("{first}\n---\n{last}")]), expected);
    assert_eq!(parts(&[&format!("--- # two steps\n{last}\n---\n{first}")]), expected);
    let unread = parts(&[first, "merge_method: slerp\nmodels:\n  - model: x/y\n bad: [", last]);
    assert_eq!(unread, expected, "a block that is no YAML costs no other");
    let folder = "merge_method: slerp\nmodels: [{model: intermediates/First}, {model: d/four}]";
    assert_eq!(parts(&[first, folder])[0], "d/four: model 2 · by slerp");
}

#[test]
fn the_base_of_a_slice_and_the_experts_of_a_mixture_are_parents() {
    let slices =
        "merge_method: ties\nslices:\n- base_model: o/base\n  sources: [{model: a/one, layer_range: [0, 2]}]";
    assert_eq!(parts(&[slices]), ["a/one: model 1 · by ties", "o/base: base · by ties"]);
    let mixture = "base_model: a/one\ngate_mode: hidden\nexperts:\n  - source_model: a/one\n    positive_prompts: [x]\n  - source_model: b/two\nshared_experts:\n  - source_model: c/three";
    assert_eq!(
        parts(&[mixture]),
        ["a/one: base · model 1 · by moe", "b/two: model 2 · by moe", "c/three: model 3 · by moe"]
    );
}

#[test]
fn the_recipe_beside_a_card_without_one_is_read() {
    let bare = read(Some("---\nlicense: mit\n---\n# Hello\n"), Some(MODULES));
    let own = read(Some("```yaml\nmerge_method: linear\nmodels: [{model: x/y}]\n```\n"), Some(MODULES));
    let cut = Beginning { bytes: MODULES.as_bytes().to_vec(), size: 1 << 30 };
    let folder = Folder { recipe: Some(&cut), ..Folder::default() };
    let cut = from_checkpoint(RepoId::parse("me/m").unwrap(), &folder, &Limits::default());

    assert_eq!(parts_of(&bare), ["a/one: base · model 1 · by slerp", "b/two: model 2 · t 0.4 · by slerp"]);
    assert_eq!(parts_of(&own), ["x/y: model 1 · by linear"]);
    assert_eq!((cut.parents.len(), cut.notes[0].code.as_str()), (0, "recipe_unread"));
}

#[test]
fn a_recipe_tells_what_its_changes_are_measured_from_unless_its_method_knows_none() {
    let card = |method: &str| {
        format!(
            "---\nlicense: mit\n---\n```yaml\nmodels:\n- model: a/b\nbase_model: c/d@main\nmerge_method: {method}\n```\n"
        )
    };
    let evidence =
        |detail: &str| Evidence { source: Source::MergeConfig, detail: detail.to_owned(), confidence: 0.85 };

    assert_eq!(delta_base(&card("task_arithmetic")).as_deref(), Some("c/d"));
    assert_eq!(delta_base(&card("slerp")), None);
    assert_eq!(delta_base("---\nbase_model: c/d\n---\n"), None);
    assert!(is_delta_base(&evidence("c/d · base · by ties")));
    assert!(!is_delta_base(&evidence("c/d · base · model 1 · by slerp")));
    assert!(!is_delta_base(&evidence("c/d · model 1 · by ties")));
    assert!(!is_delta_base(&evidence("c/d · in First · base · by ties")), "another step's base");
}
