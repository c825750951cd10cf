//! What a browser meets whose session has ended, or whose token may only read.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, StatusCode, header};
use serde_json::Value;
use stemma_tests::{Database, Server, Zoo, client, databases};

const MODEL: &str = "mandoc/scribe-v1";

/// A browser on a registry of its own.
struct Reader {
    server: Server,
    client: Client,
    cookie: String,
}

/// Status, address that it leads to, and page.
type Seen = (StatusCode, String, String);

impl Reader {
    async fn with(database: &Database, settings: &[(&str, &str)]) -> Result<Self> {
        let server = Server::start_set(database, settings).await?;
        Ok(Self { server, client: client()?, cookie: String::new() })
    }

    fn run(&self, words: &[&str]) -> Result<Value> {
        let out = self.server.stemma().args(words).arg("--json").output()?;
        ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(serde_json::from_slice(&out.stdout).unwrap_or_default())
    }

    async fn see(&self, request: reqwest::RequestBuilder) -> Result<Seen> {
        let request = request.header(header::ACCEPT, "text/html").header(header::COOKIE, &self.cookie);
        let answer = request.send().await?;
        let to = answer.headers().get(header::LOCATION).map(|to| to.to_str().map(str::to_owned));
        Ok((answer.status(), to.transpose()?.unwrap_or_default(), answer.text().await?))
    }

    async fn get(&self, path: &str) -> Result<Seen> {
        self.see(self.client.get(self.server.url(path))).await
    }

    fn form(&self, path: &str, fields: &str) -> reqwest::RequestBuilder {
        let request = self.client.post(self.server.url(path));
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(fields.to_owned())
    }

    async fn post(&self, path: &str, fields: &str) -> Result<Seen> {
        self.see(self.form(path, fields)).await
    }

    /// Revokes every token.
    fn revoke(&self) -> Result<()> {
        let listed = self.run(&["token", "list"])?;
        for token in listed.as_array().context("no list")? {
            self.run(&["token", "revoke", &token["id"].to_string()])?;
        }
        Ok(())
    }

    /// Signs in with a new token of `alice`.
    async fn sign_in(&mut self, words: &[&str]) -> Result<()> {
        let told = self.run(&[&["token", "create", "alice"], words].concat())?;
        let token = told["token"].as_str().context("no token")?;
        self.enter(token, "").await.map(|_| ())
    }

    /// Signs in, and gives the address that this leads to.
    async fn enter(&mut self, token: &str, next: &str) -> Result<String> {
        let answer = self.form("/login", &format!("token={token}&next={next}")).send().await?;
        let cookie = answer.headers()[header::SET_COOKIE].to_str()?;
        self.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(answer.headers()[header::LOCATION].to_str()?.to_owned())
    }
}

