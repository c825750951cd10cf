//! The model that a request makes, by its name.

use actix_web::HttpResponse;
use domain::{Fault as _, Item, RepoId};
use http::{Problem, Result};
use jobs::Registry;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// What a dry run calls a result whose name was left out; nothing of this name is ever published.
const UNNAMED: &str = "dry/run";

/// Options of a request that makes something.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DryRun {
    /// Only check, and queue nothing: every fault, or what the result will be.
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer to a dry run: what `show` tells of what `plan` finds. None where the job is to be queued, which plans anew.
///
/// # Errors
/// What `plan` and `show` find wrong, and the faults of the result's name: no id, taken, or left out where a job needs it.
pub async fn looked<P, T, S, V>(
    (registry, asked): (&Registry, DryRun),
    output: Option<&str>,
    plan: P,
    show: S,
) -> Result<Option<HttpResponse>>
where
    P: AsyncFn() -> std::result::Result<T, jobs::Error>,
    S: AsyncFnOnce(T) -> std::result::Result<V, jobs::Error>,
    V: Serialize,
{
    let output = checked(output, &plan).await?;
    if !asked.dry_run {
        return needed(output).map(|_| None);
    }
    let shown = jobs::with_output(registry, output.as_ref(), async || show(plan().await?).await).await?;
    Ok(Some(HttpResponse::Ok().json(shown)))
}

/// The id of what a request makes, where one is given; `plan` looks for what else is wrong where it is none.
///
/// # Errors
/// 400 with what an id looks like; what `plan` finds wrong, with the id's fault beside it.
async fn checked<P, T>(output: Option<&str>, plan: P) -> Result<Option<RepoId>>
where
    P: AsyncFnOnce() -> std::result::Result<T, jobs::Error>,
{
    let error = match output.map(RepoId::parse).transpose() {
        Ok(id) => return Ok(id),
        Err(error) => error,
    };
    let fault = Item { pointer: "/output".to_owned(), message: error.to_string() };
    let told = jobs::beside(vec![fault.clone()], plan).await;
    Err(if told.items().len() == 1 { Problem::misread(vec![fault]) } else { told.into() })
}

/// The id in `output`; a word for a result without a name, or with one that [`checked`] refuses.
///
/// # Errors
/// None: the word is an id.
pub fn or_unnamed(output: Option<&str>) -> Result<RepoId> {
    let id = output.and_then(|text| RepoId::parse(text).ok());
    Ok(id.map_or_else(|| RepoId::parse(UNNAMED), Ok)?)
}

/// The id of a result that is to be made.
///
/// # Errors
/// 400 when it was left out.
fn needed(output: Option<RepoId>) -> Result<RepoId> {
    output.ok_or_else(|| {
        let message = "it is missing: the id of the result".to_owned();
        Problem::misread(vec![Item { pointer: "/output".to_owned(), message }])
    })
}
