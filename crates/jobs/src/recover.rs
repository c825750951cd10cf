//! Lineage recovered from weights, for folders and models of the registry.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use analysis::recover::{Report, Subject};
use domain::{Fault as _, RepoId, files::is_weights};
use serde::Serialize;
use serde_json::Value;
use weights::Folder;

use crate::{
    Access, Error, Pin, Registry, adapter, foreseen,
    measure::Turn,
    operand::{self, Operand},
};

/// How deep below a named folder checkpoints are looked for.
const DEPTH: usize = 3;

/// Recovered lineage, and what could not be read for it.
#[derive(Debug, Serialize)]
pub struct Recovered {
    #[serde(flatten)]
    pub report: Report,
    /// Folders found below those named that hold no model that can be read.
    pub left_out: Vec<LeftOut>,
}

/// A folder that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub model: String,
    /// Stable code of the reason.
    pub code: &'static str,
    pub reason: String,
}

/// A model to be opened: what to call it, and where it is.
struct Place {
    id: String,
    path: Option<PathBuf>,
    /// The folder without links and detours: one that is named twice is one model.
    real: Option<PathBuf>,
    holds: Holds,
}

/// What a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Weights,
    /// A configuration, weights in another format, or links.
    Other,
    /// Nothing: it is a link to a folder.
    Link,
    Nothing,
}

impl Place {
    fn folder(id: String, path: PathBuf, holds: Holds) -> Result<Self, Error> {
        let real = match holds {
            Holds::Link => None,
            _ => Some(fs_err::canonicalize(&path)?),
        };
        Ok(Self { id, path: Some(path), real, holds })
    }
}

/// Recovers the lineage of `names`: checkpoint folders, folders that contain some up to three levels down, and models
/// of the registry. Cards are read only to say what they claim. What cannot be read among the folders found is left out.
///
/// # Errors
/// Fewer than two or too many models, names that are neither; of those named themselves stored differences and checkpoints
/// that cannot be read.
pub async fn recover(registry: &Registry, names: &[String]) -> Result<Recovered, Error> {
    let turn = Turn::take(registry).await?;
    let mut places = Vec::new();
    for name in names {
        let path = Path::new(name);
        if !path.is_dir() {
            places.push(Place { id: name.clone(), path: None, real: None, holds: Holds::Weights });
            continue;
        }
        let path = path.to_owned();
        places.extend(tokio::task::spawn_blocking(move || found(&path)).await??);
    }
    places.sort_by(|a, b| (&a.id, &a.path).cmp(&(&b.id, &b.path)));
    let mut seen = HashSet::new();
    places.retain(|place| match &place.real {
        Some(real) => seen.insert(real.to_string_lossy().into_owned()),
        None => seen.insert(place.id.clone()),
    });
    tell_apart(&mut places);
    let given = places.iter().filter(|place| place.holds == Holds::Weights).count();
    let most = registry.limits.matrix;
    if given > most {
        return Err(Error::Invalid(format!("lineage takes up to {most} models (`matrix`), {given} given")));
    }
    let named: Vec<(String, &str)> =
        names.iter().enumerate().map(|(at, name)| (format!("/models/{at}"), name.as_str())).collect();
    let open = async {
        let (mut subjects, mut left_out) = (Vec::with_capacity(given), Vec::new());
        for place in places {
            let named =
                place.path.as_ref().is_none_or(|path| names.iter().any(|name| Path::new(name) == path));
            let model = place.id.clone();
            match opened(registry, place).await {
                Err(error) if !named => {
                    left_out.push(LeftOut { model, code: error.code(), reason: error.to_string() });
                }
                other => subjects.push(other?),
            }
        }
        Ok((subjects, left_out))
    };
    let access = Access::Folders(Pin::Nothing);
    let (subjects, left_out) = operand::all_missing(registry, &named, &access, open.await).await?;
    if subjects.len() < 2 && !left_out.is_empty() {
        return Err(too_few(subjects.len(), &left_out));
    }
    let report = turn.run(move |go_on| analysis::recover::recover(&subjects, go_on)).await?;
    Ok(Recovered { report, left_out })
}

