//! The model that a request makes, by its name.

use domain::{Fault as _, Item, RepoId};
use http::{Problem, Result};

/// What a dry run calls a result whose name was left out; nothing of this name is ever published.
const UNNAMED: &str = "dry/run";

/// The id of what a request makes, where one is given; `plan` looks for what else is wrong where it is none.
///
/// # Errors
/// 400 with what an id looks like; what `plan` finds wrong, with the id's fault beside it.
pub async fn checked<P, T>(output: Option<&str>, plan: P) -> Result<Option<RepoId>>
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
    id.map_or_else(|| RepoId::parse(UNNAMED), Ok).map_err(|error| Problem::bad_request(error.to_string()))
}

/// The id of a result that is to be made.
///
/// # Errors
/// 400 when it was left out.
pub fn needed(output: Option<RepoId>) -> Result<RepoId> {
    output.ok_or_else(|| {
        let message = "it is missing: the id of the result".to_owned();
        Problem::misread(vec![Item { pointer: "/output".to_owned(), message }])
    })
}
