//! LoRA adapters applied, against hand calculations.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use domain::{Fault, Limits};
use serde_json::{Value, json};
use support::{one, tensors};
use weights::{Baked, Error, TensorSource, Untied, Unties};

const P: &str = "base_model.model.";

fn bake(
    base: &[(&str, &[u64], &[f32])],
    adapter: &[(&str, &[u64], &[f32])],
    config: &Value,
) -> Result<Baked, Error> {
    let named: Vec<(String, &[u64], &[f32])> =
        adapter.iter().map(|(n, s, v)| (format!("{P}{n}"), *s, *v)).collect();
    let named: Vec<(&str, &[u64], &[f32])> = named.iter().map(|(n, s, v)| (n.as_str(), *s, *v)).collect();
    Baked::new(Arc::new(one(tensors(base))), Arc::new(one(tensors(&named))), config, &Limits::default())
}

fn values(source: &dyn TensorSource, name: &str) -> Vec<f32> {
    let index = source.position(name).unwrap();
    let mut out = vec![0.0; source.tensors()[index].elements() as usize];
    source.read_f32(index, 0, &mut out).unwrap();
    out
}

// A = [[1,2,3]], B = [[10],[20]], so B·A = [[10,20,30],[20,40,60]].
const A: (&str, &[u64], &[f32]) = ("q.lora_A.weight", &[1, 3], &[1.0, 2.0, 3.0]);
const B: (&str, &[u64], &[f32]) = ("q.lora_B.weight", &[2, 1], &[10.0, 20.0]);
const W: (&str, &[u64], &[f32]) = ("q.weight", &[2, 3], &[1.0; 6]);

#[test]
fn factors_past_the_limit_are_refused_before_they_are_read_and_fit_all_the_same() {
    let named = [(format!("{P}{}", A.0), A.1, A.2), (format!("{P}{}", B.0), B.1, B.2)];
    let named: Vec<(&str, &[u64], &[f32])> = named.iter().map(|(n, s, v)| (n.as_str(), *s, *v)).collect();
    let (base, adapter) = (Arc::new(one(tensors(&[W]))), Arc::new(one(tensors(&named))));
    let config = json!({"r": 1});
    let within = |low_rank_bytes| {
        let limits = Limits { low_rank_bytes, ..Limits::default() };
        Baked::new(base.clone(), adapter.clone(), &config, &limits)
    };

    assert!(within(20).is_ok(), "five numbers");
    let refused = within(19).err().unwrap();
    assert!(matches!(refused, Error::TooLarge { size: 20, limit: 19, .. }), "{refused}");
    Baked::fits(&*base, &*adapter, &config).unwrap();
    assert!(matches!(Baked::fits(&*base, &*adapter, &json!({"r": 2})), Err(Error::Adapter(_))));
}

#[test]
fn the_scaled_product_is_added_and_other_tensors_stay() {
    let other: (&str, &[u64], &[f32]) = ("norm.weight", &[2], &[7.0, 8.0]);
    let baked = bake(&[W, other], &[A, B], &json!({"peft_type": "LORA", "r": 1, "lora_alpha": 2})).unwrap();
    assert_eq!(values(&baked, "q.weight"), [21.0, 41.0, 61.0, 41.0, 81.0, 121.0]);
    assert_eq!(values(&baked, "norm.weight"), [7.0, 8.0]);
}

#[test]
fn any_cut_of_a_read_gives_the_same_bytes() {
    let baked = bake(&[W], &[A, B], &json!({"r": 1, "lora_alpha": 0.3})).unwrap();
    let mut whole = [0; 24];
    baked.read_bytes(0, 0, &mut whole).unwrap();
    for begin in 0..24 {
        for end in begin..=24 {
            let mut part = vec![0; end - begin];
            baked.read_bytes(0, begin as u64, &mut part).unwrap();
            assert_eq!(part, whole[begin..end]);
        }
    }
}

