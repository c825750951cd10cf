//! Eight-bit floats with scales as numbers, and quantised layouts refused by name.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use serde_json::{Value, json};
use support::{file, one};
use weights::{Checkpoint, Dtype, Error, Scaled, TensorSource, foreign_weights, quantisation};

/// A tensor to be stored: name, dtype, shape, bytes.
type Tensor<'a> = (&'a str, &'a str, &'a [u64], Vec<u8>);

fn checkpoint(list: &[Tensor]) -> Checkpoint {
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (name, dtype, shape, bytes) in list {
        let begin = data.len();
        data.extend(bytes);
        let end = data.len();
        entries.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#
        ));
    }
    one(file(&format!("{{{}}}", entries.join(",")), &data))
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn scaled(list: &[Tensor], config: &Value) -> Result<Option<Scaled>, Error> {
    Scaled::new(Arc::new(checkpoint(list)), Some(config))
}

fn values(source: &Scaled, name: &str) -> Vec<f32> {
    let index = source.position(name).unwrap();
    let mut values = vec![0.0; source.tensors()[index].elements() as usize];
    source.read_f32(index, 0, &mut values).unwrap();
    values
}

/// 1, 2, −1.5 and 448 as `F8_E4M3`.
const CODES: [u8; 4] = [0x38, 0x40, 0xBC, 0x7E];

#[test]
fn one_scale_is_for_the_whole_tensor_and_scales_of_activations_are_hidden() {
    let list = [
        ("a.input_scale", "F32", &[][..], f32s(&[9.0])),
        ("a.weight", "F8_E4M3", &[2, 2], CODES.to_vec()),
        ("a.weight_scale", "F32", &[1], f32s(&[0.3])),
        ("b.weight", "F8_E5M2", &[1], vec![0x3C]),
    ];

    let source = scaled(&list, &json!({})).unwrap().unwrap();

    let names: Vec<_> = source.tensors().iter().map(|info| (info.name.as_str(), info.dtype)).collect();
    assert_eq!(names, [("a.weight", Dtype::F32), ("b.weight", Dtype::F8E5M2)]);
    assert_eq!(values(&source, "a.weight"), [0.3, 0.6, -1.5 * 0.3, 448.0 * 0.3]);
    assert_eq!(values(&source, "b.weight"), [1.0], "without a scale it is what it is");
}

#[test]
fn a_scale_a_row_and_a_scale_a_column_are_told_apart() {
    let bf16 = |values: &[f32]| {
        values.iter().flat_map(|v| (v.to_bits() >> 16).to_le_bytes()[..2].to_vec()).collect()
    };
    let weight = || ("a.weight", "F8_E4M3", &[2, 2][..], CODES.to_vec());

    let rows = scaled(&[weight(), ("a.weight_scale", "BF16", &[2, 1], bf16(&[2.0, 0.5]))], &json!({}));
    let flat = scaled(&[weight(), ("a.weight_scale", "F32", &[2], f32s(&[2.0, 0.5]))], &json!({}));
    let columns = scaled(&[weight(), ("a.weight_scale", "F32", &[1, 2], f32s(&[2.0, 0.5]))], &json!({}));

    assert_eq!(values(&rows.unwrap().unwrap(), "a.weight"), [2.0, 4.0, -0.75, 224.0]);
    assert_eq!(values(&flat.unwrap().unwrap(), "a.weight"), [2.0, 4.0, -0.75, 224.0]);
    assert_eq!(values(&columns.unwrap().unwrap(), "a.weight"), [2.0, 1.0, -3.0, 224.0]);
}

