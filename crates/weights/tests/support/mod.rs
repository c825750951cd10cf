//! Small safetensors files built by hand.
#![allow(dead_code)]

use std::sync::Arc;

use domain::{Fault, Limits};
use weights::{Bytes, Checkpoint, Header, ReadAt};

/// A file with this header text and this many data bytes.
pub fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// A file of F32 tensors laid out in the order given.
pub fn tensors(list: &[(&str, &[u64], &[f32])]) -> Vec<u8> {
    let (mut entries, mut data) = (Vec::new(), Vec::<u8>::new());
    for (name, shape, values) in list {
        let begin = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        entries.push(format!(
            r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{begin},{}]}}"#,
            data.len()
        ));
    }
    file(&format!("{{{}}}", entries.join(",")), &data)
}

pub fn held(bytes: Vec<u8>) -> Arc<dyn ReadAt> {
    Arc::new(Bytes(bytes))
}

pub fn one(bytes: Vec<u8>) -> Checkpoint {
    Checkpoint::open_files(vec![("model.safetensors".into(), held(bytes))], None, &Limits::default()).unwrap()
}

/// The code with which a file is refused, or `ok`.
pub fn verdict(bytes: Vec<u8>, limits: &Limits) -> &'static str {
    Header::read(&Bytes(bytes), "model.safetensors", limits).map_or_else(|error| error.code(), |_| "ok")
}
