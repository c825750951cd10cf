//! Reading from a Hub over HTTP: bounded in time and size, never led to another host.

use std::{sync::Arc, time::Duration};

use domain::{Limits, RepoId};
use futures::StreamExt as _;
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{AUTHORIZATION, HeaderValue},
    redirect::Policy,
};
use serde_json::Value;

use crate::{
    Error, Result,
    address::Guard,
    budget::{Budget, retry_after},
    cache::Cache,
};

const INFO_BYTES: u64 = 16 << 20;
/// Milliseconds before the second try; doubled from try to try.
const PAUSE: u64 = 250;

/// How long to wait after so many tries where the Hub does not say.
pub(crate) fn pause(tried: u32) -> Duration {
    Duration::from_millis(PAUSE << tried.saturating_sub(1).min(8))
}

/// A client for one Hub.
#[derive(Debug, Clone)]
pub struct HubClient {
    client: Client,
    /// Follows no redirect by itself.
    files: Client,
    endpoint: Url,
    limits: Limits,
    cache: Arc<Cache>,
    /// Goes to the endpoint alone.
    token: Option<HeaderValue>,
    /// For records and lists.
    records: Arc<Budget>,
    /// For files, which the Hub counts by themselves.
    parts: Arc<Budget>,
}

impl HubClient {
    /// A client for the Hub at `endpoint`, e.g. the Hub's own address or a mirror's.
    ///
    /// # Errors
    /// When `endpoint` is no http(s) address.
    pub fn new(endpoint: &str, limits: &Limits) -> Result<Self> {
        let bad = || Error::BadEndpoint(endpoint.chars().take(200).collect());
        let url = Url::parse(endpoint.trim_end_matches('/')).map_err(|_| bad())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(bad());
        }
        let home = url.clone();
        let policy = Policy::custom(move |attempt| {
            let same = attempt.url().host_str() == home.host_str()
                && attempt.url().port_or_known_default() == home.port_or_known_default();
            if same && attempt.previous().len() <= 5 { attempt.follow() } else { attempt.stop() }
        });
        let common = || {
            let agent = concat!("stemma/", env!("CARGO_PKG_VERSION"));
            Client::builder().connect_timeout(Duration::from_secs(10)).user_agent(agent)
        };
        let client = common().timeout(Duration::from_secs(60)).redirect(policy).build();
        let guard = Guard { home: url.host_str().unwrap_or_default().to_owned() };
        let files = common()
            .read_timeout(Duration::from_secs(30))
            .redirect(Policy::none())
            .dns_resolver(guard)
            .build();
        let blocks = limits.hub_cache_bytes / limits.hub_block_bytes.max(1);
        Ok(Self {
            client: client.map_err(Error::Unreachable)?,
            files: files.map_err(Error::Unreachable)?,
            endpoint: url,
            limits: *limits,
            cache: Arc::new(Cache::new(usize::try_from(blocks).unwrap_or(usize::MAX))),
            token: None,
            records: Arc::default(),
            parts: Arc::default(),
        })
    }

    /// The same with an access token, which is sent to this Hub and to nobody that it leads to.
    ///
    /// # Errors
    /// [`Error::BadToken`] for what no header can hold.
    pub fn bearing(self, token: &str) -> Result<Self> {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| Error::BadToken)?;
        // Neither a log nor a debugger's output shows it then.
        value.set_sensitive(true);
        Ok(Self { token: Some(value), ..self })
    }

    /// The request with the token, where it goes to this Hub.
    pub(crate) fn signed(&self, request: RequestBuilder, url: &Url) -> RequestBuilder {
        match &self.token {
            Some(token) if url.origin() == self.endpoint.origin() => {
                request.header(AUTHORIZATION, token.clone())
            }
            _ => request,
        }
    }

    pub(crate) fn files(&self) -> &Client {
        &self.files
    }

    /// What the Hub lets requests for files have.
    pub(crate) fn parts(&self) -> &Budget {
        &self.parts
    }

    pub(crate) fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The record of a model at a revision.
    pub(crate) async fn record(&self, url: &str, (id, revision): (&RepoId, &str)) -> Result<Value> {
        let answer = self.answer(url).await?;
        let told = answer.headers().get("x-error-code").is_some_and(|code| code == "RevisionNotFound");
        if told && answer.status() == StatusCode::NOT_FOUND {
            return Err(Error::NoSuchRevision { model: id.to_string(), revision: revision.to_owned() });
        }
        let bytes = self.read(answer, (url, INFO_BYTES)).await?;
        let bytes = bytes.ok_or_else(|| Error::NoSuchModel(id.to_string()))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::BadAnswer { url: url.to_owned(), reason: error.to_string() })
    }

    /// An address of this Hub: parts, the id, parts; each part is escaped.
    pub(crate) fn address(&self, before: &[&str], id: &RepoId, after: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(before).extend(id.as_str().split('/')).extend(after);
        }
        url
    }

    /// The first answer that is not "later", or the last one there is.
    pub(crate) async fn answer(&self, url: &str) -> Result<Response> {
        let mut tried = 0;
        let at = Url::parse(url).map_err(|_| Error::BadEndpoint(url.to_owned()))?;
        loop {
            tried += 1;
            let last = tried >= self.limits.hub_tries;
            let request = self.signed(self.client.get(at.clone()), &at);
            self.records.turn().await;
            let answer = request.send().await.map_err(Error::Unreachable)?;
            let status = answer.status();
            let later = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
            let wait = retry_after(answer.headers());
            self.records.heed(answer.headers(), self.limits.hub_wait_seconds);
            if last || !later || wait.is_some_and(|long| long > self.limits.hub_wait_seconds) {
                return Ok(answer);
            }
            tokio::time::sleep(wait.map_or_else(|| pause(tried), Duration::from_secs)).await;
        }
    }

    /// The body of an answer; none where there is nothing, or nothing for us.
    async fn read(&self, answer: Response, (url, max): (&str, u64)) -> Result<Option<Vec<u8>>> {
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
            _ => return Err(Error::status(url, &answer)),
        }
        self.body(answer, (url, max)).await.map(Some)
    }

    /// The body of an answer of at most `max` bytes.
    pub(crate) async fn body(&self, answer: Response, (url, max): (&str, u64)) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        let mut stream = answer.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(Error::Unreachable)?;
            if (body.len() + chunk.len()) as u64 > max {
                return Err(Error::AnswerTooLarge { url: url.to_owned(), max });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
    };

    use super::*;

    /// Answers each connection with the next of `answers`, then closes.
    fn serve(answers: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                lines.map_while(std::result::Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        format!("http://{address}/")
    }

    fn hub(endpoint: &str) -> Result<HubClient> {
        HubClient::new(endpoint, &Limits::default())
    }

    fn id() -> RepoId {
        RepoId::parse("a/b").unwrap()
    }

    #[tokio::test]
    async fn a_record_is_read() {
        let place =
            serve(&["HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"id\":\"a/b\"}"]);

        let record = hub(&place).unwrap().record(&place, (&id(), "main")).await;

        assert_eq!(record.unwrap()["id"], "a/b");
    }

    #[tokio::test]
    async fn a_missing_revision_is_told_from_a_missing_model() {
        let hub = hub(&serve(&[
            "HTTP/1.1 404 Not Found\r\nx-error-code: RevisionNotFound\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nx-error-code: RepoNotFound\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        ]))
        .unwrap();

        let revision = hub.repository(&id(), "zz").await.unwrap_err();
        let model = hub.repository(&id(), "zz").await.unwrap_err();

        assert!(revision.to_string().contains("`a/b` has no branch, tag or commit `zz`"), "{revision}");
        assert!(matches!(model, Error::NoSuchModel(_)), "{model}");
    }

    #[tokio::test]
    async fn a_redirect_to_another_host_is_not_followed() {
        let hub = hub(&serve(&[
            "HTTP/1.1 302 Found\r\nlocation: http://localhost.invalid/x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        ]))
        .unwrap();

        assert!(matches!(hub.repository(&id(), "main").await, Err(Error::Status { status: 302, .. })));
    }

    #[test]
    fn the_token_goes_to_the_hub_alone_and_is_never_printed() {
        let hub = hub("https://hub.example/").unwrap().bearing("secret-word").unwrap();
        let sent = |to: &str| {
            let to = Url::parse(to).unwrap();
            let request = hub.signed(hub.files().get(to.clone()), &to).build().unwrap();
            request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned())
        };

        assert_eq!(sent("https://hub.example/a/b").as_deref(), Some("Bearer secret-word"));
        for other in ["https://cdn.example/a", "http://hub.example/a", "https://hub.example:8443/a"] {
            assert_eq!(sent(other), None, "{other}");
        }
        assert!(!format!("{hub:?}").contains("secret-word"), "{hub:?}");
        assert!(matches!(hub.bearing("a\nb"), Err(Error::BadToken)));
    }

    #[test]
    fn only_web_addresses_are_endpoints() {
        for bad in ["", "hub", "file:///x", "ftp://x/"] {
            assert!(matches!(hub(bad), Err(Error::BadEndpoint(_))), "{bad}");
        }
    }
}
