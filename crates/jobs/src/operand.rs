//! A model as an operand: a registry id, or (on the command line) a checkpoint folder, a file, or the recipe of a merge.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use domain::{Act, Class, Digest, Fault as _, Item, Limits, RepoId, files};
use serde_json::Value;
use store::{FileRow, MAIN, ModelRow};
use weights::{Checkpoint, Dtype, Rounded, Scaled, TensorSource};

use crate::{
    Error, Registry, adapter,
    documents::parsed,
    faults::placed,
    local::{open_file, open_folder},
    member::{Choice, Named, is_file, is_recipe, labelled, on_disk},
    planned::{Planned, open_recipe},
    remote, watched,
};

/// A model opened for reading, with what its derived models inherit.
#[derive(Clone)]
pub struct Operand {
    /// As the caller wrote it.
    pub asked: String,
    /// Its name in the registry, or the path of its folder; of a member, with it behind `#`.
    pub label: String,
    pub id: Option<RepoId>,
    /// Digest of the revision, or of the stored tensors for a folder.
    pub digest: Option<Digest>,
    /// The revision in the registry; none for a folder or a model of a Hub.
    pub(crate) revision: Option<i64>,
    /// Digest of the names and stored bytes of its tensors, the same wherever and in however many files they are stored; none
    /// over the network, and for a model of the registry before [`Self::with_weights`].
    pub(crate) weights: Option<Digest>,
    /// Values of an adapter are those of its base with it applied.
    pub source: Arc<dyn TensorSource>,
    /// The adapter's configuration, for one that is not applied yet.
    pub(crate) adapter: Option<Value>,
    /// The member that is read of a difference that several models share.
    pub(crate) member: Option<String>,
    /// What an adapter is applied to.
    pub base: Option<Box<Operand>>,
    /// How it is computed, for a model that a recipe makes and nobody has written.
    pub(crate) planned: Option<Arc<Planned>>,
    pub config: Option<Value>,
    pub license: Option<String>,
    /// Tokenizer and generation files to carry over.
    pub companions: Vec<Companion>,
}

impl Operand {
    /// What `source` holds, under a name, with nothing to inherit.
    pub(crate) fn of(asked: String, label: String, source: Arc<dyn TensorSource>) -> Self {
        Self {
            asked,
            label,
            id: None,
            digest: None,
            revision: None,
            weights: None,
            source,
            adapter: None,
            member: None,
            base: None,
            planned: None,
            config: None,
            license: None,
            companions: Vec::new(),
        }
    }

    /// The same with the digests of the tensors that the registry holds, of what an adapter is applied to as well.
    pub(crate) async fn with_weights(mut self, registry: &Registry) -> Result<Self, Error> {
        let mut part = Some(&mut self);
        while let Some(operand) = part {
            if let Some(revision) = operand.revision {
                let tensors = registry.store.tensors(revision).await?;
                let named = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.digest));
                operand.weights = Some(of_tensors(named));
            }
            part = operand.base.as_deref_mut();
        }
        Ok(self)
    }

    /// The same with its values in one number format.
    pub(crate) fn rounded(self, dtype: Dtype) -> Self {
        Self { source: Arc::new(Rounded::new(self.source, dtype)), ..self }
    }

    /// What the weights are, and those of what an adapter is applied to.
    pub(crate) fn content(&self) -> String {
        let mut own = self.weights.or(self.digest).map(|digest| digest.to_string()).unwrap_or_default();
        own.extend(self.member.iter().flat_map(|member| ["#", member]));
        match &self.base {
            Some(base) => format!("{own}+{}", base.content()),
            None => own,
        }
    }

    /// Its name without the member.
    pub(crate) fn of_file(&self) -> &str {
        let member = self.member.as_ref().map(|member| format!("#{member}"));
        member.and_then(|member| self.label.strip_suffix(&member)).unwrap_or(&self.label)
    }
}

/// A file a derived model inherits unchanged.
#[derive(Clone, Debug)]
pub struct Companion {
    pub path: String,
    pub from: CompanionFrom,
}

/// Where a companion's bytes are.
#[derive(Clone, Debug)]
pub enum CompanionFrom {
    Blob(Digest, u64),
    Hub(Arc<hub::RemoteFile>),
    File(std::path::PathBuf),
    /// Written here.
    Text(String),
}

const COMPANIONS: [&str; 9] = [
    files::TOKENIZER,
    files::TOKENIZER_CONFIG,
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    files::GENERATION_CONFIG,
];

/// Whether a file of this name goes with every model derived from its model.
pub(crate) fn is_companion(path: &str) -> bool {
    COMPANIONS.contains(&path)
}

