//! A stored checkpoint: one safetensors file, or many with or without an index.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use domain::{Limits, RelativePath, files::is_weights};

use crate::{
    Error, Header, ReadAt, Result, TensorInfo, TensorSource,
    files::read_all,
    index::{INDEX, Index},
    range::{decode_range, slice_of},
};

/// The tensors of one or many safetensors files, read in place.
pub struct Checkpoint {
    tensors: Vec<TensorInfo>,
    /// File number and byte range of each tensor.
    places: Vec<(usize, Range<u64>)>,
    files: Vec<(String, Arc<dyn ReadAt>)>,
    metadata: BTreeMap<String, String>,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: Vec<_> = self.files.iter().map(|(label, _)| label).collect();
        f.debug_struct("Checkpoint").field("tensors", &self.tensors.len()).field("files", &files).finish()
    }
}

impl Checkpoint {
    /// Opens the files of one checkpoint. With an index, the files and their tensors must be exactly
    /// those it names.
    ///
    /// # Errors
    /// [`Error::Malformed`] when a header or the index breaks a rule, or they contradict each other.
    pub fn open_files(
        files: Vec<(String, Arc<dyn ReadAt>)>,
        index_json: Option<&[u8]>,
        limits: &Limits,
    ) -> Result<Self> {
        let index = index_json.map(|bytes| Index::parse(bytes, limits)).transpose()?;
        Self::open(files, index.as_ref(), limits)
    }

    fn open(files: Vec<(String, Arc<dyn ReadAt>)>, index: Option<&Index>, limits: &Limits) -> Result<Self> {
        let mut found: BTreeMap<String, (TensorInfo, usize, Range<u64>)> = BTreeMap::new();
        let mut metadata = BTreeMap::new();
        for (number, (label, file)) in files.iter().enumerate() {
            if files[..number].iter().any(|(other, _)| other == label) {
                return Err(Error::malformed("duplicate_shard", label, "the file is given twice"));
            }
            let header = Header::read(&**file, label, limits)?;
            for (key, value) in header.metadata {
                metadata.entry(key).or_insert(value);
            }
            for (info, range) in header.tensors {
                if let Some((_, other, _)) = found.get(&info.name) {
                    let message = format!("tensor `{}` is also in {}", info.name, files[*other].0);
                    return Err(Error::malformed("duplicate_tensor", label, message));
                }
                found.insert(info.name.clone(), (info, number, range));
            }
            if found.len() > limits.tensors {
                let message = format!("the checkpoint has more than {} tensors", limits.tensors);
                return Err(Error::malformed("too_many_tensors", label, message));
            }
        }
        if let Some(index) = index {
            agree(index, &files, &found)?;
        }
        let (mut tensors, mut places) = (Vec::with_capacity(found.len()), Vec::with_capacity(found.len()));
        for (info, number, range) in found.into_values() {
            tensors.push(info);
            places.push((number, range));
        }
        Ok(Self { tensors, places, files, metadata })
    }

    /// The file that holds tensor `index`; empty when there is no such tensor.
    pub fn shard_of(&self, index: usize) -> &str {
        self.places.get(index).map_or("", |(file, _)| self.files[*file].0.as_str())
    }

    /// Where in its file tensor `index` lies; empty when there is no such tensor.
    pub fn byte_range(&self, index: usize) -> Range<u64> {
        self.places.get(index).map_or(0..0, |(_, range)| range.clone())
    }
}

/// Whether the index and the files say the same.
fn agree(
    index: &Index,
    files: &[(String, Arc<dyn ReadAt>)],
    found: &BTreeMap<String, (TensorInfo, usize, Range<u64>)>,
) -> Result<()> {
    let shards = index.shards();
    if let Some(missing) = shards.iter().find(|shard| !files.iter().any(|(label, _)| label == shard.as_str()))
    {
        return Err(missing_shard(missing.as_str()));
    }
    if let Some((extra, _)) =
        files.iter().find(|(label, _)| !shards.iter().any(|shard| shard.as_str() == label))
    {
        return Err(Error::malformed("unlisted_shard", extra, format!("{INDEX} does not name this file")));
    }
    for (tensor, shard) in &index.0 {
        match found.get(tensor) {
            Some((_, file, _)) if files[*file].0 == shard.as_str() => {}
            Some((_, file, _)) => {
                let message =
                    format!("tensor `{tensor}` is said to be in {shard} but is in {}", files[*file].0);
                return Err(Error::malformed("shard_mismatch", INDEX, message));
            }
            None => {
                let message =
                    format!("tensor `{}` is said to be in {shard} but is not", crate::json::shown(tensor));
                return Err(Error::malformed("shard_mismatch", INDEX, message));
            }
        }
    }
    match found.iter().find(|(name, _)| !index.0.contains_key(*name)) {
        Some((name, (_, file, _))) => {
            let message = format!("tensor `{name}` of {} is not in the weight_map", files[*file].0);
            Err(Error::malformed("shard_mismatch", INDEX, message))
        }
        None => Ok(()),
    }
}