/// That what is left out leaves too few.
fn too_few(left: usize, left_out: &[LeftOut]) -> Error {
    let told: Vec<String> =
        left_out.iter().take(5).map(|gone| format!("{}: {}", gone.model, gone.reason)).collect();
    let more = left_out.len().saturating_sub(told.len());
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let told = told.join("; ");
    Error::Invalid(format!("lineage needs 2 models that can be read, {left} left; left out: {told}{more}"))
}

/// Calls folders of the same name by the shortest endings of their paths that tell them apart.
fn tell_apart(places: &mut [Place]) {
    loop {
        let mut named: BTreeMap<&str, usize> = BTreeMap::new();
        places.iter().for_each(|place| *named.entry(&place.id).or_default() += 1);
        let twice: HashSet<String> =
            named.into_iter().filter(|(_, count)| *count > 1).map(|(id, _)| id.to_owned()).collect();
        let mut longer = false;
        for place in places.iter_mut().filter(|place| twice.contains(&place.id)) {
            let Some(real) = &place.real else { continue };
            let parts: Vec<_> = real.iter().map(|part| part.to_string_lossy()).collect();
            let shown = Path::new(&place.id).iter().count();
            if let Some(from) = parts.len().checked_sub(shown + 1) {
                place.id = parts[from..].join("/");
                longer = true;
            }
        }
        if !longer {
            return;
        }
    }
}

/// The checkpoints at and below `root`, called by their path from it, and what looks like one.
fn found(root: &Path) -> Result<Vec<Place>, Error> {
    let apart = models_apart(root)?;
    if !apart.is_empty() {
        return apart.into_iter().map(|(id, path)| Place::folder(id, path, Holds::Weights)).collect();
    }
    if holds(root)? == Holds::Weights {
        let id = root.file_name().map_or_else(|| root.to_string_lossy(), |name| name.to_string_lossy());
        return Ok(vec![Place::folder(id.into_owned(), root.to_owned(), Holds::Weights)?]);
    }
    let (mut found, mut level) = (Vec::new(), vec![(root.to_owned(), Holds::Nothing)]);
    for _ in 0..DEPTH {
        let mut below = Vec::new();
        for (folder, outer) in level {
            for entry in fs_err::read_dir(&folder)? {
                let entry = entry?;
                // A trainer leaves its checkpoints inside the folder of the model; what else is there is part of it.
                if outer == Holds::Weights && !entry.file_name().to_string_lossy().starts_with("checkpoint-")
                {
                    continue;
                }
                let path = entry.path();
                let kind = entry.file_type()?;
                let holds = match kind.is_symlink() && path.is_dir() {
                    true => Holds::Link,
                    false if kind.is_dir() => holds(&path)?,
                    false => continue,
                };
                if holds != Holds::Link {
                    below.push((path.clone(), holds));
                }
                if holds != Holds::Nothing {
                    let id = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                    found.push(Place::folder(id, path, holds)?);
                }
            }
        }
        level = below;
    }
    if found.is_empty() {
        let shown = root.display();
        return Err(Error::Invalid(format!("`{shown}` holds no safetensors up to {DEPTH} levels down")));
    }
    Ok(found)
}

/// The files of a folder of models that are a file each, by their names: several safetensors that make no checkpoint, and
/// no configuration.
fn models_apart(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let part =
            name.contains("-of-") || name == "model.safetensors" || name == "adapter_model.safetensors";
        if name.ends_with(".json") || (part && is_weights(&name)) {
            return Ok(Vec::new());
        }
        if let Some(stem) = name.strip_suffix(".safetensors").filter(|_| entry.path().is_file()) {
            files.push((stem.to_owned(), entry.path()));
        }
    }
    Ok(if files.len() > 1 { files } else { Vec::new() })
}

