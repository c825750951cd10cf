//! What the Hub's clients expect of answers: error codes in headers, dates, absolute addresses, pages by `Link`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode, header},
    web::Payload,
};
use domain::Fault;
use futures::StreamExt as _;
use http::{Problem, Result, hub_path::Verb};
use jobs::Registry;
use serde::{Serialize, de::DeserializeOwned};
use store::{CommitRow, ModelRow};

use super::{
    Answer, Call,
    stop::{Outcome, Stop},
};
use crate::relay::{self, Brought};

/// What the Hub's addresses about one model begin with; those of its files begin with its id.
const MODELS: &str = "/api/models/";

/// 404 that the client raises as `RepositoryNotFoundError`.
pub fn missing_model(id: &str) -> Problem {
    Problem::not_found(format!("repository `{id}`")).for_hub("RepoNotFound", None)
}

/// 404 that the client raises as `RevisionNotFoundError`.
pub fn missing_revision(id: &str, revision: &str) -> Problem {
    Problem::not_found(format!("revision `{revision}` of `{id}`")).for_hub("RevisionNotFound", None)
}

/// 404 that the client raises as `EntryNotFoundError`, and remembers for that commit.
pub fn missing_entry(id: &str, path: &str, commit: &str) -> Problem {
    Problem::not_found(format!("file `{path}` in `{id}`")).for_hub("EntryNotFound", Some(commit))
}

/// 400 for the name of something that is none.
pub fn misread<F: Fault>(fault: F) -> Problem {
    Problem::from(fault).as_misread()
}

/// 405.
pub fn wrong_method(request: &HttpRequest) -> Problem {
    let detail = format!("`{}` does not answer {}", request.path(), request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// 307 to the same address under the model's present name, when it was asked for under an older one.
pub fn moved(request: &HttpRequest, asked: &str, row: &ModelRow) -> Option<HttpResponse> {
    if row.name.eq_ignore_ascii_case(asked) {
        return None;
    }
    let (path, rest) = (request.path(), request.query_string());
    // The id stands right after this; a word of it may be an id itself.
    let before = if path.starts_with(MODELS) { MODELS } else { "/" };
    let after = path.strip_prefix(before)?.strip_prefix(asked)?;
    let mut to = format!("{before}{}{after}", row.name);
    if !rest.is_empty() {
        to = format!("{to}?{rest}");
    }
    Some(HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, to)).finish())
}

/// A repository that is here, by more than others' word.
///
/// # Errors
/// 404 `RepoNotFound`.
pub async fn present_row(registry: &Registry, id: &str) -> Result<ModelRow> {
    let row = registry.store.model_by_id(id).await?.filter(|row| !row.ghost);
    row.ok_or_else(|| missing_model(id))
}

/// The repository a call is about.
///
/// # Errors
/// 404 `RepoNotFound`; the way to its present name.
pub async fn find(call: &Call<'_>) -> Outcome<Box<ModelRow>> {
    let row = present(call).await?;
    match moved(call.request, &call.id, &row) {
        Some(answer) => Err(Stop::Answer(answer)),
        None => Ok(row),
    }
}

/// A repository; for readers, one that is not here is brought in where that is wanted, and described by the Hub
/// meanwhile.
async fn present(call: &Call<'_>) -> Outcome<Box<ModelRow>> {
    let reads = call.request.method() == Method::GET || call.verb == Verb::PathsInfo;
    if !reads {
        return Ok(Box::new(present_row(call.registry, &call.id).await?));
    }
    let revision = match call.verb {
        Verb::Tree => call.part(0).map(str::to_owned),
        Verb::Revision | Verb::PathsInfo => call.revision(),
        _ => None,
    };
    let revision = revision.unwrap_or_else(|| store::MAIN.to_owned());
    match (relay::bring(call.registry, &call.id, &revision).await?, call.verb) {
        (Brought::Here(row), _) => Ok(row),
        (Brought::Coming(coming), Verb::Info | Verb::Revision) => {
            Err(Stop::Answer(HttpResponse::Ok().json(&coming.record)))
        }
        (Brought::Coming(_), _) => Err(Stop::Answer(relay::not_yet(&call.id))),
    }
}

/// The commit called `name` of a repository; none for `main` of one that is known by its metadata only.
///
/// # Errors
/// 404 `RevisionNotFound`.
pub async fn commit_of(registry: &Registry, row: &ModelRow, name: &str) -> Result<Option<CommitRow>> {
    match registry.store.commit(row.id, name).await? {
        Some(commit) => Ok(Some(commit)),
        None if is_stateless_main(row, name) => Ok(None),
        None => Err(missing_revision(&row.name, name)),
    }
}

