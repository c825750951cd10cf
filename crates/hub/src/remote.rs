//! A file of the Hub read in place by HTTP ranges, a block ahead, never as a whole.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{Digest, Fault as _};
use futures::StreamExt as _;
use reqwest::{
    Response, StatusCode, Url,
    header::{
        ACCEPT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_RANGE, LOCATION, RANGE,
    },
};
use tokio::runtime::Handle;
use weights::{ReadAt, ReadFault};

use crate::{
    Error, HubClient, Result,
    address::admits,
    budget::retry_after,
    cache::{Block, Key},
    client::pause,
};

/// What is asked for first: the headers of most files fit, and little is wasted where they do not.
const HEAD: u64 = 100_000;
/// The block that [`HEAD`] is kept as.
const HEAD_BLOCK: u64 = u64::MAX;
/// Redirects followed in a row.
const HOPS: usize = 5;

/// A file behind HTTP ranges. It must stay what it was at the first read: length and entity tag are checked with
/// every answer. Reads block, and must not be made on a thread that runs async tasks.
#[derive(Debug)]
pub struct RemoteFile {
    client: HubClient,
    url: Url,
    len: u64,
    stated: Option<Digest>,
    number: u64,
    seen: Mutex<Seen>,
    runtime: Handle,
}

/// What earlier answers told.
#[derive(Debug, Default, Clone)]
struct Seen {
    tag: Option<String>,
    /// Where the redirects led.
    place: Option<Url>,
}

/// Why a try failed.
enum Failed {
    For(Error),
    /// It may go better after a while.
    Now(Error, Option<Duration>),
}

