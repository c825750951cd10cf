//! Checkpoints of this machine as operands: a folder, or one safetensors file.

use std::{path::Path, sync::Arc};

use domain::Digest;
use weights::{Checkpoint, Folder, LocalFile, TensorSource as _};

use crate::{
    Error, Operand, Pin, Registry, adapter,
    contents::Contents,
    member::{Named, labelled},
    operand::{
        Companion, CompanionFrom, as_numbers, is_companion, no_checkpoint, of_tensors, refuse_quantised,
    },
};

/// Opens a checkpoint folder.
///
/// # Errors
/// What is wrong with it.
pub(crate) async fn open_folder(registry: &Registry, named: Named<'_>, pin: Pin) -> Result<Operand, Error> {
    let (path, limits, contents) = (named.bare.to_owned(), registry.limits, registry.contents.clone());
    let (asked, choice) = (named.asked.to_owned(), named.choice());
    tokio::task::spawn_blocking(move || {
        let folder = Folder::open(Path::new(&path), &limits)?;
        let paths = folder.files.iter().map(|file| file.path.as_str());
        let checkpoint = folder.checkpoint(&limits)?.ok_or_else(|| no_checkpoint(&path, paths))?;
        let adapter = folder.adapter_config.clone().filter(|_| adapter::holds_factors(&checkpoint));
        let mut config = folder.config.clone();
        refuse_quantised(&checkpoint, config.as_ref())?;
        let weights: Vec<&Path> = folder.of_weights().map(|file| file.at.as_path()).collect();
        let digest = content(&checkpoint, pin, (&contents, &weights))?;
        let (source, member) = as_numbers(checkpoint, &mut config, (&choice, &limits))?;
        let label = labelled(&path, member.as_deref());
        Ok(Operand {
            adapter,
            member,
            digest,
            weights: digest,
            config,
            companions: folder
                .files
                .iter()
                .filter(|file| is_companion(file.path.as_str()))
                .map(|file| Companion {
                    path: file.path.as_str().to_owned(),
                    from: CompanionFrom::File(file.at.clone()),
                })
                .collect(),
            ..Operand::of(asked, label, source)
        })
    })
    .await?
    .map_err(|error: Error| error.within(named.bare))
}

/// Opens a safetensors file.
///
/// # Errors
/// What is wrong with it.
pub(crate) async fn open_file(registry: &Registry, named: Named<'_>, pin: Pin) -> Result<Operand, Error> {
    let (path, limits, contents) = (named.bare.to_owned(), registry.limits, registry.contents.clone());
    let (asked, choice) = (named.asked.to_owned(), named.choice());
    tokio::task::spawn_blocking(move || {
        let file = LocalFile::open(Path::new(&path))?;
        let checkpoint = Checkpoint::open_files(vec![(path.clone(), Arc::new(file))], None, &limits)?;
        let digest = content(&checkpoint, pin, (&contents, &[Path::new(&path)]))?;
        let (source, member) = choice.read(Arc::new(checkpoint), &limits)?;
        let label = labelled(&path, member.as_deref());
        Ok(Operand { member, digest, weights: digest, ..Operand::of(asked, label, source) })
    })
    .await?
}

/// Digest of the names and stored bytes of all tensors, where it is needed.
fn content(
    checkpoint: &Checkpoint,
    wanted: Pin,
    (contents, files): (&Contents, &[&Path]),
) -> Result<Option<Digest>, Error> {
    if wanted == Pin::Nothing {
        return Ok(None);
    }
    let compute = || {
        let digests = weights::tensor_digests(checkpoint)?;
        let names = checkpoint.tensors().iter().map(|info| info.name.as_str());
        Ok(of_tensors(names.zip(digests)))
    };
    contents.digest(files, compute).map(Some)
}
