//! A model of the configured Hub as an operand: nothing is downloaded but the ranges that are read.

use std::sync::Arc;

use domain::{RelativePath, RepoId, files};
use hub::Repository;
use serde_json::Value;
use store::MAIN;
use weights::ReadAt;

use crate::{
    Access, Error, Operand, Registry, adapter,
    documents::parsed,
    member::{Choice, Named, labelled},
    operand::{Companion, CompanionFrom, as_numbers, is_companion, no_checkpoint},
};

/// What a name of a model on the Hub begins with.
pub const PREFIX: &str = "hub:";

/// Opens `hub:org/name` or `hub:org/name@revision` at the commit it has now.
///
/// # Errors
/// [`Error::NoHub`], [`Error::HubMoved`], what the Hub answers, or what is wrong with the checkpoint.
pub(crate) async fn open(registry: &Registry, named: Named<'_>, access: &Access) -> Result<Operand, Error> {
    let (name, asked) = (named.asked, named.choice());
    let bare = named.bare.strip_prefix(PREFIX).unwrap_or(named.bare);
    let (id, revision) = bare.split_once('@').unwrap_or((bare, MAIN));
    let id = RepoId::parse(id).map_err(|_| Error::UnknownModel(name.to_owned()))?;
    let hub = registry.hub.as_ref().ok_or_else(|| Error::NoHub(name.to_owned()))?;
    let repository = hub.repository(&id, revision).await?;
    if let Access::Registry(pins) = access
        && pins.get(name).is_some_and(|pinned| *pinned != repository.digest)
    {
        return Err(Error::HubMoved(name.to_owned()));
    }
    let mut config = document(registry, &repository, files::CONFIG).await?;
    let adapter = document(registry, &repository, adapter::CONFIG).await?;
    let metadata = hub::metadata::from_api_row(&repository.record, &registry.limits).ok();
    let files: Vec<(RelativePath, Arc<hub::RemoteFile>)> =
        repository.files.into_iter().map(|(path, file)| (path, Arc::new(file))).collect();
    let weights = files
        .iter()
        .filter(|(path, _)| files::is_weights(path.as_str()) || path.as_str().ends_with(".index.json"));
    let named: Vec<(RelativePath, Arc<dyn ReadAt>)> =
        weights.map(|(path, file)| (path.clone(), Arc::clone(file) as Arc<dyn ReadAt>)).collect();
    let limits = registry.limits;
    let checkpoint = tokio::task::spawn_blocking(move || weights::assemble(&named, &limits)).await??;
    let paths = files.iter().map(|(path, _)| path.as_str());
    let checkpoint = checkpoint.ok_or_else(|| no_checkpoint(name, paths))?;
    let adapter = adapter.filter(|_| adapter::holds_factors(&checkpoint));
    let label = format!("{PREFIX}{id}");
    let choice = Choice { file: label.clone(), ..asked };
    let numbers = move || {
        let read = as_numbers(checkpoint, &mut config, (&choice, &limits))?;
        Ok::<_, Error>((read, config))
    };
    // A stored difference is described by its tensors, which come over the network.
    let ((source, member), config) = tokio::task::spawn_blocking(numbers).await??;
    let label = labelled(&label, member.as_deref());
    Ok(Operand {
        id: Some(id),
        digest: Some(repository.digest),
        adapter,
        member,
        config,
        license: metadata.and_then(|metadata| metadata.licence().map(str::to_owned)),
        companions: files
            .into_iter()
            .filter(|(path, _)| is_companion(path.as_str()))
            .map(|(path, file)| Companion { path: path.as_str().to_owned(), from: CompanionFrom::Hub(file) })
            .collect(),
        ..Operand::of(name.to_owned(), label, source)
    })
}

async fn document(registry: &Registry, repository: &Repository, name: &str) -> Result<Option<Value>, Error> {
    let Some(file) = repository.file(name) else { return Ok(None) };
    let bytes = file.read_all(registry.limits.config_bytes).await?;
    let text = String::from_utf8(bytes).map_err(|error| Error::Invalid(format!("{name}: {error}")))?;
    parsed(&text, name).map(Some)
}