impl RemoteFile {
    /// A file of `len` bytes at `url`; nothing is asked yet.
    pub(crate) fn new(client: &HubClient, url: Url, len: u64) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self {
            client: client.clone(),
            url,
            len,
            stated: None,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            seen: Mutex::default(),
            runtime: Handle::current(),
        }
    }

    /// The same with the digest that the Hub states for it.
    #[must_use]
    pub(crate) fn stating(self, stated: Option<Digest>) -> Self {
        Self { stated, ..self }
    }

    /// Its length, bytes.
    pub const fn size(&self) -> u64 {
        self.len
    }

    /// The digest that the Hub states for it; it states none for small files.
    pub const fn stated(&self) -> Option<Digest> {
        self.stated
    }

    /// The entity tag that the Hub gave it, once something of it was read.
    pub fn tag(&self) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).tag.clone()
    }

    /// Takes the file for the one that had this tag when it was read before; for any, without one.
    pub fn expect_tag(&self, tag: Option<String>) {
        self.remember(|seen| seen.tag = tag);
    }

    /// Bytes `from..to`, read again from where it broke off when a connection does.
    ///
    /// # Errors
    /// What reading fails with; [`Error::BadPart`] for bytes past the end.
    pub async fn part(&self, from: u64, to: u64) -> Result<Vec<u8>> {
        if from > to || to > self.len {
            return Err(self.bad("no such bytes"));
        }
        self.range(from, to).await
    }

    /// Where it was asked for.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The whole of a small file.
    ///
    /// # Errors
    /// [`Error::AnswerTooLarge`] over `max` bytes; what reading fails with.
    pub async fn read_all(&self, max: u64) -> Result<Vec<u8>> {
        if self.len > max {
            return Err(Error::AnswerTooLarge { url: self.url.to_string(), max });
        }
        self.range(0, self.len).await
    }

    fn block(&self, number: u64) -> Result<Block> {
        let size = self.client.limits().hub_block_bytes.max(1);
        let (from, to) = match number {
            HEAD_BLOCK => (0, HEAD.min(self.len)),
            at => (at * size, ((at + 1) * size).min(self.len)),
        };
        let key: Key = (self.number, number);
        self.client.cache().get(key, || self.runtime.block_on(self.range(from, to)))
    }

    /// Bytes `from..to`, taken up again where a connection broke off.
    async fn range(&self, from: u64, to: u64) -> Result<Vec<u8>> {
        let mut got = Vec::with_capacity(usize::try_from(to - from).unwrap_or_default());
        let mut tried = 0;
        while (got.len() as u64) < to - from {
            tried += 1;
            match self.attempt(from..to, &mut got).await {
                // A server may give less than it was asked for, but not for ever.
                Ok(()) if tried < self.client.limits().hub_tries => {}
                Ok(()) if got.len() as u64 == to - from => {}
                Ok(()) => return Err(self.bad("fewer bytes than it was asked for")),
                Err(Failed::Now(_, wait)) if tried < self.client.limits().hub_tries => {
                    tokio::time::sleep(wait.unwrap_or_else(|| pause(tried))).await;
                }
                Err(Failed::For(error) | Failed::Now(error, _)) => return Err(error),
            }
        }
        Ok(got)
    }

    async fn attempt(&self, whole: std::ops::Range<u64>, got: &mut Vec<u8>) -> Result<(), Failed> {
        let rest = whole.start + got.len() as u64..whole.end;
        let answer = self.ask(&rest).await?;
        self.check(&answer, rest.start).map_err(Failed::For)?;
        let wanted = (whole.end - whole.start) as usize;
        let mut body = answer.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Failed::Now(Error::Unreachable(error), None))?;
            if got.len() + chunk.len() > wanted {
                return Err(Failed::For(self.bad("more bytes than it was asked for")));
            }
            got.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// Sends the request along the redirects; only a partial answer comes back.
    async fn ask(&self, range: &std::ops::Range<u64>) -> Result<Response, Failed> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut url = seen.place.clone().unwrap_or_else(|| self.url.clone());
        for _ in 0..=HOPS {
            let bytes = format!("bytes={}-{}", range.start, range.end - 1);
            let request = self.client.files().get(url.clone()).header(RANGE, bytes);
            let mut request = self.client.signed(request, &url).header(ACCEPT_ENCODING, "identity");
            if let Some(tag) = seen.tag.as_ref().filter(|tag| !tag.starts_with("W/")) {
                request = request.header(IF_RANGE, tag);
            }
            // A storage that the Hub leads to has no say in how often the Hub is asked.
            let hubs = url.origin() == self.client.endpoint().origin();
            if hubs {
                self.client.parts().turn().await;
            }
            let answer = request.send().await.map_err(unreachable)?;
            if hubs {
                self.client.parts().heed(answer.headers(), self.client.limits().hub_wait_seconds);
            }
            let status = answer.status();
            if status.is_redirection() {
                url = self.next(&url, &answer).map_err(Failed::For)?;
                continue;
            }
            let stale = matches!(status.as_u16(), 401 | 403 | 404 | 410) && seen.place.is_some();
            if stale {
                // Addresses of a storage behind the Hub are signed and run out.
                self.remember(|seen| seen.place = None);
                return Err(Failed::Now(self.status(&answer), Some(Duration::ZERO)));
            }
            return match status {
                StatusCode::PARTIAL_CONTENT => {
                    self.remember(|seen| seen.place = (url != self.url).then_some(url));
                    Ok(answer)
                }
                StatusCode::OK if is_page(&answer) => {
                    Err(Failed::For(Error::WebPage { url: url.to_string() }))
                }
                StatusCode::OK => Err(Failed::For(self.not_partial(&answer, &seen))),
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => self.later(&answer),
                other if other.is_server_error() => self.later(&answer),
                _ => Err(Failed::For(self.status(&answer))),
            };
        }
        Err(Failed::For(self.redirect(&url, "it is one of too many")))
    }

    fn next(&self, from: &Url, answer: &Response) -> Result<Url> {
        let to = header(answer.headers(), LOCATION).and_then(|to| from.join(to).ok());
        let to = to.ok_or_else(|| self.bad("a redirect to no address"))?;
        admits(self.client.endpoint(), from, &to).map_err(|reason| self.redirect(&to, reason))?;
        Ok(to)
    }

    fn later(&self, answer: &Response) -> Result<Response, Failed> {
        match retry_after(answer.headers()) {
            Some(long) if long > self.client.limits().hub_wait_seconds => {
                Err(Failed::For(self.status(answer)))
            }
            wait => Err(Failed::Now(self.status(answer), wait.map(Duration::from_secs))),
        }
    }

    /// Whether a partial answer is of the file and the place it should be.
    fn check(&self, answer: &Response, from: u64) -> Result<()> {
        if is_page(answer) {
            return Err(Error::WebPage { url: answer.url().to_string() });
        }
        let told = header(answer.headers(), CONTENT_RANGE).and_then(content_range);
        let (start, total) = told.ok_or_else(|| self.bad("a part without saying which (Content-Range)"))?;
        if total != self.len {
            return Err(self.changed(format!("it has {total} bytes now, {} were expected", self.len)));
        }
        if start != from {
            return Err(self.bad("another part than it was asked for"));
        }
        let tag = header(answer.headers(), ETAG).map(str::to_owned);
        let mut changed = false;
        self.remember(|seen| {
            changed = seen.tag.is_some() && seen.tag != tag;
            seen.tag = seen.tag.take().or(tag);
        });
        if changed { Err(self.changed("its entity tag is another".to_owned())) } else { Ok(()) }
    }

    fn not_partial(&self, answer: &Response, seen: &Seen) -> Error {
        let tag = header(answer.headers(), ETAG);
        match (&seen.tag, tag) {
            (Some(known), Some(now)) if known != now => self.changed("its entity tag is another".to_owned()),
            _ => Error::NoRange { url: self.url.to_string() },
        }
    }

    fn remember(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn changed(&self, reason: String) -> Error {
        Error::Changed { url: self.url.to_string(), reason }
    }

    fn redirect(&self, to: &Url, reason: &'static str) -> Error {
        Error::Redirect { url: self.url.to_string(), to: to.to_string(), reason }
    }

    fn bad(&self, reason: &str) -> Error {
        Error::BadPart { url: self.url.to_string(), reason: reason.to_owned() }
    }

    fn status(&self, answer: &Response) -> Error {
        Error::status(self.url.as_str(), answer)
    }
}

