//! Checkpoints in memory for tests.

use std::sync::Arc;

use kernels::Dtype;
use weights::{TensorInfo, TensorSource};

/// A checkpoint whose bytes are in memory.
#[derive(Clone)]
pub struct Fixture {
    infos: Vec<TensorInfo>,
    bytes: Vec<Vec<u8>>,
}

impl Fixture {
    pub fn empty() -> Self {
        Self { infos: Vec::new(), bytes: Vec::new() }
    }

    /// Adds a float tensor; call in any order.
    pub fn with(self, name: &str, dtype: Dtype, shape: &[u64], values: &[f64]) -> Self {
        let mut bytes = vec![0; values.len() * dtype.bits() as usize / 8];
        kernels::encode_f64(dtype, values, &mut bytes);
        self.with_bytes(name, dtype, shape, bytes)
    }

    pub fn with_bytes(mut self, name: &str, dtype: Dtype, shape: &[u64], bytes: Vec<u8>) -> Self {
        let info = TensorInfo { name: name.into(), dtype, shape: shape.to_vec() };
        assert_eq!(info.bytes(), bytes.len() as u64, "{name}");
        let at = self.infos.partition_point(|other| other.name.as_str() < name);
        self.infos.insert(at, info);
        self.bytes.insert(at, bytes);
        self
    }

    pub fn share(self) -> Arc<dyn TensorSource> {
        Arc::new(self)
    }
}

impl TensorSource for Fixture {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        let from = offset as usize;
        out.copy_from_slice(&self.bytes[index][from..from + out.len()]);
        Ok(())
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        let width = (self.infos[index].dtype.bits() / 8) as usize;
        let from = start as usize * width;
        kernels::decode(self.infos[index].dtype, &self.bytes[index][from..from + out.len() * width], out);
        Ok(())
    }
}

/// Has something to say to every question, of one table of two rows.
pub struct Telling(Vec<TensorInfo>);

impl Telling {
    pub fn shared() -> Arc<dyn TensorSource> {
        let name = "model.embed_tokens.weight".to_owned();
        Arc::new(Self(vec![TensorInfo { name, dtype: Dtype::Bf16, shape: vec![2, 1] }]))
    }
}

impl TensorSource for Telling {
    fn tensors(&self) -> &[TensorInfo] {
        &self.0
    }

    fn read_bytes(&self, _: usize, _: u64, _: &mut [u8]) -> Result<(), weights::Error> {
        Ok(())
    }

    fn read_f32(&self, _: usize, _: u64, _: &mut [f32]) -> Result<(), weights::Error> {
        Ok(())
    }

    fn ready(&self, _: usize) -> Result<(), weights::Error> {
        Err(weights::Error::Stopped)
    }

    fn account(&self, _: usize) -> weights::Account {
        weights::Account::from_iter([("kept".to_owned(), 1.into())])
    }

    fn cautions(&self) -> Vec<domain::Item> {
        vec![domain::Item { pointer: String::new(), message: "careful".to_owned() }]
    }

    fn metadata(&self) -> std::collections::BTreeMap<String, String> {
        std::iter::once(("format".to_owned(), "pt".to_owned())).collect()
    }
}

/// Whether what [`Telling`] says is heard through a wrapper around it.
pub fn hears(wrapper: &dyn TensorSource) {
    let telling = Telling::shared();
    assert!(matches!(wrapper.ready(0), Err(weights::Error::Stopped)), "ready");
    assert_eq!(wrapper.account(0), telling.account(0));
    assert_eq!(wrapper.cautions(), telling.cautions());
    for (key, told) in telling.metadata() {
        assert_eq!(wrapper.metadata().get(&key), Some(&told));
    }
}

/// Repeatable values of many magnitudes around zero.
pub fn noise(seed: u64, len: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..len).map(|_| (next() - 0.5) * 10f64.powf(next() * 6.0 - 4.0)).collect()
}

/// A small model: bf16 and f32 matrices over two layers, a norm, an integer buffer, one tensor of several blocks.
pub fn model(seed: u64) -> Fixture {
    Fixture::empty()
        .with("model.embed_tokens.weight", Dtype::Bf16, &[40, 16], &noise(seed, 640))
        .with("model.layers.0.self_attn.q_proj.weight", Dtype::F32, &[30, 20], &noise(seed + 1000, 600))
        .with("model.layers.1.mlp.up_proj.weight", Dtype::Bf16, &[300, 500], &noise(seed + 2000, 150_000))
        .with("model.norm.weight", Dtype::F32, &[16], &noise(seed + 3000, 16))
        .with_bytes("model.steps", Dtype::I64, &[2], (0..16).collect())
}

/// All stored bytes of a tensor.
pub fn bytes(source: &dyn TensorSource, index: usize) -> Vec<u8> {
    let mut bytes = vec![0; source.tensors()[index].bytes() as usize];
    source.read_bytes(index, 0, &mut bytes).unwrap();
    bytes
}

/// All elements of the named tensor.
pub fn values(source: &dyn TensorSource, name: &str) -> Vec<f32> {
    let index = source.position(name).unwrap();
    let mut values = vec![0.0; source.tensors()[index].elements() as usize];
    source.read_f32(index, 0, &mut values).unwrap();
    values
}

/// Whether two checkpoints hold the same tensors bit for bit.
pub fn same(a: &dyn TensorSource, b: &dyn TensorSource) -> bool {
    a.tensors() == b.tensors() && (0..a.tensors().len()).all(|index| bytes(a, index) == bytes(b, index))
}
