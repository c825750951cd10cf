//! Methods that hold matrices whole: what they take, and when they stop.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use domain::Limits;
use kernels::Dtype;
use weights::{Error, Scratch, TensorInfo, TensorSource};

use super::{Input, Inputs, check, parse};
use crate::testing::{Fixture, noise};

const NAME: &str = "layers.0.up_proj.weight";

/// A tensor that can be made ready so many times before it is stopped.
struct Stopping {
    made: Fixture,
    left: AtomicUsize,
}

impl TensorSource for Stopping {
    fn tensors(&self) -> &[TensorInfo] {
        self.made.tensors()
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.made.read_bytes(index, offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), Error> {
        self.made.read_f32(index, start, out)
    }

    fn ready(&self, _: usize) -> Result<(), Error> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| Error::Stopped)
    }
}

/// The header of a tensor.
struct Header([TensorInfo; 1]);

impl Header {
    fn of(shape: [u64; 2]) -> Arc<dyn TensorSource> {
        Arc::new(Self([TensorInfo { name: NAME.into(), dtype: Dtype::Bf16, shape: shape.to_vec() }]))
    }
}

impl TensorSource for Header {
    fn tensors(&self) -> &[TensorInfo] {
        &self.0
    }

    fn read_bytes(&self, _: usize, _: u64, _: &mut [u8]) -> Result<(), Error> {
        Err(Error::Stopped)
    }

    fn read_f32(&self, _: usize, _: u64, _: &mut [f32]) -> Result<(), Error> {
        Err(Error::Stopped)
    }
}

fn recipe(method: &str) -> String {
    let entries = ["a", "b", "c"].map(|name| match method {
        "regmean" => format!("{{model: o/{name}, parameters: {{gram: g}}}}"),
        _ => format!("{{model: o/{name}}}"),
    });
    let base = if method == "regmean" { "" } else { "base_model: o/base, " };
    format!("{{merge_method: {method}, {base}models: [{}]}}", entries.join(", "))
}

fn models(of: impl Fn(&str) -> Arc<dyn TensorSource>) -> Inputs {
    let input =
        |name: &str| (name.to_owned(), Input { source: of(name), content: name.to_owned(), config: None });
    ["o/base", "o/a", "o/b", "o/c", "g"].map(input).into()
}

#[test]
fn matrices_of_a_model_of_eight_billion_take_the_scratch_that_is_documented() {
    let gigabytes = |method: &str, [rows, columns]: [u64; 2]| {
        let all = models(|name| Header::of([if name == "g" { columns } else { rows }, columns]));
        let merged = check(&parse(&recipe(method)).unwrap(), &all, &Limits::default()).unwrap();
        let merged = merged.within(&Scratch::in_folder(Path::new("never made")));
        assert!(merged.memory(2) < 512 << 20, "{method}");
        merged.scratch(2) as f64 / 1e9
    };
    let documented =
        [("iso_c", [2.6, 2.6]), ("tsv_m", [3.2, 3.2]), ("wudi", [1.2, 2.7]), ("regmean", [2.1, 9.7])];
    for (method, [tall, wide]) in documented {
        for (shape, expected) in [([14_336, 4_096], tall), ([4_096, 14_336], wide)] {
            let found = gigabytes(method, shape);

            assert!((found - expected).abs() < 0.06, "{method} {shape:?}: {found}");
        }
    }
}

#[test]
fn a_method_that_decomposes_stops_between_two_steps_once_its_inputs_are_stopped() {
    let made = |name: &str| match name {
        "g" => {
            let identity: Vec<f64> = (0..400).map(|at| f64::from(u8::from(at % 21 == 0))).collect();
            Fixture::empty().with(NAME, Dtype::F32, &[20, 20], &identity)
        }
        _ => {
            Fixture::empty().with(NAME, Dtype::F32, &[30, 20], &noise(name.bytes().map(u64::from).sum(), 600))
        }
    };
    for method in ["iso_c", "tsv_m", "wudi", "regmean"] {
        let merge = |left: usize| {
            let all = models(|name| Arc::new(Stopping { made: made(name), left: AtomicUsize::new(left) }));
            let merged = check(&parse(&recipe(method)).unwrap(), &all, &Limits::default()).unwrap();
            merged.read_bytes(0, 0, &mut [0; 2_400])
        };

        // All inputs are made ready once before the first is read.
        assert!(matches!(merge(1), Err(Error::Stopped)), "{method}");
        assert!(merge(100).is_ok(), "{method}");
    }
}
