//! One file of a model as its page shows it.

use ::web::{
    Failure,
    view::{Bytes, FileBody, FilePage, FileRow, Name, TensorLine},
};
use domain::{Act, Class, Fault as _};
use jobs::Registry;
use store::{CommitRow, ModelRow, TensorRow};

use super::Result;

/// Parts of an address that may belong to a revision's name.
const PARTS: usize = 8;
/// Tensors that a page lists.
const LISTED: usize = 1_000;

/// A file by the parts of its address; `None` when there is no such model.
pub async fn page(registry: &Registry, name: &str, place: &[String]) -> Result<Option<FilePage>> {
    let Some(row) = registry.store.model_by_id(name).await? else { return Ok(None) };
    let Some((at, commit, path)) = split(registry, &row, place).await? else {
        let told = format!("`{}` has no revision by which `{}` begins.", row.name, place.join("/"));
        return Err(Failure::not_found(told));
    };
    let files = registry.store.checked_files(commit.revision).await?;
    let Some(checked) = files.into_iter().find(|checked| checked.file.path == path) else {
        return Err(Failure::not_found(format!("`{}` has no file `{path}` at `{at}`.", row.name)));
    };
    let file = FileRow {
        path: checked.file.path.clone(),
        size: checked.file.size,
        digest: checked.file.digest.to_string(),
        verified_at: checked.verified_at,
        damaged: checked.damaged,
    };
    let body = body(registry, &row, (commit.revision, &checked.file)).await?;
    Ok(Some(FilePage { name: Name(row.name), at, digest: commit.digest.to_string(), file, body }))
}

/// Where the revision ends and the path begins: the longest name that there is counts.
async fn split(
    registry: &Registry,
    row: &ModelRow,
    place: &[String],
) -> Result<Option<(String, CommitRow, String)>> {
    for end in (1..place.len().min(PARTS + 1)).rev() {
        let whole = place[..end].join("/");
        let name = whole.strip_prefix("refs/heads/").unwrap_or(&whole);
        if let Some(commit) = registry.store.commit(row.id, name).await? {
            return Ok(Some((name.to_owned(), commit, place[end..].join("/"))));
        }
    }
    Ok(None)
}

async fn body(
    registry: &Registry,
    row: &ModelRow,
    (revision, file): (i64, &store::FileRow),
) -> Result<FileBody> {
    let unshown = |why: String| Ok(FileBody::Unshown(why));
    match registry.store.may_with(Act::Read, row).await {
        Err(error) if error.class() == Class::Forbidden => {
            return unshown("Its content is for those who were let in.".to_owned());
        }
        allowed => allowed?,
    }
    if domain::files::is_weights(&file.path) {
        let mut rows: Vec<TensorRow> = registry.store.tensors(revision).await?;
        rows.retain(|tensor| tensor.file == file.path);
        rows.sort_by_key(|tensor| tensor.offset_begin);
        let total = rows.len() as u64;
        return Ok(FileBody::Tensors(rows.iter().take(LISTED).map(line).collect(), total));
    }
    if !domain::may_be_text(&file.path) {
        return unshown("Its content is not shown; download it.".to_owned());
    }
    match registry.store.read_text(&file.digest, registry.limits.shown_bytes).await {
        Ok(text) => Ok(FileBody::Text(text)),
        Err(store::Error::NotText(_)) => unshown("It is not text; download it.".to_owned()),
        Err(store::Error::TextTooLong { max, .. }) => {
            unshown(format!("Files up to {} are shown here; download it.", Bytes(max)))
        }
        Err(other) => Err(other.into()),
    }
}

fn line(tensor: &TensorRow) -> TensorLine {
    let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
    TensorLine {
        name: tensor.name.clone(),
        dtype: tensor.dtype.clone(),
        shape: if shape.is_empty() { "one number".to_owned() } else { shape.join(" × ") },
        bytes: tensor.offset_end.saturating_sub(tensor.offset_begin),
        begin: tensor.offset_begin,
    }
}