#[test]
fn blocks_are_128_by_128_unless_the_configuration_says_otherwise() {
    let (rows, columns) = (130usize, 300usize);
    let list = [
        ("a.weight", "F8_E4M3", &[130, 300][..], vec![0x38; rows * columns]),
        ("a.weight_scale_inv", "F32", &[2, 3], f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
    ];

    let source = scaled(&list, &json!({})).unwrap().unwrap();
    let all = values(&source, "a.weight");

    for (row, column, scale) in
        [(0, 0, 1.0), (127, 128, 2.0), (127, 299, 3.0), (128, 127, 4.0), (129, 255, 5.0)]
    {
        assert_eq!(all[row * columns + column], scale, "{row}, {column}");
    }
    let small = [
        ("a.weight", "F8_E4M3", &[2, 4][..], vec![0x38; 8]),
        ("a.weight_scale_inv", "F32", &[1, 2], f32s(&[1.0, 2.0])),
    ];
    let config = json!({"quantization_config": {"quant_method": "fp8", "weight_block_size": [2, 3]}});
    let source = scaled(&small, &config).unwrap().unwrap();
    assert_eq!(values(&source, "a.weight"), [1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 2.0]);
}

#[test]
fn experts_in_one_tensor_have_scales_of_their_own() {
    let list = [
        ("experts.up", "F8_E4M3", &[2, 2, 2][..], vec![0x38; 8]),
        ("experts.up_scale", "F32", &[2, 1, 2], f32s(&[1.0, 2.0, 3.0, 4.0])),
    ];

    let source = scaled(&list, &json!({})).unwrap().unwrap();

    assert_eq!(values(&source, "experts.up"), [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
}

#[test]
fn any_range_gives_the_same_values() {
    let cases: [(&[u64], &[u64]); 7] = [
        (&[260, 7], &[3, 1]),
        (&[260, 7], &[260, 1]),
        (&[260, 7], &[1, 7]),
        (&[2, 130, 7], &[2, 2, 1]),
        (&[2, 130, 7], &[2, 1, 7]),
        (&[1, 260, 7], &[1, 260, 1]),
        (&[2, 5, 2, 91], &[2, 5, 1, 1]),
    ];
    for (shape, scales) in cases {
        let count = scales.iter().product::<u64>() as u16;
        let codes: Vec<u8> = (0..1820u32).map(|at| (at % 0x7E) as u8).collect();
        let list = [
            ("a.weight", "F8_E4M3", shape, codes),
            ("a.weight_scale", "F32", scales, f32s(&(1..=count).map(f32::from).collect::<Vec<_>>())),
        ];
        let source = scaled(&list, &json!({})).unwrap().unwrap();
        let whole = values(&source, "a.weight");
        let bytes = f32s(&whole);

        for (start, len) in [(0, 1), (5, 9), (890, 20), (1, 1_800), (1819, 1), (1000, 0)] {
            let mut part = vec![0.0; len];
            source.read_f32(0, start as u64, &mut part).unwrap();
            assert_eq!(part, whole[start..start + len], "{shape:?} {scales:?}");
            let mut raw = vec![0; len * 3];
            source.read_bytes(0, start as u64 * 4 + 1, &mut raw).unwrap();
            assert_eq!(raw, bytes[start * 4 + 1..start * 4 + 1 + len * 3], "{shape:?} {scales:?}");
        }
        assert!(matches!(source.read_f32(0, 1819, &mut [0.0; 2]), Err(Error::OutOfRange { .. })));
    }
}

#[test]
fn scales_that_every_expert_shares_row_by_row_are_refused() {
    for (shape, scales) in [(&[2, 10, 4][..], &[1, 10, 1][..]), (&[2, 1, 10, 4], &[1, 1, 10, 1])] {
        let list = [
            ("experts.up", "F8_E4M3", shape, vec![0x38; 80]),
            ("experts.up_scale", "F32", scales, f32s(&[1.0; 10])),
        ];

        let error = scaled(&list, &json!({})).err().unwrap();

        assert!(matches!(&error, Error::Quantised { tensor, .. } if tensor == "experts.up"), "{error}");
    }
}

#[test]
fn scales_that_do_not_fit_are_refused_and_plain_floats_need_none() {
    for (shape, dtype, bytes) in
        [(&[3u64][..], "F32", 12), (&[2, 3], "F32", 24), (&[1, 1, 1], "F32", 4), (&[1], "F8_E8M0", 1)]
    {
        let list = [
            ("a.weight", "F8_E4M3", &[2, 2][..], CODES.to_vec()),
            ("a.weight_scale", dtype, shape, vec![0; bytes]),
        ];
        let error = scaled(&list, &json!({})).err().unwrap();
        assert!(matches!(&error, Error::Quantised { tensor, .. } if tensor == "a.weight"), "{error}");
    }
    assert!(scaled(&[("a.weight", "F8_E4M3", &[4], CODES.to_vec())], &json!({})).unwrap().is_none());
}

/// Layout, bits, group size, tensors beside `a.weight` as name, dtype and shape, and `quantization_config`.
type Case<'a> = (&'a str, Option<u64>, Option<u64>, &'a [(&'a str, &'a str, &'a [u64])], Value);

