//! How a product was made: everything needed to make it again, what came of it, and what that took.

use std::{collections::BTreeMap, path::Path, time::Instant};

use analysis::recipe::Pinned;
use domain::{Digest, Item, Limits, Used};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use weights::{Account, Checkpointed, TensorInfo, TensorSource};

use crate::{Derived, Error, Registry, repeated::Earlier};

/// The file beside the weights of a product that holds its record, but for what one run of it took.
pub(crate) const FILE: &str = "stemma_provenance.json";

/// What of a record is the same whenever and wherever the product is made.
pub(crate) fn lasting(record: &Value) -> Value {
    let fields = record.as_object().into_iter().flatten().filter(|(name, _)| *name != "run");
    Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The record that was written into `folder` with a product; none where there is no such file.
///
/// # Errors
/// A file longer than `index_bytes`, one that is no JSON, or one that cannot be read.
pub fn provenance_in(folder: &Path, limits: &Limits) -> Result<Option<Value>, Error> {
    let (at, limit) = (folder.join(FILE), limits.index_bytes);
    if !at.is_file() {
        return Ok(None);
    }
    let size = fs_err::metadata(&at)?.len();
    if size > limit {
        return Err(weights::Error::TooLarge { file: at.display().to_string(), size, limit }.into());
    }
    let record = serde_json::from_slice(&fs_err::read(&at)?);
    record.map(Some).map_err(|error| Error::Invalid(format!("{}: {error}", at.display())))
}

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
    let bytes: u64 = source.tensors().iter().map(TensorInfo::bytes).sum();
    let mut record = json!({
        "engine": { "name": "stemma", "version": env!("CARGO_PKG_VERSION") },
        "method": {
            "id": canonical["config"].get("merge_method").unwrap_or(&canonical["kind"]),
            "version": analysis::METHODS_VERSION,
        },
        "seed": canonical["config"].get("seed"),
        "recipe_digest": recipe.digest(),
        "recipe_address": recipe.address(),
        "recipe": canonical,
        "inputs": inputs,
        "output": { "root": root(names.zip(done.digests.iter().copied())), "bytes": bytes },
        "tensors": tensors,
        "warnings": derived.cautions(source),
        "run": effort.told(done.kept, &registry.devices.told()),
    });
    if let Some(fields) = record.as_object_mut().filter(|_| !derived.policies.is_empty()) {
        fields.insert("policies".to_owned(), json!(derived.policies));
    }
    let passed = passed(&done.accounts);
    if !passed.is_empty() {
        let told = passed.iter().map(Passed::to_string).collect::<Vec<_>>().join("; ");
        let message = format!("elements that are no numbers were let through: {told}");
        if let Some(warnings) = record["warnings"].as_array_mut() {
            warnings.push(json!({ "pointer": "/allow_nonfinite", "message": message }));
        }
        record["nonfinite"] = json!(passed);
    }
    if let (Some(item), Some(warnings)) = (lost(source, &done.accounts), record["warnings"].as_array_mut()) {
        warnings.push(json!(item));
    }
    Ok(record)
}

/// That values of the result became 0, which are too small for its number format.
fn lost(source: &dyn TensorSource, accounts: &[Account]) -> Option<Item> {
    let told = source.tensors().iter().zip(accounts);
    let lost: Vec<(&TensorInfo, u64)> =
        told.filter_map(|(info, account)| Some((info, account.get("underflow")?.as_u64()?))).collect();
    let (first, _) = lost.first()?;
    let values: u64 = lost.iter().map(|(_, count)| count).sum();
    let message = format!(
        "{values} values in {} of the tensors, first in `{}`, are too small for {} and became 0; `dtype: bfloat16` holds them",
        lost.len(),
        first.name,
        first.dtype
    );
    Some(Item { pointer: "/dtype".to_owned(), message })
}

/// The record of a model whose weights are those that the same recipe made before. All but `run` is what [`record`] gives.
pub(crate) fn again(
    registry: &Registry,
    derived: &Derived,
    (source, earlier): (&dyn TensorSource, &Earlier),
    effort: &Effort,
) -> Value {
    let mut record = earlier.record.clone();
    record["warnings"] = json!(derived.cautions(source));
    record["run"] = effort.told(0, &registry.devices.told());
    record["run"]["copied_from"] = json!(earlier.named());
    record
}

/// Elements of one input that are no numbers, and were let through.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    pub model: String,
    pub nan: u64,
    pub infinite: u64,
    /// Tensors that they are in.
    pub tensors: u64,
}

impl std::fmt::Display for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { model, nan, infinite, tensors } = self;
        write!(f, "`{model}` has {nan} NaN and {infinite} infinite elements, in {tensors} of the tensors")
    }
}

/// What the accounts of tensors tell of such elements, by model.
fn passed(accounts: &[Account]) -> Vec<Passed> {
    let mut all: BTreeMap<String, Passed> = BTreeMap::new();
    let told = accounts.iter().filter_map(|account| account.get("nonfinite")?.as_array()).flatten();
    for (model, told) in told.filter_map(|told| Some((told["model"].as_str()?.to_owned(), told))) {
        let of = all.entry(model.clone()).or_insert_with(|| Passed { model, ..Passed::default() });
        of.nan += told["nan"].as_u64().unwrap_or_default();
        of.infinite += told["infinite"].as_u64().unwrap_or_default();
        of.tensors += 1;
    }
    all.into_values().collect()
}

/// One input, and what it is applied to if it is an adapter.
async fn input(registry: &Registry, role: &str, pinned: &Pinned) -> Result<Value, Error> {
    let mut told = content(registry, pinned).await?;
    told.extend(pinned.member.iter().map(|member| ("member".to_owned(), json!(member))));
    told.insert("role".to_owned(), json!(role));
    if let Some(base) = &pinned.base {
        told.insert("base".to_owned(), Value::Object(content(registry, base).await?));
    }
    Ok(Value::Object(told))
}

/// The content of a model: its digest is that of a revision, or of the tensors of a folder.
async fn content(registry: &Registry, pinned: &Pinned) -> Result<Map<String, Value>, Error> {
    let digest: Option<Digest> = pinned.digest.parse().ok();
    let mut found = None;
    if let (Some(digest), Some(row)) = (digest, registry.store.model_by_id(pinned.name()).await?) {
        found = registry.store.revision_of(row.id, &digest).await?;
    }
    let tensors = match found {
        Some(revision) => Some(registry.store.tensors(revision).await?),
        None => None,
    };
    let root =
        tensors.map(|tensors| root(tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.digest))));
    let told = [("model", json!(pinned.name())), ("digest", json!(pinned.digest)), ("root", json!(root))];
    Ok(told.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
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
