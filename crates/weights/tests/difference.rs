//! Stored differences that contradict themselves, and what sound ones read as.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use domain::{Fault, Limits};
use support::{file, one};
use weights::{Difference, Error, TensorSource};

/// A sparse difference of one tensor `w` with these indices, values 1, 2, …
fn sparse(shape: &str, indices: &[u32]) -> Result<Arc<dyn TensorSource>, Error> {
    let end = indices.len() * 4;
    let mut data: Vec<u8> = indices.iter().flat_map(|at| at.to_le_bytes()).collect();
    data.extend((1..=indices.len()).flat_map(|value| (value as f32).to_le_bytes()));
    let header = format!(
        r#"{{"__metadata__":{{"content":"difference","form":"sparse","tensors":"{{\"w\":{{\"shape\":{shape}}}}}"}},
        "w.indices":{{"dtype":"U32","shape":[{len}],"data_offsets":[0,{end}]}},
        "w.values":{{"dtype":"F32","shape":[{len}],"data_offsets":[{end},{last}]}}}}"#,
        len = indices.len(),
        last = 2 * end
    );
    Difference::dense(Arc::new(one(file(&header, &data))), &Limits::default())
}

/// A low-rank difference of one tensor `w` whose factors are A and B of these shapes, all ones.
fn low_rank(shape: &str, a: [usize; 2], b: [usize; 2]) -> Result<Arc<dyn TensorSource>, Error> {
    within(&Limits::default(), shape, [a, b])
}

fn within(limits: &Limits, shape: &str, [a, b]: [[usize; 2]; 2]) -> Result<Arc<dyn TensorSource>, Error> {
    let (first, second) = (a[0] * a[1] * 4, b[0] * b[1] * 4);
    let data: Vec<u8> = (0..(first + second) / 4).flat_map(|_| 1f32.to_le_bytes()).collect();
    let header = format!(
        r#"{{"__metadata__":{{"content":"difference","form":"low-rank","tensors":"{{\"w\":{{\"shape\":{shape}}}}}"}},
        "w.lora_A":{{"dtype":"F32","shape":{a:?},"data_offsets":[0,{first}]}},
        "w.lora_B":{{"dtype":"F32","shape":{b:?},"data_offsets":[{first},{last}]}}}}"#,
        last = first + second
    );
    Difference::dense(Arc::new(one(file(&header, &data))), limits)
}

fn values(source: &dyn TensorSource) -> Vec<f32> {
    let mut out = vec![0.0; source.tensors()[0].elements() as usize];
    source.read_f32(0, 0, &mut out).unwrap();
    out
}

#[test]
fn what_a_sparse_form_left_out_is_zero_and_factors_are_multiplied() {
    let sparse = sparse("[2,3]", &[1, 2, 5]).unwrap();
    let factored = low_rank("[2,3]", [4, 3], [2, 4]).unwrap();

    assert_eq!(sparse.tensors()[0].shape, [2, 3]);
    assert_eq!(values(&*sparse), [0.0, 1.0, 2.0, 0.0, 0.0, 3.0]);
    assert_eq!(values(&*factored), [4.0; 6]);
}

#[test]
fn factors_past_the_limit_are_refused() {
    let limited = |low_rank_bytes| {
        let limits = Limits { low_rank_bytes, ..Limits::default() };
        within(&limits, "[2,3]", [[4, 3], [2, 4]])
    };

    assert!(limited(80).is_ok(), "twelve numbers and eight");
    let refused = limited(79).err().unwrap();
    assert!(matches!(refused, Error::TooLarge { size: 80, limit: 79, .. }), "{refused}");
}

#[test]
fn any_cut_of_a_read_gives_the_same_bytes() {
    for source in [sparse("[2,3]", &[0, 2, 3]).unwrap(), low_rank("[2,3]", [1, 3], [2, 1]).unwrap()] {
        let mut whole = [0; 24];
        source.read_bytes(0, 0, &mut whole).unwrap();
        for begin in 0..24 {
            for end in begin..=24 {
                let mut part = vec![0; end - begin];
                source.read_bytes(0, begin as u64, &mut part).unwrap();
                assert_eq!(part, whole[begin..end]);
            }
        }
    }
}

#[test]
fn a_description_that_its_tensors_contradict_is_refused() {
    let refused = [
        sparse("[2,3]", &[1, 1]),
        sparse("[2,3]", &[4, 2]),
        sparse("[2,3]", &[6]),
        sparse("[-1]", &[]),
        sparse("[4294967296,4294967296,4294967296]", &[]),
        low_rank("[2,3]", [4, 3], [2, 5]),
        low_rank("[3,2]", [4, 3], [2, 4]),
        low_rank("[6]", [1, 3], [2, 1]),
        low_rank("[2,3]", [1_025, 3], [2, 1_025]),
    ];

    for (at, source) in refused.into_iter().enumerate() {
        assert_eq!(source.err().map(|error| error.code()), Some("bad_difference"), "case {at}");
    }
}

#[test]
fn a_few_bytes_cannot_stand_for_more_than_a_file_may_hold() {
    let error = sparse("[1099511627776]", &[]).err().unwrap();

    assert_eq!(error.code(), "file_too_large", "{error}");
}