#[tokio::test]
async fn an_advisory_sent_after_the_session_has_ended_is_not_lost() -> Result<()> {
    for database in databases() {
        let mut reader = Reader::with(&database, &[]).await?;
        reader.sign_in(&[]).await?;
        reader.revoke()?;

        let filing = "model=o/a&kind=defect&severity=low&summary=Leaks&details=Of+two+lines";
        let (status, _, page) = reader.post("/advisories", filing).await?;
        let decision = format!("model={MODEL}&parent=o/b&decision=confirm");
        let (decided, _, told) = reader.post("/edges", &decision).await?;

        ensure!(status == 403 && page.contains("Sign in again"), "{status} {page}");
        ensure!(page.contains("value=\"Leaks\"") && page.contains(">Of two lines</textarea>"), "{page}");
        ensure!(decided == 403 && told.contains("Sign in again"), "{decided} {told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_session_that_has_ended_is_forgotten_with_the_first_form_that_is_refused_for_it() -> Result<()> {
    let mut reader = Reader::with(&Database::Sqlite, &[]).await?;
    let dump = reader.server.data().join("one.jsonl");
    fs_err::write(&dump, "{\"id\":\"o/a\",\"tags\":[\"base_model:o/b\"]}\n")?;
    reader.run(&["import", "dump", dump.to_str().context("no path")?])?;
    reader.sign_in(&[]).await?;
    reader.revoke()?;

    let decision = "model=o/a&parent=o/b&decision=confirm";
    let leaving = reader.get("/login").await?.2;
    let sent = reader.form("/edges", decision).header(header::COOKIE, &reader.cookie);
    let refused = sent.send().await?;
    let forgotten = refused.headers()[header::SET_COOKIE].to_str()?.to_owned();
    reader.cookie.clear();
    let (taken, ..) = reader.post("/edges", decision).await?;

    ensure!(leaving.contains("Sign out"), "{leaving}");
    ensure!(refused.status() == 403 && forgotten.contains("Max-Age=0"), "{forgotten}");
    ensure!(taken == 303, "{taken}");
    Ok(())
}

#[tokio::test]
async fn a_token_that_may_only_read_asks_for_access_and_is_told_where_it_does_not_do() -> Result<()> {
    for database in databases() {
        let mut reader = Reader::with(&database, &[]).await?;
        let zoo = Zoo::unpack()?;
        let folder = zoo.path(MODEL)?;
        reader.run(&["import", "dir", folder.to_str().context("no path")?, "--id", MODEL])?;
        reader.run(&["access", "set", MODEL, "--gate", "manual"])?;
        reader.sign_in(&["--read-only"]).await?;

        let (_, _, page) = reader.get(&format!("/{MODEL}")).await?;
        let (asked, back, _) = reader.post("/settings/ask-access", &format!("model={MODEL}")).await?;
        let (checked, _, told) = reader.post("/merges/check", "yaml=merge_method:+linear").await?;
        let (refused, to, _) = reader.post("/merges/new", "yaml=x&output=o/n").await?;
        let (_, _, login) = reader.get(&to).await?;
        let usurped = reader.post("/settings/access", &format!("model={MODEL}&person=alice")).await?;

        ensure!(page.contains("action=\"/settings/ask-access\""), "{page}");
        ensure!(asked == 303 && back == format!("/{MODEL}#access"), "{asked} {back}");
        ensure!(checked == 200 && told.contains("merge_method: linear</textarea>"), "{checked} {told}");
        ensure!(refused == 303 && to.starts_with("/login?need=write"), "{refused} {to}");
        ensure!(login.contains("needs a token that may write"), "{login}");
        ensure!(usurped.0 == 303 && usurped.1.starts_with("/login?need=write"), "{usurped:?}");
    }
    Ok(())
}

#[tokio::test]
async fn who_signs_in_goes_on_to_where_they_wanted_and_never_to_another_site() -> Result<()> {
    let mut reader = Reader::with(&Database::Sqlite, &[("STEMMA_READS", "token")]).await?;
    let told = reader.run(&["token", "create", "alice"])?;
    let token = told["token"].as_str().context("no token")?.to_owned();

    let (out, to, _) = reader.get("/search?search=a%2Fb&sort=name").await?;
    let (_, _, login) = reader.get(&to).await?;
    let (_, nowhere, _) = reader.get("/api/lfs/objects/1?key=secret").await?;

    ensure!(out == 303 && to == "/login?next=/search%3Fsearch%3Da%252Fb%26sort%3Dname", "{out} {to}");
    ensure!(login.contains("name=\"next\" value=\"/search?search=a%2Fb&#38;sort=name\""), "{login}");
    ensure!(nowhere == "/login", "{nowhere}");
    ensure!(reader.enter(&token, "/search%3Fsearch%3Da%252Fb").await? == "/search?search=a%2Fb");
    for evil in ["//evil", "/%5Cevil", "/%252Fevil", "/%09/evil", "/%0D%0Aevil", "https://evil", "/logout"] {
        ensure!(reader.enter(&token, evil).await? == "/", "{evil}");
    }
    Ok(())
}

#[tokio::test]
async fn a_form_that_needs_a_token_says_so_before_it_is_filled_in() -> Result<()> {
    const FORMS: [&str; 4] = ["/advisories", "/merges/new", "/transfers/new", "/o/a"];
    const WARNING: &str = "before you fill in the form";
    let mut reader = Reader::with(&Database::Sqlite, &[("STEMMA_WRITES", "token")]).await?;
    let dump = reader.server.data().join("one.jsonl");
    fs_err::write(&dump, "{\"id\":\"o/a\",\"tags\":[\"base_model:o/b\"]}\n")?;
    reader.run(&["import", "dump", dump.to_str().context("no path")?])?;

    for path in FORMS {
        let (_, _, page) = reader.get(path).await?;
        ensure!(page.contains(WARNING) && page.contains(&format!("/login?next={path}\"")), "{page}");
    }
    let from = reader.server.url("/o/a");
    let lost = reader.form("/edges", "model=o/a&parent=o/b&decision=confirm").header(header::REFERER, from);
    let (refused, to, _) = reader.see(lost).await?;
    reader.sign_in(&["--read-only"]).await?;
    let (_, _, weak) = reader.get("/advisories").await?;
    reader.sign_in(&[]).await?;

    ensure!(refused == 303 && to == "/login?next=/o/a", "{refused} {to}");
    ensure!(
        weak.contains("may only read") && weak.contains("/login?need=write&#38;next=/advisories"),
        "{weak}"
    );
    for path in FORMS {
        let (_, _, page) = reader.get(path).await?;
        ensure!(!page.contains(WARNING), "{page}");
    }
    reader.revoke()?;
    ensure!(reader.get("/advisories").await?.2.contains("Your session has ended"));
    Ok(())
}
