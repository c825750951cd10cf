//! The models of one author, as the Hub lists them.

use domain::RepoId;
use reqwest::{StatusCode, Url, header::LINK};
use serde_json::Value;

use crate::{Error, HubClient, Result};

/// Models on one page.
const PAGE: usize = 100;
/// Longest page, bytes.
const PAGE_BYTES: u64 = 16 << 20;

/// A model of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: RepoId,
    /// The commit that it is at, where the Hub says so.
    pub commit: Option<String>,
}

impl HubClient {
    /// The models of a user or an organisation, at most `most`, the last changed first.
    ///
    /// # Errors
    /// When the Hub cannot be reached, or answers what is no list.
    pub async fn models_of(&self, author: &str, most: usize) -> Result<Vec<Listed>> {
        let mut url = self.endpoint().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "models"]);
        }
        url.query_pairs_mut()
            .append_pair("author", author)
            .append_pair("sort", "lastModified")
            .append_pair("direction", "-1")
            .append_pair("full", "true")
            .append_pair("limit", &PAGE.to_string());
        let (mut found, mut next) = (Vec::new(), Some(url));
        while let Some(url) = next.take().filter(|_| found.len() < most) {
            let answer = self.answer(url.as_str()).await?;
            if answer.status() != StatusCode::OK {
                return Err(Error::status(url.as_str(), &answer));
            }
            let link = answer.headers().get(LINK).and_then(|link| link.to_str().ok());
            next = link.and_then(|link| self.next_page(&url, link));
            let bytes = self.body(answer, (url.as_str(), PAGE_BYTES)).await?;
            let rows: Vec<Value> = serde_json::from_slice(&bytes)
                .map_err(|error| Error::BadAnswer { url: url.to_string(), reason: error.to_string() })?;
            found.extend(rows.iter().filter_map(listed).filter(|one| of(one, author)));
        }
        found.truncate(most);
        Ok(found)
    }

    /// The address of the next page, where it is one of this Hub.
    fn next_page(&self, url: &Url, link: &str) -> Option<Url> {
        let part = link.split(',').find(|part| part.contains("rel=\"next\""))?;
        let address = part.split_once('<')?.1.split_once('>')?.0;
        let next = url.join(address).ok()?;
        (next.origin() == self.endpoint().origin() && next != *url).then_some(next)
    }
}

fn listed(row: &Value) -> Option<Listed> {
    let id = RepoId::parse(row.get("id")?.as_str()?).ok()?;
    Some(Listed { id, commit: row.get("sha").and_then(Value::as_str).map(str::to_owned) })
}

/// A Hub that does not know the filter lists everybody's.
fn of(listed: &Listed, author: &str) -> bool {
    listed.id.org().is_some_and(|org| org.eq_ignore_ascii_case(author))
}