#[test]
fn every_quantised_layout_is_named_with_bits_groups_and_a_tensor() {
    let packed = &[("a.qweight", "I32", &[1, 64][..]), ("a.scales", "F16", &[1, 64])][..];
    let cases: [Case; 13] = [
        (
            "bitsandbytes 4-bit",
            Some(4),
            None,
            &[("a.weight.absmax", "F32", &[2]), ("a.weight.quant_map", "F32", &[16])],
            json!({}),
        ),
        (
            "bitsandbytes 4-bit",
            Some(4),
            None,
            &[("a.weight.quant_state.bitsandbytes__nf4", "U8", &[8])],
            json!({"quant_method": "bitsandbytes", "load_in_4bit": true}),
        ),
        ("bitsandbytes 8-bit", Some(8), None, &[("a.SCB", "F32", &[2])], json!({})),
        ("GPTQ", Some(4), Some(128), packed, json!({"quant_method": "gptq", "bits": 4, "group_size": 128})),
        ("GPTQ", None, None, packed, Value::Null),
        ("AWQ", None, None, &[("a.qweight", "I32", &[8, 8]), ("a.scales", "F16", &[1, 64])], Value::Null),
        ("AWQ", Some(4), Some(64), packed, json!({"quant_method": "awq", "w_bit": 4, "q_group_size": 64})),
        (
            "compressed-tensors",
            Some(4),
            Some(32),
            &[("a.weight_packed", "I32", &[2, 1])],
            json!({"quant_method": "compressed-tensors", "config_groups": {"group_0": {
                "input_activations": {"num_bits": 16}, "weights": {"num_bits": 4, "group_size": 32}}}}),
        ),
        (
            "NVFP4",
            Some(4),
            Some(16),
            &[("a.weight_scale_2", "F32", &[])],
            json!({"quant_method": "modelopt"}),
        ),
        (
            "HQQ",
            Some(4),
            None,
            &[("a.W_q", "U8", &[2, 1])],
            json!({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4}}}),
        ),
        (
            "AQLM",
            None,
            None,
            &[("a.codebooks", "F16", &[1]), ("a.codes", "I16", &[1])],
            json!({"quant_method": "aqlm"}),
        ),
        ("EETQ", Some(8), None, &[("a.weight_scales", "F16", &[2])], json!({})),
        (
            "MXFP4",
            Some(4),
            Some(32),
            &[("a.up_blocks", "U8", &[2, 1]), ("a.up_scales", "U8", &[2])],
            json!({"quant_method": "mxfp4"}),
        ),
    ];
    for (layout, bits, group_size, list, section) in cases {
        let width = |dtype: &str| Dtype::from_name(dtype).unwrap().bits() / 8;
        let list: Vec<Tensor> = list
            .iter()
            .map(|(name, dtype, shape)| {
                (*name, *dtype, *shape, vec![0; (shape.iter().product::<u64>() * width(dtype)) as usize])
            })
            .collect();
        let source = checkpoint(&list);
        let config = json!({"quantization_config": section});

        let told = quantisation(source.tensors(), Some(&config)).unwrap();

        assert_eq!(
            (told.layout.as_str(), told.bits, told.group_size),
            (layout, bits, group_size),
            "{told:?}"
        );
        assert!(source.position(&told.tensor).is_some());
    }
}

#[test]
fn integer_weights_are_quantised_when_scaled_or_when_the_configuration_names_a_method() {
    let eight =
        [("a.weight", "I8", &[2, 2][..], vec![0; 4]), ("a.weight_scale", "F32", &[2, 1], f32s(&[1.0; 2]))];
    let plain = &eight[..1];
    let method = json!({"quantization_config": {"quant_method": "bitnet"}});

    assert_eq!(quantisation(checkpoint(&eight).tensors(), None).unwrap().layout, "compressed-tensors");
    assert_eq!(quantisation(checkpoint(plain).tensors(), Some(&method)).unwrap().layout, "bitnet");
    assert_eq!(quantisation(checkpoint(plain).tensors(), None), None);
    let floats = [("a.weight", "BF16", &[2, 2][..], vec![0; 8])];
    assert_eq!(quantisation(checkpoint(&floats).tensors(), Some(&method)), None, "the tensors decide");
}

#[test]
fn files_of_other_formats_are_named_with_what_to_do() {
    for (names, told) in [
        (vec!["config.json", "model-q4.gguf"], "GGUF"),
        (vec!["onnx/model.onnx"], "ONNX"),
        (vec!["pytorch_model-00001-of-00002.bin"], "never unpickled"),
        (vec!["consolidated.00.pth"], "never unpickled"),
        (vec!["tf_model.h5"], "TensorFlow"),
    ] {
        assert!(foreign_weights(names.iter().copied()).unwrap().to_string().contains(told), "{names:?}");
    }
    assert!(foreign_weights(["config.json", "README.md", "training_args.bin"]).is_none());
}