fn holds(folder: &Path) -> Result<Holds, Error> {
    let (mut files, mut links) = (Vec::new(), Vec::new());
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name().to_string_lossy().into_owned());
        if kind.is_file() {
            files.push(name);
        } else if kind.is_symlink() {
            links.push(name);
        }
    }
    let described = |file: &String| matches!(file.as_str(), "config.json" | "adapter_config.json");
    Ok(if files.iter().any(|file| is_weights(file)) {
        Holds::Weights
    } else if files.iter().any(described)
        || links.iter().any(|link| described(link) || is_weights(link))
        || weights::foreign_weights(files.iter().map(String::as_str)).is_some()
    {
        Holds::Other
    } else {
        Holds::Nothing
    })
}

async fn opened(registry: &Registry, place: Place) -> Result<Subject, Error> {
    let name =
        place.path.as_ref().map_or_else(|| place.id.clone(), |path| path.to_string_lossy().into_owned());
    if let Some(path) = place.path.as_ref().filter(|_| place.holds == Holds::Link) {
        return Err(weights::Error::NotPlain { path: path.clone(), kind: "a symbolic link" }.into());
    }
    let operand = operand::open_stored(registry, &name, &Access::Folders(Pin::Nothing)).await?.whole()?;
    let Told { claims, adapter } = match &place.path {
        Some(path) if path.is_dir() => {
            let (path, limits) = (path.clone(), registry.limits);
            tokio::task::spawn_blocking(move || told(&path, &limits)).await??
        }
        Some(_) => Told::default(),
        None => Told { claims: stored_claims(registry, &operand).await?, adapter: None },
    };
    let path = place.path.map(|path| path.to_string_lossy().into_owned());
    let (source, adapter) = (operand.source, operand.adapter.or(adapter));
    Ok(Subject { id: place.id, path, source, adapter, claims, created: None, order: 0 })
}

/// What a folder says of its model.
#[derive(Default)]
struct Told {
    /// The bases that its card and configuration name.
    claims: Vec<String>,
    /// The configuration of an adapter of any kind.
    adapter: Option<Value>,
}

fn told(path: &Path, limits: &domain::Limits) -> Result<Told, Error> {
    let folder = Folder::open(path, limits)?;
    // A whole model that was trained with an adapter may keep its configuration.
    let alone = folder.of_weights().all(|file| file.path.as_str() == "adapter_model.safetensors");
    let Ok(id) = RepoId::parse("local/model") else { return Ok(Told::default()) };
    let mut claims: Vec<String> = Vec::new();
    for parent in foreseen::said(id, &folder, limits).parents {
        if !claims.contains(&parent.raw) {
            claims.push(parent.raw);
        }
    }
    Ok(Told { claims, adapter: folder.adapter_config.filter(|_| alone) })
}

/// The parents that the registry holds for a model, and the base that an adapter's configuration names.
async fn stored_claims(registry: &Registry, operand: &Operand) -> Result<Vec<String>, Error> {
    let mut claims: Vec<String> = operand.adapter.as_ref().and_then(adapter::base_of).into_iter().collect();
    if let Some(row) = registry.store.model_by_id(&operand.label).await? {
        for edge in registry.store.edges_of(row.id).await? {
            if !claims.contains(&edge.as_written) {
                claims.push(edge.as_written);
            }
        }
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(paths: &[&str]) -> Vec<String> {
        let place = |path: &&str| Place {
            id: Path::new(path).file_name().unwrap().to_string_lossy().into_owned(),
            path: Some(path.into()),
            real: Some(path.into()),
            holds: Holds::Weights,
        };
        let mut places: Vec<Place> = paths.iter().map(place).collect();
        tell_apart(&mut places);
        places.into_iter().map(|place| place.id).collect()
    }

    #[test]
    fn folders_of_one_name_are_called_by_the_shortest_ending_that_differs() {
        assert_eq!(
            told(&["/zoo/nx/de", "/zoo/qw/de", "/zoo/qw/es", "/old/qw/de"]),
            ["nx/de", "zoo/qw/de", "es", "old/qw/de"]
        );
        assert_eq!(told(&["/de", "/zoo/de"]), ["//de", "zoo/de"]);
    }
}