#[test]
fn values_that_leave_the_range_of_the_base_are_refused_wherever_they_are_read() {
    let rank = json!({"r": 1, "lora_alpha": 1});
    let spoiled: (&str, &[u64], &[f32]) = ("q.lora_A.weight", &[1, 3], &[1.0, f32::NAN, 3.0]);
    let masked: (&str, &[u64], &[f32]) = ("q.weight", &[2, 3], &[f32::NEG_INFINITY, 1.0, 1.0, 1.0, 1.0, 1.0]);
    let read = |baked: &Baked| {
        let mut bytes = [0; 24];
        baked.read_bytes(0, 0, &mut bytes).map(|()| bytes).map_err(|error| (error.code(), error.to_string()))
    };

    for scale in [1e38, -1e38, 1e308] {
        let (code, told) = read(&bake(&[W], &[A, B], &rank).unwrap().with_strength(scale)).unwrap_err();
        assert_eq!(code, "values_too_large");
        assert!(told.contains("values of tensor `q.weight`") && told.contains("smaller scale"), "{told}");
    }
    let (code, told) = read(&bake(&[W], &[spoiled, B], &rank).unwrap()).unwrap_err();
    assert_eq!(code, "values_too_large");
    assert!(told.starts_with("2 values") && told.contains("adapter itself"), "{told}");
    let kept = read(&bake(&[masked], &[A, B], &rank).unwrap()).unwrap();
    assert_eq!(kept[..4], f32::NEG_INFINITY.to_le_bytes());
}

#[test]
fn patterns_and_rank_stabilisation_change_the_scale() {
    let a: (&str, &[u64], &[f32]) = ("x.q.lora_A.weight", &[4, 1], &[1.0; 4]);
    let b: (&str, &[u64], &[f32]) = ("x.q.lora_B.weight", &[1, 4], &[1.0; 4]);
    let w: (&str, &[u64], &[f32]) = ("x.q.weight", &[1, 1], &[0.0]);
    let scaled = |config: Value| values(&bake(&[w], &[a, b], &config).unwrap(), "x.q.weight")[0];
    assert_eq!(scaled(json!({"r": 4, "lora_alpha": 8})), 8.0);
    assert_eq!(scaled(json!({"r": 4, "lora_alpha": 8, "use_rslora": true})), 16.0);
    assert_eq!(scaled(json!({"r": 8, "lora_alpha": 8, "rank_pattern": {"q": 4}})), 8.0);
    assert_eq!(scaled(json!({"r": 4, "lora_alpha": 8, "alpha_pattern": {"x.q": 16}})), 16.0);
    assert_eq!(scaled(json!({"r": 4, "lora_alpha": 8, "alpha_pattern": {"k": 16}})), 8.0);
}

#[test]
fn a_pattern_cannot_take_the_memory() {
    let refused = |config: Value| bake(&[W], &[A, B], &config).err().unwrap().to_string();

    let nested = refused(json!({"r": 1, "rank_pattern": {"(?:(?:a{1000}){1000}){1000}": 1}}));
    let many: serde_json::Map<String, Value> = (0..1_001).map(|i| (format!("m{i}"), json!(1))).collect();
    let many = refused(json!({"r": 1, "alpha_pattern": many}));

    assert!(nested.contains("too large an expression"), "{nested}");
    assert!(many.contains("1001 patterns; at most 1000"), "{many}");
}

#[test]
fn names_and_expressions_match_the_end_of_a_module() {
    let a: (&str, &[u64], &[f32]) = ("m.0.q_proj.lora_A.weight", &[4, 1], &[1.0; 4]);
    let b: (&str, &[u64], &[f32]) = ("m.0.q_proj.lora_B.weight", &[1, 4], &[1.0; 4]);
    let w: (&str, &[u64], &[f32]) = ("m.0.q_proj.weight", &[1, 1], &[0.0]);

    for (pattern, scale) in [
        ("q_proj", 4.0),
        ("0.q_proj", 4.0),
        ("m.0.q_proj", 4.0),
        ("m.0.q_pro.", 4.0),
        ("_proj", 2.0),
        ("x.m.0.q_proj", 2.0),
        (r"m\.\d+\.\w+", 4.0),
        (r"(q|k)_proj", 4.0),
        (r"\w_pro", 2.0),
    ] {
        let config = json!({"r": 4, "lora_alpha": 8, "alpha_pattern": {pattern: 16}});
        let baked = bake(&[w], &[a, b], &config).unwrap();
        assert_eq!(values(&baked, "m.0.q_proj.weight"), [4.0 * scale], "{pattern}");
    }
}

