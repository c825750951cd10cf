//! The header of a stored safetensors file, checked as strictly as an import checks it.

use domain::Digest;
use futures::TryStreamExt as _;
use serde_json::Value;
use weights::Header;

use crate::{Error, Registry};

/// The JSON header of a stored file of `size` bytes, as it is written.
///
/// # Errors
/// What is wrong with it; when it cannot be read.
pub async fn stored_header(registry: &Registry, (digest, size): (&Digest, u64)) -> Result<Value, Error> {
    let read = async |range: std::ops::Range<u64>| -> Result<Vec<u8>, Error> {
        let parts: Vec<_> = registry.store.stream(digest, range).await?.try_collect().await?;
        Ok(parts.concat())
    };
    let (label, limits) = (digest.to_string(), &registry.limits);
    let end = Header::end(&read(0..size.min(8)).await?, (size, &label), limits)?;
    let bytes = read(8..end).await?;
    Header::parse(&bytes, (size, &label), limits)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Invalid(error.to_string()))
}