/// Whether `name` is the one state that a model has of which only metadata is here.
fn is_stateless_main(row: &ModelRow, name: &str) -> bool {
    let branch = name.strip_prefix("refs/heads/").unwrap_or(name);
    row.revision.is_none() && (branch == store::MAIN || name == sha(row, None))
}

/// The commit that an address begins with, and the path after it: what the first part names, else the longest branch
/// or tag whose slashes came unencoded.
///
/// # Errors
/// 404 `RevisionNotFound`.
pub async fn commit_and_path(
    registry: &Registry,
    row: &ModelRow,
    (first, rest): (&str, &str),
) -> Result<(Option<CommitRow>, String)> {
    if let Some(commit) = registry.store.commit(row.id, first).await? {
        return Ok((Some(commit), rest.to_owned()));
    }
    if is_stateless_main(row, first) {
        return Ok((None, rest.to_owned()));
    }
    match registry.store.commit_along(row.id, &format!("{first}/{rest}")).await? {
        Some((commit, path)) => Ok((Some(commit), path)),
        None => Err(missing_revision(&row.name, first)),
    }
}

/// 40 hex digits for a state of a repository: the commit's, else what the Hub said, else made of the name.
pub fn sha(row: &ModelRow, commit: Option<&CommitRow>) -> String {
    match (commit, row.sha.as_ref().filter(|text| domain::is_commit(text))) {
        (Some(commit), _) => commit.oid.clone(),
        (None, Some(known)) => known.clone(),
        (None, None) => hex_of(&row.name.to_ascii_lowercase(), 40),
    }
}

/// The first `digits` hex digits of a text's digest.
pub fn hex_of(text: &str, digits: usize) -> String {
    domain::Digest::of(text.as_bytes()).hex().chars().take(digits).collect()
}

/// Unix seconds as the clients parse them: with `Z`, never with an offset.
pub fn date(seconds: i64) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (day, clock) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.000Z",
        day.year().clamp(0, 9999),
        u8::from(day.month()),
        day.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    )
}

/// The query string, decoded, in order.
pub fn query(request: &HttpRequest) -> Vec<(String, String)> {
    let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    pairs.map(actix_web::web::Query::into_inner).unwrap_or_default()
}

/// A page of a list, with the address of the next one.
pub fn page<T: Serialize + ?Sized>(request: &HttpRequest, page: &T, next: Option<&str>) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    if let Some(next) = next {
        let kept: Vec<&str> = request
            .query_string()
            .split('&')
            .filter(|part| !part.is_empty() && !part.starts_with("cursor="))
            .collect();
        let query = [kept.join("&"), format!("cursor={next}")].join("&");
        let link = format!(
            "<{}{}?{}>; rel=\"next\"",
            http::address(request),
            request.path(),
            query.trim_start_matches('&')
        );
        answer.insert_header((header::LINK, link));
    }
    answer.json(page)
}

/// A JSON body within the limit.
///
/// # Errors
/// 400 and 413.
pub async fn body<T: DeserializeOwned>(call: &Call<'_>, payload: Payload) -> Result<T> {
    read(&bytes(call, payload).await?)
}

/// A JSON body that has come in.
///
/// # Errors
/// 400.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::bad_request(format!("the JSON body cannot be read: {error}")))
}

/// A body within the limit.
///
/// # Errors
/// 413, and 400 when it ends too early.
pub async fn bytes(call: &Call<'_>, mut payload: Payload) -> Result<Vec<u8>> {
    let most = call.registry.limits.body_bytes;
    let mut bytes = Vec::new();
    while let Some(part) = payload.next().await {
        let part = part.map_err(|error| Problem::bad_request(format!("the body ended early: {error}")))?;
        if bytes.len() + part.len() > most {
            let detail = format!("the body is over {most} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// Refuses more paths in one request than are answered at once.
///
/// # Errors
/// 413.
pub fn within_paths(asked: usize, most: usize) -> Result<()> {
    if asked <= most {
        return Ok(());
    }
    let told = format!("{asked} paths are asked for; ask for at most {most} at once");
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_paths", told))
}

impl Answer {
    pub fn holds(self) -> bool {
        self == Self::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_end_in_z_and_never_carry_an_offset() {
        assert_eq!(date(1_767_323_045), "2026-01-02T03:04:05.000Z");
        assert_eq!(date(i64::MAX), "1970-01-01T00:00:00.000Z");
    }
}