#[test]
fn a_rank_that_only_costs_work_is_refused() {
    let rank = 1_025;
    let (a, b) = (vec![0.0; rank * 3], vec![0.0; rank * 2]);
    let a: (&str, &[u64], &[f32]) = ("q.lora_A.weight", &[1_025, 3], &a);
    let b: (&str, &[u64], &[f32]) = ("q.lora_B.weight", &[2, 1_025], &b);

    let error = bake(&[W], &[a, b], &json!({"r": rank})).err().unwrap().to_string();

    assert!(error.contains("its rank is 1025, but `q.weight` has 2 × 3"), "{error}");
}

#[test]
fn transposed_bases_and_embeddings_take_the_transposed_product() {
    let w: (&str, &[u64], &[f32]) = ("q.weight", &[3, 2], &[0.0; 6]);
    let config = json!({"r": 1, "lora_alpha": 1, "fan_in_fan_out": true});
    assert_eq!(
        values(&bake(&[w], &[A, B], &config).unwrap(), "q.weight"),
        [10.0, 20.0, 20.0, 40.0, 30.0, 60.0]
    );
    let a: (&str, &[u64], &[f32]) = ("q.lora_embedding_A", &[2, 3], &[1.0, 2.0, 3.0, 0.0, 0.0, 1.0]);
    let b: (&str, &[u64], &[f32]) = ("q.lora_embedding_B", &[2, 2], &[10.0, 1.0, 20.0, 2.0]);
    let baked = bake(&[w], &[a, b], &json!({"r": 2, "lora_alpha": 2})).unwrap();
    assert_eq!(values(&baked, "q.weight"), [10.0, 20.0, 20.0, 40.0, 31.0, 62.0]);
}

#[test]
fn tensors_stored_whole_replace_the_base() {
    let head: (&str, &[u64], &[f32]) = ("q.weight", &[2, 3], &[9.0; 6]);
    assert_eq!(values(&bake(&[W], &[head], &json!({})).unwrap(), "q.weight"), [9.0; 6]);
}

#[test]
fn every_reason_why_an_adapter_does_not_fit_is_told_at_once() {
    let config = json!({"r": 1, "lora_alpha": 1});
    let a: (&str, &[u64], &[f32]) = ("k.lora_A.weight", &[1, 3], &[1.0; 3]);
    let v: (&str, &[u64], &[f32]) = ("v.lora_A.weight", &[1, 1], &[1.0]);
    let v_b: (&str, &[u64], &[f32]) = ("v.lora_B.weight", &[1, 1], &[1.0]);
    let error = bake(&[W], &[a, v, v_b], &config).err().unwrap();
    assert_eq!(error.items().len(), 2, "{error}");
    let wide: (&str, &[u64], &[f32]) = ("q.weight", &[3, 3], &[1.0; 9]);
    assert_eq!(bake(&[wide], &[A, B], &config).err().unwrap().items().len(), 1);
    assert_eq!(bake(&[W], &[A, B], &json!({"r": 2})).err().unwrap().items().len(), 1);
    let dora = json!({"peft_type": "LOHA", "use_dora": true, "rank_pattern": {"(": 1}});
    assert_eq!(bake(&[W], &[A, B], &dora).err().unwrap().items().len(), 3);
    let magnitude: (&str, &[u64], &[f32]) = ("q.lora_magnitude_vector", &[2], &[1.0; 2]);
    assert_eq!(bake(&[W], &[A, B, magnitude], &config).err().unwrap().code(), "adapter_mismatch");
}

#[test]
fn the_bias_of_a_factor_is_added_to_that_of_the_base_with_the_same_scale() {
    let bias: (&str, &[u64], &[f32]) = ("q.bias", &[2], &[5.0, 6.0]);
    let shift: (&str, &[u64], &[f32]) = ("q.lora_B.bias", &[2], &[1.0, -1.0]);
    let config = json!({"r": 1, "lora_alpha": 2, "lora_bias": true});

    let baked = bake(&[W, bias], &[A, B, shift], &config).unwrap();
    let without = bake(&[W], &[A, B, shift], &config).err().unwrap().to_string();

    assert_eq!(values(&baked, "q.bias"), [7.0, 4.0]);
    assert_eq!(values(&baked.with_strength(0.5), "q.bias"), [6.0, 5.0]);
    assert!(without.contains("the base has no tensor `q.bias`"), "{without}");
}

