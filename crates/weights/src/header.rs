//! The safetensors header, read by a strict pass of our own before anything trusts it.

use std::{collections::BTreeMap, collections::HashSet, fmt, ops::Range};

use domain::Limits;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::{
    Error, ReadAt, Result, TensorInfo,
    json::{self, Document, Reason, Strings},
    layout,
};

/// Bytes of the length field before the header.
const PREFIX: u64 = 8;

/// What one safetensors file holds, checked: the tensors fill the file without overlap, hole or rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Tensors sorted by name, each with its bytes in the file.
    pub tensors: Vec<(TensorInfo, Range<u64>)>,
    /// The `__metadata__` map.
    pub metadata: BTreeMap<String, String>,
}

/// A tensor as the header declares it, unchecked.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) offsets: (u64, u64),
}

struct Declared {
    entries: Vec<Entry>,
    metadata: BTreeMap<String, String>,
}

impl Header {
    /// Reads and checks the header of `file`; `label` names the file in errors.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the code of the broken rule; I/O errors.
    pub fn read(file: &dyn ReadAt, label: &str, limits: &Limits) -> Result<Self> {
        let size = file.len();
        let mut prefix = vec![0; size.min(PREFIX) as usize];
        file.read_at(0, &mut prefix)?;
        let end = Self::end(&prefix, (size, label), limits)?;
        let mut bytes = vec![0; (end - PREFIX) as usize];
        file.read_at(PREFIX, &mut bytes)?;
        Self::parse(&bytes, (size, label), limits)
    }

    /// Where the header of a file of `size` bytes ends, by its first eight bytes; it begins behind them.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a file too short for one, and for a length over the limit or the file.
    pub fn end(prefix: &[u8], (size, label): (u64, &str), limits: &Limits) -> Result<u64> {
        let Ok(prefix) = <[u8; 8]>::try_from(prefix) else {
            let message =
                format!("it has {size} bytes; a safetensors file begins with an 8-byte header length");
            return Err(Error::malformed("header_too_short", label, message));
        };
        let length = u64::from_le_bytes(prefix);
        if length > limits.header_bytes {
            if let Some(error) = mistaken(prefix, label) {
                return Err(error);
            }
            let message =
                format!("its header claims {length} bytes; at most {} are accepted", limits.header_bytes);
            return Err(Error::malformed("header_too_large", label, message));
        }
        if length < 2 {
            let message = format!("its header claims {length} bytes; the shortest, `{{}}`, has 2");
            return Err(Error::malformed("header_too_short", label, message));
        }
        let most = size.saturating_sub(PREFIX);
        if length > most {
            let message = format!("its header claims {length} bytes, but only {most} follow");
            return Err(Error::malformed("truncated", label, message));
        }
        Ok(PREFIX + length)
    }

    /// Checks the header of a file of `size` bytes, given without the eight before it.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the code of the broken rule.
    pub fn parse(bytes: &[u8], (size, label): (u64, &str), limits: &Limits) -> Result<Self> {
        if bytes.first() != Some(&b'{') {
            return Err(Error::malformed("invalid_header", label, "its header does not begin with `{`"));
        }
        let reason = Reason::default();
        let seed = Top { reason: &reason, limits };
        let document = Document { bytes, file: label, fallback: "invalid_header" };
        let declared = json::parse(&document, &reason, seed)?;
        let start = PREFIX + bytes.len() as u64;
        let tensors = layout::check(declared.entries, start..size, label, limits)?;
        Ok(Self { tensors, metadata: declared.metadata })
    }
}

/// What a file is that begins like no safetensors file.
fn mistaken(prefix: [u8; 8], label: &str) -> Option<Error> {
    const PICKLE: &str = "a PyTorch pickle, which can run code and is never unpickled";
    const CONVERT: &str = "convert it to safetensors, e.g. with save_pretrained";
    if &prefix == b"version " {
        let message =
            "it is a pointer of git-lfs, which stands for the file; `git lfs pull` brings the file itself";
        return Some(Error::malformed("lfs_pointer", label, message));
    }
    let (form, advice) = match prefix {
        [0x80, 2..=5, ..] => (PICKLE, CONVERT),
        [b'P', b'K', 3, 4, ..] => ("a ZIP archive, as PyTorch writes its pickles", CONVERT),
        [b'G', b'G', b'U', b'F', ..] => ("GGUF", "name the model it was converted from"),
        [0x89, b'H', b'D', b'F', ..] => ("HDF5", CONVERT),
        [b'<', b'!' | b'h', ..] => ("a page of a web site", "download the file itself"),
        _ => return None,
    };
    Some(Error::Foreign { file: label.to_owned(), form, advice })
}

struct Top<'a> {
    reason: &'a Reason,
    limits: &'a Limits,
}

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Declared;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Declared, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Declared;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Declared, A::Error> {
        let mut names = HashSet::new();
        let mut entries = Vec::new();
        let mut metadata = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                let value = map.next_value_seed(Strings(self.reason))?;
                json::set_once(self.reason, &mut metadata, &name, value)?;
                continue;
            }
            if let Some(fault) = layout::name_fault(&name, self.limits.tensor_name_bytes) {
                let message = format!("the tensor name `{}` is refused: {fault}", json::shown(&name));
                return Err(self.reason.refuse("bad_tensor_name", message));
            }
            if entries.len() >= self.limits.tensors {
                let message = format!("it declares more than {} tensors", self.limits.tensors);
                return Err(self.reason.refuse("too_many_tensors", message));
            }
            if !names.insert(name.clone()) {
                return Err(json::repeated(self.reason, &name));
            }
            entries.push(map.next_value_seed(OneEntry { reason: self.reason, name })?);
        }
        Ok(Declared { entries, metadata: metadata.unwrap_or_default().into_iter().collect() })
    }
}

struct OneEntry<'a> {
    reason: &'a Reason,
    name: String,
}

impl<'de> DeserializeSeed<'de> for OneEntry<'_> {
    type Value = Entry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Entry, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneEntry<'_> {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "dtype" => json::set_once(self.reason, &mut dtype, &key, map.next_value::<String>()?)?,
                "shape" => json::set_once(self.reason, &mut shape, &key, map.next_value::<Vec<u64>>()?)?,
                "data_offsets" => {
                    json::set_once(self.reason, &mut offsets, &key, map.next_value::<(u64, u64)>()?)?
                }
                other => {
                    let message = format!(
                        "tensor `{}` has the unknown field `{}`; dtype, shape and data_offsets are known",
                        self.name,
                        json::shown(other)
                    );
                    return Err(self.reason.refuse("unknown_field", message));
                }
            }
        }
        let of = format!("tensor `{}`", self.name);
        Ok(Entry {
            dtype: json::required(self.reason, dtype, "dtype", &of)?,
            shape: json::required(self.reason, shape, "shape", &of)?,
            offsets: json::required(self.reason, offsets, "data_offsets", &of)?,
            name: self.name,
        })
    }
}
