//! What is read of a model on the Hub while its files stay there: card, configurations, headers.

use domain::{
    Metadata, RepoId,
    files::{self, Beginning, MERGE_RECIPE, README},
};
use hub::Repository;
use store::ShapeRow;
use weights::{Header, ReadAt as _};

use crate::{Error, Registry};

/// What card and configurations of a repository say.
pub(crate) async fn described(
    registry: &Registry,
    id: &RepoId,
    repository: &Repository,
) -> Result<Metadata, Error> {
    let limits = &registry.limits;
    let text = async |name: &str, most: u64| -> Result<Option<String>, Error> {
        match repository.file(name) {
            Some(file) => Ok(String::from_utf8(file.read_all(most).await?).ok()),
            None => Ok(None),
        }
    };
    let document = |text: Option<String>, name: &str| {
        let read = text.map(|text| weights::config_document(&text)).transpose();
        read.map_err(|error| Error::Invalid(format!("{name} of `{id}`: {error}")))
    };
    let beginning = async |name: &str, most: u64| -> Result<Option<Beginning>, Error> {
        match repository.file(name) {
            Some(file) => {
                let bytes = file.part(0, most.min(file.len())).await?;
                Ok(Some(Beginning { bytes, size: file.len() }))
            }
            None => Ok(None),
        }
    };
    let card = beginning(README, limits.card_bytes).await?;
    let recipe = beginning(MERGE_RECIPE, limits.config_bytes).await?;
    let config = document(text("config.json", limits.config_bytes).await?, "config.json")?;
    let adapter = document(text("adapter_config.json", limits.config_bytes).await?, "adapter_config.json")?;
    let files: Vec<String> = repository.files.iter().map(|(path, _)| path.as_str().to_owned()).collect();
    let folder = hub::metadata::Folder {
        card: card.as_ref(),
        config: config.as_ref(),
        adapter_config: adapter.as_ref(),
        recipe: recipe.as_ref(),
        files: &files,
    };
    Ok(hub::metadata::from_checkpoint(id.clone(), &folder, limits))
}

/// The tensors, from the headers alone.
pub(crate) async fn headers(registry: &Registry, repository: &Repository) -> Result<Vec<ShapeRow>, Error> {
    let mut found = Vec::new();
    for (path, file) in &repository.files {
        if !files::is_weights(path.as_str()) {
            continue;
        }
        let (size, limits) = (file.len(), &registry.limits);
        let end = Header::end(&file.part(0, size.min(8)).await?, (size, path.as_str()), limits)?;
        let header = Header::parse(&file.part(8, end).await?, (size, path.as_str()), limits)?;
        found.extend(header.tensors.into_iter().map(|(tensor, place)| ShapeRow {
            name: tensor.name,
            dtype: tensor.dtype.name().to_owned(),
            shape: tensor.shape,
            bytes: place.end - place.start,
            file: path.as_str().to_owned(),
        }));
        let most = registry.limits.tensors;
        if found.len() > most {
            return Err(Error::Invalid(format!("`{path}` has more tensors than are read ({most})")));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The number of weights; none where there are no tensors.
pub(crate) fn weights_in(shapes: &[ShapeRow]) -> Option<i64> {
    let sizes = shapes.iter().map(|one| one.shape.iter().copied().fold(1, u64::saturating_mul));
    let total = sizes.fold(0, u64::saturating_add);
    (!shapes.is_empty()).then(|| i64::try_from(total).unwrap_or(i64::MAX))
}