fn missing_shard(shard: &str) -> Error {
    Error::malformed("missing_shard", shard, "the file belongs to the checkpoint but is not there")
}

impl TensorSource for Checkpoint {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        slice_of(&self.tensors, index, offset, out.len())?;
        let (file, range) = &self.places[index];
        Ok(self.files[*file].1.read_at(range.start + offset, out)?)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), Error> {
        decode_range(self, index, start, out)
    }

    fn view(&self, index: usize, offset: u64, len: usize) -> Option<&[u8]> {
        slice_of(&self.tensors, index, offset, len).ok()?;
        let (file, range) = &self.places[index];
        self.files[*file].1.view(range.start + offset, len)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.clone()
    }
}

/// Finds the checkpoint among the files of a repository: the index's shards, else `model.safetensors`,
/// else a complete `model-00001-of-…` series, else `adapter_model.safetensors`, else the only
/// series of another name or the only safetensors file. Files in sub-folders count only when an index names them.
///
/// # Errors
/// As [`Checkpoint::open_files`]; `missing_shard` when a shard is not among `names`.
pub fn assemble(names: &[(RelativePath, Arc<dyn ReadAt>)], limits: &Limits) -> Result<Option<Checkpoint>> {
    let find = |wanted: &str| names.iter().find(|(name, _)| name.as_str() == wanted);
    let take = |wanted: &str| {
        find(wanted)
            .map(|(name, file)| (name.as_str().to_owned(), file.clone()))
            .ok_or_else(|| missing_shard(wanted))
    };
    if let Some((_, file)) = find(INDEX) {
        let index = Index::parse(&read_all(&**file, INDEX, limits.index_bytes)?, limits)?;
        let files = index.shards().into_iter().map(|shard| take(shard.as_str())).collect::<Result<_>>()?;
        return Checkpoint::open(files, Some(&index), limits).map(Some);
    }
    let top: Vec<&str> = names
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| is_weights(name) && !name.contains('/'))
        .collect();
    let chosen = match (chosen_series(&top), top.as_slice()) {
        _ if top.contains(&"model.safetensors") => vec!["model.safetensors".to_owned()],
        (Some((stem, count)), _) if count as usize > limits.files => {
            let message =
                format!("a series of {count} shards is longer than the {} files allowed", limits.files);
            return Err(Error::malformed("too_many_shards", &format!("{stem}-*.safetensors"), message));
        }
        (Some((stem, count)), _) => {
            (1..=count).map(|shard| format!("{stem}-{shard:05}-of-{count:05}.safetensors")).collect()
        }
        _ if top.contains(&"adapter_model.safetensors") => vec!["adapter_model.safetensors".to_owned()],
        (None, [only]) => vec![(*only).to_owned()],
        _ => return Ok(None),
    };
    let files = chosen.iter().map(|name| take(name)).collect::<Result<_>>()?;
    Checkpoint::open(files, None, limits).map(Some)
}

/// The series called `model`, else the only one, unless an adapter stands beside it; with the number of its shards.
fn chosen_series<'n>(top: &[&'n str]) -> Option<(&'n str, u32)> {
    let series = || top.iter().filter_map(|name| series(name));
    if let Some(model) = series().find(|(stem, _)| *stem == "model") {
        return Some(model);
    }
    let first = series().next().filter(|_| !top.contains(&"adapter_model.safetensors"))?;
    series().all(|other| other == first).then_some(first)
}

/// The stem and the number of shards that a name of the form `model-00001-of-00003.safetensors` promises.
fn series(name: &str) -> Option<(&str, u32)> {
    let (rest, count) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (stem, shard) = rest.rsplit_once('-')?;
    let number = |text: &str| (text.len() == 5).then(|| text.parse::<u32>().ok()).flatten();
    let (shard, count) = (number(shard)?, number(count)?);
    (1..=count).contains(&shard).then_some((stem, count))
}
