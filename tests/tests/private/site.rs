//! A registry with a private or gated model between two open ones, and answers that can be laid side by side.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use stemma_tests::{Database, Server, Zoo, answer, client};

/// The model that is closed here.
pub const CLOSED: &str = "mandoc/scribe-v1-de";

/// A name that nothing has, of the same letters, so that pictures of it are as wide.
pub const NEVER: &str = "mandoc/scribe-v1-ed";

/// An open model that the closed one descends from.
pub const BASE: &str = "mandoc/scribe-v1";

/// An open model that descends from the closed one; nothing of its own says so.
pub const CHILD: &str = "community/scribe-de-code";

/// The registry and who asks it.
pub struct Site {
    pub server: Server,
    pub client: Client,
    /// An administrator of the namespace, a reader of it, and somebody else.
    pub owner: String,
    pub reader: String,
    pub other: String,
}

impl Site {
    /// A registry with an organisation whose model is closed as `settings` say.
    pub async fn with(database: &Database, settings: &[&str]) -> Result<Self> {
        Self::on(Server::start(database).await?, settings)
    }

    /// The same on a server that is there.
    pub fn on(server: Server, settings: &[&str]) -> Result<Self> {
        let zoo = Zoo::unpack()?;
        fs_err::write(zoo.path(CHILD)?.join("README.md"), "---\nlicense: mit\n---\n# scribe-de-code\n")?;
        let run = |words: &[&str]| -> Result<Value> {
            let out = server.stemma().args(words).args(["--json", "--quiet"]).output()?;
            ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
            Ok(serde_json::from_slice(&out.stdout).unwrap_or_default())
        };
        let token = |words: &[&str]| -> Result<String> {
            Ok(run(words)?["token"].as_str().context("no token")?.to_owned())
        };
        for id in [BASE, CLOSED, CHILD] {
            run(&["import", "dir", &zoo.path(id)?.display().to_string(), "--id", id])?;
        }
        run(&["edge", "add", CHILD, CLOSED, "--reason", "its log"])?;
        run(&["org", "create", "mandoc"])?;
        let owner = token(&["user", "add", "alice"])?;
        let (reader, other) = (token(&["token", "create", "rita"])?, token(&["token", "create", "bob"])?);
        run(&["org", "member", "add", "mandoc", "alice", "--role", "admin"])?;
        run(&["org", "member", "add", "mandoc", "rita"])?;
        run(&[&["access", "set", CLOSED], settings].concat())?;
        Ok(Self { server, client: client()?, owner, reader, other })
    }

    /// The status and the text of an address.
    pub async fn ask(&self, path: &str, token: Option<&str>) -> Result<(u16, String)> {
        let answer = with(self.client.get(self.server.url(path)), token).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// The status and the document that an address answers.
    pub async fn read(&self, path: &str, token: Option<&str>) -> Result<Value> {
        let (status, text) = self.ask(path, token).await?;
        ensure!(status == 200, "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// What is answered to a document that is posted.
    pub async fn send(&self, (path, body): (&str, Value), token: Option<&str>) -> Result<(u16, Value)> {
        answer(with(self.client.post(self.server.url(path)).json(&body), token)).await
    }
}

fn with(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// An answer without the number of its occurrence.
pub fn plain(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(mut fields)) => {
            fields.remove("instance");
            Value::Object(fields).to_string()
        }
        _ => text.to_owned(),
    }
}

/// An answer without what two models never have in common: ids, digests and times. Everything else is as it was, every
/// count above all.
pub fn alike(text: &str) -> String {
    let text = plain(text).replace("%3A", ":");
    let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':');
    let mut told = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        told.push_str(&rest[..start]);
        rest = &rest[start..];
        let (word, after) = rest.split_at(rest.find(|c| !in_word(c)).unwrap_or(rest.len()));
        // Pages show the first eight digits of a commit.
        let commit = word.len() == 8 && is_hex(word) && told.ends_with("<code>");
        told.push_str(if commit || is_of_one(word) { "#" } else { word });
        rest = after;
    }
    told + rest
}

fn is_hex(word: &str) -> bool {
    word.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

/// Whether a word is an id, a digest or a time.
fn is_of_one(word: &str) -> bool {
    let hex = word.strip_prefix("sha256:").unwrap_or(word);
    // Pages show the beginning of a digest.
    let shown = if hex.len() < word.len() { 12 } else { 24 };
    let digest = hex.len() >= shown && is_hex(hex);
    let ulid = word.len() == 26 && word.bytes().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    let date = word.starts_with("20") && word.contains('T') && word.contains(':');
    let seconds = word.len() == 10 && word.starts_with('1') && word.bytes().all(|c| c.is_ascii_digit());
    digest || ulid || date || seconds
}

#[test]
fn ids_digests_and_times_are_left_out_and_counts_are_not() {
    let told =
        r#"{"id":"01M8DVFXVVDXGWZ0FXE9H8B999","at":1795761453,"on":"2026-11-27T06:36:11Z","models":12}"#;
    let tree = format!("/tree/sha256%3A{} of 1262720 and deadbeef <code>0e5bf98c</code>", "0a".repeat(32));

    assert_eq!(alike(told), r##"{"id":"#","at":#,"on":"#","models":12}"##);
    assert_eq!(alike(&tree), "/tree/# of 1262720 and deadbeef <code>#</code>");
}
