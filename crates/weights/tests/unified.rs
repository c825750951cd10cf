//! Members of a shared difference: what sound files read as, and files that contradict themselves.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use domain::{Fault, Limits};
use serde_json::{Value, json};
use support::{file, one};
use weights::{Error, TensorSource, Unified};

/// A file of one tensor `w` of 2 by 5 that two members share; every part can be spoilt.
struct Parts {
    metadata: Value,
    header: Value,
    data: Vec<u8>,
}

fn parts() -> Parts {
    let shared: Vec<u8> = (1..=10).flat_map(|value| (value as f32).to_le_bytes()).collect();
    let scales: Vec<u8> = [0.5f64, 2.0].iter().flat_map(|scale| scale.to_le_bytes()).collect();
    let masks = [0b0000_0011, 0b0000_0010, 0b1111_1100, 0b0000_0001];
    Parts {
        metadata: json!({
            "content": "difference", "form": "emr", "version": "1",
            "members": json!([{ "name": "a" }, { "name": "b" }]).to_string(),
            "tensors": json!({ "w": { "shape": [2, 5] } }).to_string(),
        }),
        header: json!({
            "scales": { "dtype": "F64", "shape": [2], "data_offsets": [0, 16] },
            "w.unified": { "dtype": "F32", "shape": [2, 5], "data_offsets": [16, 56] },
            "w.masks": { "dtype": "U8", "shape": [2, 2], "data_offsets": [56, 60] },
        }),
        data: [scales, shared, masks.to_vec()].concat(),
    }
}

impl Parts {
    fn file(mut self) -> Arc<dyn TensorSource> {
        self.header["__metadata__"] = self.metadata;
        Arc::new(one(file(&self.header.to_string(), &self.data)))
    }

    fn member(self, index: usize) -> Result<Unified, Error> {
        let (file, limits) = (self.file(), Limits::default());
        let names = Unified::members(&*file, &limits)?.unwrap();
        Unified::new(file, (index, names.len()), &limits)
    }
}

fn values(source: &dyn TensorSource) -> Vec<f32> {
    let mut out = vec![0.0; source.tensors()[0].elements() as usize];
    source.read_f32(0, 0, &mut out).unwrap();
    out
}

#[test]
fn a_member_is_the_shared_difference_where_its_bits_are_set_times_its_scale() {
    let names = Unified::members(&*parts().file(), &Limits::default()).unwrap().unwrap();
    let [a, b] = [0, 1].map(|index| parts().member(index).unwrap());

    assert_eq!(names, ["a", "b"]);
    assert_eq!((a.tensors()[0].name.as_str(), &a.tensors()[0].shape[..]), ("w", &[2, 5][..]));
    assert_eq!(values(&a), [0.5, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5.0]);
    assert_eq!(values(&b), [0.0, 0.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 0.0]);
}

#[test]
fn any_cut_of_a_read_gives_the_same_bytes() {
    let member = parts().member(1).unwrap();
    let mut whole = [0; 40];
    member.read_bytes(0, 0, &mut whole).unwrap();

    for begin in 0..40 {
        for end in begin..=40 {
            let mut part = vec![0; end - begin];
            member.read_bytes(0, begin as u64, &mut part).unwrap();
            assert_eq!(part, whole[begin..end]);
        }
    }
    assert!(member.read_bytes(0, 38, &mut [0; 3]).is_err());
    assert!(member.read_unrounded(0, 8, &mut [0.0; 3]).is_none());
}

#[test]
fn a_file_that_contradicts_itself_is_refused() {
    let spoilt = |spoil: &dyn Fn(&mut Parts)| {
        let mut parts = parts();
        spoil(&mut parts);
        parts.member(1).err().map(|error| error.code())
    };
    let described = |key: &'static str, value: Value| {
        spoilt(&move |parts| parts.metadata[key] = Value::String(value.to_string()))
    };

    let refused = [
        spoilt(&|parts| parts.metadata["version"] = "2".into()),
        described("members", json!([{ "name": "a" }])),
        described("members", json!([{ "name": "a" }, { "name": "a" }])),
        described("members", json!([{ "name": "a" }, { "name": "" }])),
        described("members", json!([{ "name": "a" }, { "name": "b" }, { "name": "c" }])),
        described("members", json!({ "a": 1 })),
        described("tensors", json!({})),
        described("tensors", json!({ "w": { "shape": [10] } })),
        described("tensors", json!({ "v": { "shape": [2, 5] } })),
        described("tensors", json!({ "w": {} })),
        spoilt(&|parts| parts.header["w.masks"]["shape"] = json!([4])),
        spoilt(&|parts| parts.header["w.masks"]["dtype"] = "I8".into()),
        spoilt(&|parts| parts.header["scales"]["dtype"] = "I64".into()),
        spoilt(&|parts| parts.data[8..16].copy_from_slice(&f64::NAN.to_le_bytes())),
    ];

    for (at, code) in refused.into_iter().enumerate() {
        assert_eq!(code, Some("bad_difference"), "case {at}");
    }
}

#[test]
fn a_file_of_another_form_has_no_members_and_a_shared_one_is_not_read_whole() {
    let mut sparse = parts();
    sparse.metadata["form"] = "sparse".into();
    let limits = Limits::default();

    let whole = weights::Difference::dense(parts().file(), &limits);

    assert!(Unified::members(&*sparse.file(), &limits).unwrap().is_none());
    assert_eq!(whole.err().unwrap().code(), "bad_difference");
}