/// Opens `name`: a model of the registry, `org/name` or `org/name@sha256:…`, one of the configured Hub,
/// `hub:org/name` or `hub:org/name@revision`, or a folder, a safetensors file or the recipe of a merge (`.yml`, `.yaml`), whose
/// result is computed where it is read, where `access` allows one. A stored
/// difference is opened as the dense one it stands for, one that several models share as that of the member behind `#`:
/// `file.safetensors#member`. An adapter is opened applied to the base that its
/// configuration names; `base+adapter` names another.
///
/// # Errors
/// [`Error::UnknownModel`] or [`Error::UnknownOperand`], [`Error::UnknownRevision`], [`Error::UnknownMember`],
/// [`Error::NoWeights`], [`Error::NoBase`], or what is wrong with the checkpoint.
pub async fn open_operand(registry: &Registry, name: &str, access: &Access) -> Result<Operand, Error> {
    let opened = open_stored(registry, name, access).await;
    match (opened, name.split_once('+')) {
        (Err(error), Some((base, adapter))) if error.is_unknown() => {
            let base = open_whole(registry, base, access).await?;
            let adapter = open_stored(registry, adapter, access).await?;
            let baked = adapter::bake(adapter, base, registry.limits).await?;
            Ok(Operand { label: name.to_owned(), ..baked })
        }
        (opened, _) => with_base(registry, opened?, access).await,
    }
}

/// Opens several operands, each with its place in the request.
///
/// # Errors
/// As [`open_operand`]; [`Error::Missing`] with all that are not there.
pub(crate) async fn open_all<const N: usize>(
    registry: &Registry,
    named: [(&str, &str); N],
    access: &Access,
) -> Result<[Operand; N], Error> {
    let opened = async {
        let mut opened = Vec::with_capacity(N);
        for (pointer, name) in named {
            let operand = open_operand(registry, name, access).await;
            opened.push(operand.map_err(|error| placed(error, pointer))?);
        }
        opened.try_into().map_err(|_| Error::Invalid("operands are missing".to_owned()))
    };
    let places = named.map(|(pointer, name)| (pointer.to_owned(), name));
    all_missing(registry, &places, access, opened.await).await
}

async fn with_base(registry: &Registry, operand: Operand, access: &Access) -> Result<Operand, Error> {
    let Some(named) = operand.adapter.as_ref().map(adapter::base_of) else { return Ok(operand) };
    let no_base = |base: &str| Error::NoBase { adapter: operand.label.clone(), base: base.to_owned() };
    let named = named.ok_or_else(|| no_base("(none named)"))?;
    match adapter::open_base(registry, &named, access).await {
        Ok(base) => adapter::bake(operand, base, registry.limits).await,
        Err(error) if error.is_unknown() || matches!(error, Error::NoWeights(_)) => Err(no_base(&named)),
        Err(error) => Err(error),
    }
}

/// A model that is no adapter itself.
pub(crate) async fn open_whole(registry: &Registry, name: &str, access: &Access) -> Result<Operand, Error> {
    let operand = open_stored(registry, name, access).await?.whole()?;
    match operand.adapter {
        None => Ok(operand),
        Some(_) => {
            Err(Error::Invalid(format!("`{}` is an adapter; a whole model is needed as base", operand.label)))
        }
    }
}

/// A model as it is stored, adapters not applied.
pub(crate) async fn open_stored(registry: &Registry, name: &str, access: &Access) -> Result<Operand, Error> {
    let opened = open_unwatched(registry, name, access).await?;
    Ok(Operand { source: watched::over(registry, opened.source), ..opened })
}

