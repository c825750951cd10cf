//! Our results against those of mergekit 0.1.5, which `scripts/goldens` writes.

use std::path::PathBuf;

use domain::Limits;
use kernels::{Dtype, splitmix_unit};
use weights::TensorSource;

use super::{Input, Inputs, check, parse};
use crate::testing::{Fixture, values};

/// Tensors of the tiny checkpoints, as `scripts/goldens` has them.
const SHAPES: [(&str, &[u64]); 12] = [
    ("lm_head.weight", &[24, 16]),
    ("model.embed_tokens.weight", &[24, 16]),
    ("model.layers.0.input_layernorm.weight", &[16]),
    ("model.layers.0.mlp.down_proj.weight", &[16, 20]),
    ("model.layers.0.mlp.gate_proj.weight", &[20, 16]),
    ("model.layers.0.mlp.up_proj.weight", &[20, 16]),
    ("model.layers.0.post_attention_layernorm.weight", &[16]),
    ("model.layers.0.self_attn.k_proj.weight", &[8, 16]),
    ("model.layers.0.self_attn.o_proj.weight", &[16, 16]),
    ("model.layers.0.self_attn.q_proj.weight", &[16, 16]),
    ("model.layers.0.self_attn.v_proj.weight", &[8, 16]),
    ("model.norm.weight", &[16]),
];

/// The base, or the base and a uniform delta of a size.
fn checkpoint(delta: Option<(u64, f64)>) -> Fixture {
    let mut made = Fixture::empty();
    for (at, (name, shape)) in (0u64..).zip(SHAPES) {
        let element = |i: u64| {
            let base = 0.1 * (splitmix_unit(at, i) - 0.5);
            delta.map_or(base, |(model, size)| base + size * (splitmix_unit(1000 * model + at, i) - 0.5))
        };
        let values: Vec<f64> = (0..shape.iter().product()).map(element).collect();
        made = made.with(name, Dtype::F32, shape, &values);
    }
    made
}

fn inputs() -> Inputs {
    let named = [
        ("base", None),
        ("a", Some((1, 0.02))),
        ("b", Some((2, 0.03))),
        ("c", Some((3, 0.01))),
        ("d", Some((4, 6e-4))),
        ("e", Some((5, 3e-4))),
        ("f", Some((6, 4.0))),
    ];
    named
        .map(|(name, delta)| {
            (
                name.to_owned(),
                Input { source: checkpoint(delta).share(), content: name.to_owned(), config: None },
            )
        })
        .into()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

/// The largest difference between our answer to a recipe and a golden, over the size of the weights.
fn error(recipe: &str, golden: &str) -> f64 {
    let merged = check(&parse(recipe).unwrap(), &inputs(), &Limits::default()).unwrap();
    let ours: Vec<f32> = merged.tensors().iter().flat_map(|info| values(&merged, &info.name)).collect();
    let bytes = fs_err::read(folder().join(golden)).unwrap();
    let theirs: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
    assert_eq!(ours.len(), theirs.len());
    let size = theirs.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let worst = ours.iter().zip(&theirs).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
    f64::from(worst / size)
}

#[test]
fn every_recipe_gives_what_mergekit_gives() {
    let mut cases = 0;
    let mut wrong = Vec::new();
    for entry in fs_err::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "yml") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let recipe = fs_err::read_to_string(&path).unwrap();

            let error = error(&recipe, &format!("{name}.f32"));

            cases += 1;
            if error >= 1e-6 {
                wrong.push(format!("{name}: {error:e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(cases, 33);
}

#[test]
fn without_the_parity_flag_small_deltas_keep_their_weights_in_sce() {
    let recipe = fs_err::read_to_string(folder().join("sce_small.yml")).unwrap();

    let error = error(&recipe.replace("legacy_eps: true", "legacy_eps: false"), "sce_small.f32");

    assert!(error > 1e-3, "{error:e}");
}
