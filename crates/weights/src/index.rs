//! `model.safetensors.index.json`: which shard holds which tensor.

use std::{collections::BTreeMap, fmt};

use domain::{Limits, RelativePath};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::{
    Error, Result,
    json::{self, Document, Reason, Strings, shown},
};

/// The name of an index, and of the file in its errors.
pub(crate) use domain::files::INDEX;

/// Tensor name to shard; every shard name is a path inside the repository.
pub(crate) struct Index(pub(crate) BTreeMap<String, RelativePath>);

impl Index {
    /// Parses an index.
    pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let (size, limit) = (bytes.len() as u64, limits.index_bytes);
        if size > limit {
            return Err(Error::TooLarge { file: INDEX.to_owned(), size, limit });
        }
        let reason = Reason::default();
        let document = Document { bytes, file: INDEX, fallback: "invalid_index" };
        let map = json::parse(&document, &reason, Top(&reason))?;
        let entry = |(tensor, shard): (String, String)| match RelativePath::parse(&shard) {
            Ok(path) => Ok((tensor, path)),
            Err(error) => {
                let message = format!("`{}` points outside: {error}", shown(&tensor));
                Err(Error::malformed("bad_shard_path", INDEX, message))
            }
        };
        Ok(Self(map.into_iter().map(entry).collect::<Result<_>>()?))
    }

    /// The shards named, sorted, each once.
    pub(crate) fn shards(&self) -> Vec<&RelativePath> {
        let mut shards: Vec<_> = self.0.values().collect();
        shards.sort();
        shards.dedup();
        shards
    }
}

struct Top<'r>(&'r Reason);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Vec<(String, String)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a weight_map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut weights = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "weight_map" {
                let value = map.next_value_seed(Strings(self.0))?;
                json::set_once(self.0, &mut weights, &key, value)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        json::required(self.0, weights, "weight_map", "the index")
    }
}
