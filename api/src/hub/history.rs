//! History given up by its owners: a branch squashed, and large files of earlier commits taken out.

use actix_web::{HttpResponse, web::Payload};
use domain::{Act, Digest};
use http::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{MAIN, NewCommit};

use super::{
    Call,
    answer::{self, date, misread, missing_revision},
    entries::{self, Kept},
    stop::Outcome,
    who,
};
use crate::paging::place;

/// Files on one page.
const PAGE: u64 = 500;

/// `POST …/super-squash/BRANCH`: one commit in the place of the branch's history.
///
/// # Errors
/// 404 for what is no branch.
pub async fn squash(call: &Call<'_>, payload: Payload) -> Outcome {
    #[derive(Default, Deserialize)]
    struct Asked {
        message: Option<String>,
    }
    let row = answer::find(call).await?;
    call.registry.store.may_with(Act::Write, &row).await?;
    let bytes = answer::bytes(call, payload).await?;
    let asked: Asked = if bytes.is_empty() { Asked::default() } else { answer::read(&bytes)? };
    let branch = call.revision().unwrap_or_else(|| MAIN.to_owned());
    let branch = branch.strip_prefix("refs/heads/").unwrap_or(&branch).to_owned();
    let title = asked.message.unwrap_or_else(|| format!("Squash the history of {branch}"));
    let author = who::author(call.request, call.registry).await?;
    let title = title.chars().take(1_000).collect();
    let commit = NewCommit { branch: branch.clone(), title, author, ..NewCommit::default() };
    match call.registry.store.squash(row.id, &commit).await? {
        Some(_) => Ok(HttpResponse::Ok().json(json!({}))),
        None => Err(missing_revision(&row.name, &branch).into()),
    }
}

/// `GET …/lfs-files`: the large files of all commits.
///
/// # Errors
/// 404; where the caller may not read the files.
pub async fn large_files(call: &Call<'_>) -> Outcome {
    let row = answer::find(call).await?;
    call.registry.store.may_with(Act::Read, &row).await?;
    let skip = place(call.asked("cursor").last().map(String::as_str))? as u64;
    let held = call.registry.store.held_files(row.id, (skip, PAGE)).await?;
    let next = (held.len() as u64 == PAGE).then(|| (skip + PAGE).to_string());
    let large = held.iter().filter(|file| entries::kept(&file.path, file.size) == Kept::Lfs);
    let told = large.map(|file| {
        let oid = file.digest.hex();
        json!({
            "fileOid": oid, "oid": oid, "filename": file.path, "size": file.size, "pushedAt": date(file.since),
            "ref": null,
        })
    });
    Ok(answer::page(call.request, &told.collect::<Vec<Value>>(), next.as_deref()))
}

/// `POST …/lfs-files/batch`: takes large files out of the commits before those that branches and tags are at.
///
/// # Errors
/// 404; 400 for a digest that is none; 409 for a file that is still shown.
pub async fn forget(call: &Call<'_>, payload: Payload) -> Outcome {
    #[derive(Deserialize)]
    struct Asked {
        deletions: Deletions,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Deletions {
        sha: Vec<String>,
        #[serde(default = "always")]
        rewrite_history: bool,
    }
    const fn always() -> bool {
        true
    }
    let row = answer::find(call).await?;
    call.registry.store.may_with(Act::Write, &row).await?;
    let asked: Asked = answer::body(call, payload).await?;
    answer::within_paths(asked.deletions.sha.len(), call.registry.limits.hub_paths)?;
    if !asked.deletions.rewrite_history {
        let told =
            "a commit has all its files here: send `rewriteHistory: true`, and the commits that hold them go";
        return Err(Problem::bad_request(told).into());
    }
    let digests = asked.deletions.sha.iter().map(|sha| sha.parse::<Digest>().map_err(misread));
    let digests: Vec<Digest> = digests.collect::<Result<_, _>>()?;
    call.registry.store.forget_contents(row.id, &digests).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}
