//! How a product was made: everything needed to make it again, what came of it, and what that took.

use std::time::Instant;

use analysis::recipe::Pinned;
use domain::{Digest, Used};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use weights::{Checkpointed, TensorSource};

use crate::{Derived, Error, Registry, licences};

/// What a product takes, from its start on.
pub(crate) struct Effort {
    begun: Instant,
    cpu: Option<f64>,
}

impl Effort {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), cpu: cpu_seconds() }
    }

    /// Times in seconds and memory in bytes; both of the whole process, where the system tells them.
    fn told(&self, kept: u64, device: &Used) -> Value {
        let cpu = cpu_seconds().zip(self.cpu).map(|(now, then)| now - then);
        json!({
            "device": device.used,
            "device_reason": device.why,
            "threads": std::thread::available_parallelism().map_or(1, usize::from),
            "wall_seconds": self.begun.elapsed().as_secs_f64(),
            "process_cpu_seconds": cpu,
            "process_peak_memory_bytes": peak_memory(),
            "resumed_bytes": kept,
        })
    }
}

/// The record of a model that `source` was written as. All but `run` is the same whenever and wherever it is made.
pub(crate) async fn record(
    registry: &Registry,
    derived: &Derived,
    (source, done): (&dyn TensorSource, &Checkpointed),
    effort: &Effort,
) -> Result<Value, Error> {
    let recipe = &derived.recipe;
    let canonical = recipe.canonical();
    let mut warnings = source.cautions();
    warnings.extend(licences::caution(&derived.inputs));
    let mut inputs = Vec::new();
    for (role, pinned) in recipe.inputs() {
        inputs.push(input(registry, role, pinned).await?);
    }
    let names = source.tensors().iter().map(|info| info.name.as_str());
    let tensors: Vec<Value> = names
        .clone()
        .zip(&done.digests)
        .zip(&done.accounts)
        .map(|((name, digest), account)| {
            let mut tensor = account.clone();
            tensor.insert("name".to_owned(), json!(name));
            tensor.insert("digest".to_owned(), json!(digest));
            Value::Object(tensor)
        })
        .collect();
    let bytes: u64 = source.tensors().iter().map(weights::TensorInfo::bytes).sum();
    Ok(json!({
        "engine": { "name": "stemma", "version": env!("CARGO_PKG_VERSION") },
        "method": {
            "id": canonical["config"].get("merge_method").unwrap_or(&canonical["kind"]),
            "version": analysis::METHODS_VERSION,
        },
        "seed": canonical["config"].get("seed"),
        "recipe_digest": recipe.digest(),
        "recipe": canonical,
        "inputs": inputs,
        "output": { "root": root(names.zip(done.digests.iter().copied())), "bytes": bytes },
        "tensors": tensors,
        "warnings": warnings,
        "run": effort.told(done.kept, &registry.devices.told()),
    }))
}

/// One input: its digest is that of a revision, or of the tensors of a folder.
async fn input(registry: &Registry, role: &str, pinned: &Pinned) -> Result<Value, Error> {
    let digest: Option<Digest> = pinned.digest.parse().ok();
    let mut found = None;
    if let (Some(digest), Some(row)) = (digest, registry.store.model_by_id(&pinned.id).await?) {
        found = registry.store.revision_of(row.id, &digest).await?;
    }
    let tensors = match found {
        Some(revision) => Some(registry.store.tensors(revision).await?),
        None => None,
    };
    let root =
        tensors.map(|tensors| root(tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.digest))));
    Ok(json!({ "role": role, "model": pinned.id, "digest": pinned.content(), "root": root }))
}

/// Root of the Merkle tree (RFC 6962) whose leaves are the tensors in name order: name, a zero byte, digest.
fn root<'n>(tensors: impl Iterator<Item = (&'n str, Digest)>) -> Digest {
    let leaf = |(name, digest): (&str, Digest)| {
        let hash = Sha256::new().chain_update([0]).chain_update(name).chain_update([0]);
        hash.chain_update(digest.to_string()).finalize().into()
    };
    let mut level: Vec<[u8; 32]> = tensors.map(leaf).collect();
    while level.len() > 1 {
        let pair = |pair: &[[u8; 32]]| match pair {
            [left, right] => {
                Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
            }
            alone => alone[0],
        };
        level = level.chunks(2).map(pair).collect();
    }
    level.first().map_or_else(|| Digest::of(b""), |root| Digest::from_bytes(*root))
}

/// User and system time of this process; clock ticks are hundredths of a second on Linux.
fn cpu_seconds() -> Option<f64> {
    let stat = fs_err::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks as f64 / 100.0)
}

fn peak_memory() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_changes_with_every_name_and_digest_and_with_their_order() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let of = |tensors: &[(&'static str, Digest)]| root(tensors.iter().copied());

        let roots = [
            of(&[]),
            of(&[("a", one)]),
            of(&[("a", two)]),
            of(&[("b", one)]),
            of(&[("a", one), ("b", two)]),
            of(&[("b", two), ("a", one)]),
            of(&[("a", one), ("b", two), ("c", one)]),
        ];

        let distinct: std::collections::BTreeSet<&Digest> = roots.iter().collect();
        assert_eq!(distinct.len(), roots.len());
    }
}