#[test]
fn head_and_embedding_of_a_base_that_ties_them_are_changed_one_by_one() {
    let base: [(&str, &[u64], &[f32]); 3] = [
        ("model.embed_tokens.weight", &[2, 1], &[1.0, 2.0]),
        ("a.weight", &[1], &[3.0]),
        ("z.weight", &[1], &[4.0]),
    ];
    let saved: (&str, &[u64], &[f32]) = ("model.embed_tokens.weight", &[2, 1], &[8.0, 9.0]);
    let head: (&str, &[u64], &[f32]) = ("lm_head.weight", &[2, 1], &[6.0, 7.0]);
    let down: (&str, &[u64], &[f32]) = ("lm_head.lora_A.weight", &[1, 1], &[1.0]);
    let up: (&str, &[u64], &[f32]) = ("lm_head.lora_B.weight", &[2, 1], &[1.0, 1.0]);
    let own: (&str, &[u64], &[f32]) = ("lm_head.base_layer.weight", &[2, 1], &[1.0, 2.0]);
    let config = json!({"r": 1, "lora_alpha": 1});
    let adapter = |list: &[(&str, &[u64], &[f32])]| {
        let named: Vec<(String, &[u64], &[f32])> =
            list.iter().map(|(n, s, v)| (format!("{P}{n}"), *s, *v)).collect();
        let named: Vec<(&str, &[u64], &[f32])> = named.iter().map(|(n, s, v)| (n.as_str(), *s, *v)).collect();
        Arc::new(one(tensors(&named)))
    };
    let whole: Arc<dyn TensorSource> = Arc::new(one(tensors(&base)));

    for (list, unties, table, lm_head) in [
        (vec![saved], Unties::Table, [8.0, 9.0], [1.0, 2.0]),
        (vec![head], Unties::Head, [1.0, 2.0], [6.0, 7.0]),
        (vec![saved, head], Unties::Head, [8.0, 9.0], [6.0, 7.0]),
        (vec![down, up, own], Unties::Head, [1.0, 2.0], [2.0, 3.0]),
    ] {
        let low = adapter(&list);
        assert_eq!(Unties::of(&*low, &config), Some(unties));

        let untied: Arc<dyn TensorSource> = Arc::new(Untied::of(&whole).unwrap());
        let baked = Baked::new(untied, low, &config, &Limits::default()).unwrap();

        assert_eq!(values(&baked, "model.embed_tokens.weight"), table);
        assert_eq!(values(&baked, "lm_head.weight"), lm_head);
        assert_eq!((values(&baked, "a.weight"), values(&baked, "z.weight")), (vec![3.0], vec![4.0]));
    }
    let tied = json!({"r": 1, "ensure_weight_tying": true});
    assert_eq!(Unties::of(&*adapter(&[saved]), &tied), None);
    assert_eq!(Unties::of(&*adapter(&[A, B]), &config), None);
    assert!(Untied::of(&(Arc::new(one(tensors(&[head, saved]))) as Arc<dyn TensorSource>)).is_none());
}

#[test]
fn an_adapter_of_another_kind_is_told_whatever_its_base() {
    let unread = |config: serde_json::Value, name: &str| weights::unread_adapter(&config, [name].into_iter());

    assert_eq!(unread(serde_json::json!({}), "base_model.model.q.lora_A.weight"), None);
    for (config, name, told) in [
        (serde_json::json!({"use_dora": true}), "q.lora_A.weight", "use_dora is set"),
        (serde_json::json!({"peft_type": "IA3"}), "q.ia3_l", "peft_type is IA3"),
        (serde_json::json!({}), "q.lora_magnitude_vector", "`q.lora_magnitude_vector`"),
        (serde_json::json!({}), "lora_unet_q.lora_A.weight", "`lora_unet_q.lora_A.weight`"),
    ] {
        assert!(unread(config, name).unwrap().contains(told), "{name}");
    }
}