async fn open_unwatched(registry: &Registry, name: &str, access: &Access) -> Result<Operand, Error> {
    let named = Named::read(name, access);
    match access {
        Access::Folders(pin) if Path::new(named.bare).is_dir() => {
            return open_folder(registry, named, *pin).await;
        }
        Access::Folders(pin) if is_file(named.bare) => return open_file(registry, named, *pin).await,
        Access::Folders(_) if is_recipe(named.bare) => return open_recipe(registry, named).await,
        _ => {}
    }
    if name.starts_with(remote::PREFIX) {
        // A revision of the Hub may have a # in its own name.
        return match remote::open(registry, Named::whole(name), access).await {
            Err(error) if named.member.is_some() && error.class() == Class::NotFound => {
                remote::open(registry, named, access).await
            }
            opened => opened,
        };
    }
    let (row, revision, digest) = place(registry, name, access).await?;
    registry.store.may_with(Act::Read, &row).await?;
    let about = |error: Error| match error {
        named @ Error::UnknownMember { .. } => named,
        error => Error::Operand { model: row.name.clone(), error: Box::new(error) },
    };
    let checkpoint = registry.store.checkpoint(revision, &registry.limits).await;
    let checkpoint = checkpoint.map_err(|error| about(error.into()))?;
    let files = registry.store.files(revision).await?;
    let paths = files.iter().map(|file| file.path.as_str());
    let checkpoint = checkpoint.ok_or_else(|| no_checkpoint(&row.name, paths))?;
    let mut config = match row.revision == Some(revision) {
        true => row.config.clone(),
        false => read_config(registry, &files, files::CONFIG).await?,
    };
    let adapter = read_config(registry, &files, adapter::CONFIG).await?;
    let companions = files
        .into_iter()
        .filter(|file| is_companion(file.path.as_str()))
        .map(|file| Companion { path: file.path, from: CompanionFrom::Blob(file.digest, file.size) })
        .collect();
    let (adapter, limits) = (adapter.filter(|_| adapter::holds_factors(&checkpoint)), registry.limits);
    let choice = Choice { file: row.name.clone(), ..named.choice() };
    let source = tokio::task::spawn_blocking(move || {
        let read = as_numbers(checkpoint, &mut config, (&choice, &limits))?;
        Ok::<_, Error>((read, config))
    });
    let ((source, member), config) = source.await?.map_err(about)?;
    let label = labelled(&row.name, member.as_deref());
    Ok(Operand {
        id: RepoId::parse(&row.name).ok(),
        digest: Some(digest),
        revision: Some(revision),
        adapter,
        member,
        config,
        license: row.licence().map(str::to_owned),
        companions,
        ..Operand::of(name.to_owned(), label, source)
    })
}

/// Why a repository without safetensors has no tensors to read.
pub(crate) fn no_checkpoint<'n>(model: &str, files: impl Iterator<Item = &'n str>) -> Error {
    weights::foreign_weights(files).map_or_else(|| Error::NoWeights(model.to_owned()), Error::from)
}

/// The tensors as numbers: codes with scales are read as what they stand for, and `config` says so; other codes
/// are refused by the name of their layout. With the member that is read, where several models share a difference.
pub(crate) fn as_numbers(
    checkpoint: Checkpoint,
    config: &mut Option<Value>,
    (choice, limits): (&Choice, &Limits),
) -> Result<(Arc<dyn TensorSource>, Option<String>), Error> {
    refuse_quantised(&checkpoint, config.as_ref())?;
    let checkpoint: Arc<dyn TensorSource> = Arc::new(checkpoint);
    if weights::is_difference(&*checkpoint) || choice.member.is_some() {
        return choice.read(checkpoint, limits);
    }
    let Some(scaled) = Scaled::new(Arc::clone(&checkpoint), config.as_ref())? else {
        return Ok((checkpoint, None));
    };
    if let Some(fields) = config.as_mut().and_then(Value::as_object_mut) {
        fields.shift_remove("quantization_config");
    }
    Ok((Arc::new(scaled), None))
}

/// Names the layout of a checkpoint whose stored values are codes, not weights.
pub(crate) fn refuse_quantised(checkpoint: &Checkpoint, config: Option<&Value>) -> Result<(), Error> {
    match weights::quantisation(checkpoint.tensors(), config) {
        Some(told) => Err(weights::Error::from(told).into()),
        None => Ok(()),
    }
}

/// The row of a model and the revision of it that `name` means here.
async fn place(registry: &Registry, name: &str, access: &Access) -> Result<(ModelRow, i64, Digest), Error> {
    let named = Named::read(name, access).bare;
    let (bare, revision) = named.split_once('@').unwrap_or((named, MAIN));
    let row = registry.store.model_by_id(bare).await?.filter(|row| !row.ghost);
    let row = row.ok_or_else(|| match access {
        Access::Registry(_) => Error::UnknownModel(name.to_owned()),
        Access::Folders(_) => Error::UnknownOperand(name.to_owned()),
    })?;
    let current = row.revision.zip(row.digest).ok_or_else(|| Error::NoWeights(row.name.clone()))?;
    let pinned = match access {
        Access::Registry(pins) => pins.get(name).map(ToString::to_string),
        Access::Folders(_) => None,
    };
    let (revision, digest) = match pinned.as_deref().unwrap_or(revision) {
        MAIN => current,
        other => revision_named(registry, &row, other).await?,
    };
    Ok((row, revision, digest))
}

