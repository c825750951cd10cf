//! Numbers in JSON as their bits, so that a search goes on exactly where it was left.

use serde::{Deserialize as _, Deserializer, Serializer};

/// Writes the bits of each number.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|value| value.to_bits()))
}

/// Reads them back.
///
/// # Errors
/// What is not a list of whole numbers.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    Ok(Vec::<u64>::deserialize(deserializer)?.into_iter().map(f64::from_bits).collect())
}