fn unreachable(error: reqwest::Error) -> Failed {
    let passing = error.is_timeout() || error.is_connect() || error.is_request();
    if passing {
        Failed::Now(Error::Unreachable(error), None)
    } else {
        Failed::For(Error::Unreachable(error))
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn is_page(answer: &Response) -> bool {
    header(answer.headers(), CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html"))
}

/// First byte and length of the whole in `bytes 0-99/1000`.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (part, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = part.split_once('-')?;
    Some((from.trim().parse().ok()?, total.trim().parse().ok()?))
}

impl ReadAt for RemoteFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64).filter(|&end| end <= self.len);
        let end = end.ok_or_else(|| {
            io::Error::new(io::ErrorKind::UnexpectedEof, "a read past the end of a remote file")
        })?;
        let size = self.client.limits().hub_block_bytes.max(1);
        let mut at = offset;
        while at < end {
            let (number, base) = if end <= HEAD { (HEAD_BLOCK, 0) } else { (at / size, at / size * size) };
            let block = self.block(number).map_err(told)?;
            let skip = (at - base) as usize;
            let take = (block.len() - skip).min((end - at) as usize);
            let to = (at - offset) as usize;
            out[to..to + take].copy_from_slice(&block[skip..skip + take]);
            at += take as u64;
        }
        Ok(())
    }
}

fn told(error: Error) -> io::Error {
    let (code, class, wait) = (error.code(), error.class(), error.wait());
    io::Error::other(ReadFault { code, class, wait, message: error.to_string() })
}