/// Name and revision of a model of the registry; none for a folder, a model of the Hub, a member of a difference, or for a
/// name made of two.
pub(crate) async fn revision(
    registry: &Registry,
    name: &str,
    access: &Access,
) -> Result<Option<(String, i64)>, Error> {
    let Named { bare, member, .. } = Named::read(name, access);
    let local = matches!(access, Access::Folders(_)) && on_disk(bare);
    if local || name.starts_with(remote::PREFIX) {
        return Ok(None);
    }
    match place(registry, name, access).await {
        Ok((row, revision, _)) => Ok(member.is_none().then_some((row.name, revision))),
        Err(error) if error.is_unknown() && name.contains('+') => Ok(None),
        Err(error) => Err(error),
    }
}

/// The digest of the revision that `name` means, where that decides all that is read of it, but for an adapter, which is
/// opened with its base; none for what [`revision`] gives none of.
///
/// # Errors
/// As [`revision`], and where the viewer may not read it.
pub(crate) async fn standing(
    registry: &Registry,
    name: &str,
    access: &Access,
) -> Result<Option<Digest>, Error> {
    if revision(registry, name, access).await?.is_none() {
        return Ok(None);
    }
    let (row, _, digest) = place(registry, name, access).await?;
    registry.store.may_with(Act::Read, &row).await?;
    Ok(Some(digest))
}

/// `outcome`, with all models told that are not there where the first ended it; `named` are places in the request and names.
pub(crate) async fn all_missing<T>(
    registry: &Registry,
    named: &[(String, &str)],
    access: &Access,
    outcome: Result<T, Error>,
) -> Result<T, Error> {
    let first = match outcome {
        Err(error) if matches!(error.class(), Class::NotFound | Class::Conflict | Class::Invalid) => error,
        other => return other,
    };
    let mut missing: Vec<Item> = Vec::new();
    for (pointer, name) in named {
        for part in parts(registry, name, access).await {
            if let Err(error) = revision(registry, part, access).await {
                missing.push(Item { pointer: pointer.clone(), message: error.to_string() });
            }
        }
    }
    let names: std::collections::BTreeSet<&String> = missing.iter().map(|item| &item.message).collect();
    if names.len() > 1 {
        return Err(Error::Missing(missing));
    }
    match missing.first().filter(|one| one.message == first.to_string()) {
        Some(one) => Err(placed(first, &one.pointer)),
        None => Err(first),
    }
}

/// The names in a name: of a base and the adapter that is applied to it.
async fn parts<'n>(registry: &Registry, name: &'n str, access: &Access) -> Vec<&'n str> {
    let whole = place(registry, name, access).await;
    match name.split_once('+').filter(|_| whole.is_err_and(|error| error.is_unknown())) {
        Some((base, adapter)) => vec![base, adapter],
        None => vec![name],
    }
}

/// The revision somebody asked for by its digest, with or without `sha256:`.
async fn revision_named(registry: &Registry, row: &ModelRow, wanted: &str) -> Result<(i64, Digest), Error> {
    let unknown = || Error::UnknownRevision { model: row.name.clone(), revision: wanted.to_owned() };
    let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let digest: Digest = format!("sha256:{hex}").parse().map_err(|_| unknown())?;
    let found = registry.store.revision_of(row.id, &digest).await?;
    Ok((found.ok_or_else(unknown)?, digest))
}

async fn read_config(registry: &Registry, files: &[FileRow], name: &str) -> Result<Option<Value>, Error> {
    let Some(file) = files.iter().find(|file| file.path == name) else { return Ok(None) };
    let text = registry.store.read_text(&file.digest, registry.limits.config_bytes).await?;
    parsed(&text, name).map(Some)
}

/// Whether the digest of a checkpoint on this machine is needed, which costs a read of all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// For a recipe, which names its inputs by content.
    Content,
    /// To be looked at only.
    Nothing,
}

/// What a name may stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Also a path of this machine; never for names that come over HTTP.
    Folders(Pin),
    /// Models of the registry only; a name listed here is that revision, whatever is current by now.
    Registry(BTreeMap<String, Digest>),
}

impl Access {
    /// Models of the registry as they are now.
    pub fn registry() -> Self {
        Self::Registry(BTreeMap::new())
    }
}

/// Digest of the names and digests of tensors, in the order of their names.
pub(crate) fn of_tensors<'n>(tensors: impl Iterator<Item = (&'n str, Digest)>) -> Digest {
    let ordered: BTreeMap<&str, Digest> = tensors.collect();
    let text: String = ordered.into_iter().map(|(name, digest)| format!("{name}{digest}")).collect();
    Digest::of(text.as_bytes())
}
