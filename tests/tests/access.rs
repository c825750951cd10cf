//! Who may read and who may write, as the operator set it.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, Response, header};
use serde_json::{Value, json};
use stemma_tests::{Database, Server, client, databases, run_json};

fn token(server: &Server, words: &[&str]) -> Result<String> {
    let out = server.stemma().args(["token", "create", "alice", "--json"]).args(words).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let told: Value = serde_json::from_slice(&out.stdout)?;
    Ok(told["token"].as_str().unwrap_or_default().to_owned())
}

async fn create(client: &Client, server: &Server, (name, token): (&str, Option<&str>)) -> Result<Response> {
    let mut request = client.post(server.url("/api/repos/create")).json(&json!({ "name": name }));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    Ok(request.send().await?)
}

#[tokio::test]
async fn without_a_setting_everybody_may_read_and_write() -> Result<()> {
    let (server, client) = (Server::start(&Database::Sqlite).await?, client()?);

    ensure!(create(&client, &server, ("a/b", None)).await?.status() == 200);
    ensure!(client.get(server.url("/a/b")).send().await?.status() == 200);
    let reader = token(&server, &["--read-only"])?;
    let weak = create(&client, &server, ("a/c", Some(&reader))).await?;
    ensure!(weak.status() == 403, "a token that may only read wrote: {}", weak.text().await?);
    Ok(())
}

#[tokio::test]
async fn writing_can_be_left_to_those_with_a_token() -> Result<()> {
    let server = Server::start_set(&Database::Sqlite, &[("STEMMA_WRITES", "token")]).await?;
    let client = client()?;
    let (writer, reader) = (token(&server, &[])?, token(&server, &["--read-only"])?);

    let nobody = create(&client, &server, ("a/b", None)).await?;
    let (status, problem): (_, Value) = (nobody.status(), nobody.json().await?);
    ensure!(status == 401 && problem["code"] == "token_needed", "{problem}");
    let wrong = create(&client, &server, ("a/b", Some("stemma_wrong"))).await?;
    ensure!(wrong.status() == 401, "{}", wrong.text().await?);
    let weak = create(&client, &server, ("a/b", Some(&reader))).await?;
    ensure!(weak.status() == 403, "{}", weak.text().await?);
    let form = client.post(server.url("/merges/new")).header(header::ACCEPT, "text/html").send().await?;
    ensure!(form.status() == 303 && form.headers()[header::LOCATION] == "/login", "{form:?}");
    ensure!(create(&client, &server, ("mine", Some(&writer))).await?.status() == 200);
    ensure!(client.get(server.url("/alice/mine")).send().await?.status() == 200, "named after its user");

    let filing = json!({ "model": "alice/mine", "kind": "defect", "severity": "low", "summary": "odd" });
    let file = || client.post(server.url("/api/v1/advisories")).json(&filing);
    ensure!(
        file().send().await?.status() == 401 && file().bearer_auth(&reader).send().await?.status() == 403
    );
    let filed: Value = file().bearer_auth(&writer).send().await?.json().await?;
    ensure!(filed["database_specific"]["filed_by"] == "alice (command line)", "{filed}");

    let revoked = server.stemma().args(["token", "revoke", "1"]).output()?;
    ensure!(revoked.status.success());
    let late = create(&client, &server, ("late", Some(&writer))).await?;
    ensure!(late.status() == 401, "{}", late.text().await?);
    Ok(())
}

#[tokio::test]
async fn a_browser_signs_in_with_a_token_where_reading_needs_one() -> Result<()> {
    let settings = [("STEMMA_READS", "token")];
    let (server, client) = (Server::start_set(&Database::Sqlite, &settings).await?, client()?);
    let secret = token(&server, &["--read-only"])?;
    let page = async |cookie: &str| {
        let request = client.get(server.url("/models")).header(header::ACCEPT, "text/html");
        anyhow::Ok(request.header(header::COOKIE, cookie).send().await?)
    };
    let sign_in = async |secret: &str| {
        let request = client.post(server.url("/login"));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        anyhow::Ok(request.body(format!("token={secret}")).send().await?)
    };

    let out = page("").await?;
    let refused = sign_in("stemma_wrong").await?;
    let let_in = sign_in(&secret).await?;

    ensure!(out.status() == 303 && out.headers()[header::LOCATION] == "/login?next=/models", "{out:?}");
    ensure!(client.get(server.url("/login")).send().await?.status() == 200);
    ensure!(client.get(server.url("/livez")).send().await?.status() == 200);
    ensure!(client.get(server.url("/api/v1/models")).send().await?.status() == 401);
    ensure!(refused.status() == 401 && refused.text().await?.contains("unknown, revoked or expired"));
    let cookie = let_in.headers()[header::SET_COOKIE].to_str()?.to_owned();
    ensure!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    ensure!(page(&cookie).await?.status() == 200);
    ensure!(page("stemma_token=stemma_wrong").await?.status() == 303);
    ensure!(!cookie.contains(&secret), "the cookie is the token itself");
    let left = client.post(server.url("/logout")).header(header::COOKIE, &cookie).send().await?;
    ensure!(left.status() == 303 && page(&cookie).await?.status() == 303, "it works after the logout");
    let secure = client
        .post(server.url("/login"))
        .header("x-forwarded-proto", "https")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let secure = secure.body(format!("token={secret}")).send().await?;
    let secure = secure.headers()[header::SET_COOKIE].to_str()?.to_owned();
    ensure!(secure.starts_with("__Host-stemma_token=") && secure.contains("Secure"), "{secure}");
    Ok(())
}

#[tokio::test]
async fn no_address_that_changes_something_passes_for_one_that_asks() -> Result<()> {
    let closed = Server::start_set(&Database::Sqlite, &[("STEMMA_WRITES", "token")]).await?;
    let open = Server::start(&Database::Sqlite).await?;
    let client = client()?;
    let status = async |server: &Server, path: &str, token: Option<&str>| -> Result<u16> {
        let mut request = client.post(server.url(path)).json(&json!({}));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Ok(request.send().await?.status().as_u16())
    };
    let readers = [token(&closed, &["--read-only"])?, token(&open, &["--read-only"])?];

    for path in [
        "/api/v1/models/x/ask-access",
        "/api/models/o/n/branch/ask-access",
        "/api/models/o/n/tag/ask-access",
        "/api/models/o/n/commit/ask-access",
        "/api/models/o/n/commit/x/ask-access",
        "/api/models/o/n/branch/paths-info/x",
        "/api/models/o/paths-info/branch/x",
        "/api/models/paths-info/n/commit/main",
        "/api/models/paths-info/commit/main",
        "/api/models/o/paths-info/user-access-request/handle",
        "/o/n/x/ask-access",
    ] {
        ensure!(status(&closed, path, None).await? == 401, "{path} without a token");
        for (server, reader) in [&closed, &open].into_iter().zip(&readers) {
            ensure!(status(server, path, Some(reader)).await? == 403, "{path} by a reader");
        }
    }
    for (path, told) in [
        ("/api/v1/sparql", 415),
        ("/api/models/o/n/paths-info/main", 404),
        ("/api/models/o/paths-info/paths-info/main", 404),
        ("/api/models/o/n/ask-access", 404),
        ("/o/n/ask-access", 404),
    ] {
        for token in [None, Some(readers[0].as_str())] {
            let status = status(&closed, path, token).await?;
            ensure!(status == told, "{path} for {token:?} only asks: {status}");
        }
    }
    Ok(())
}

/// A file and its SHA-256.
const LARGE: (&str, &str) =
    ("large file", "dd0401f025a48d86243d4bd336483566b84d4ab7d1b15eb612c88ad02cee59db");

#[tokio::test]
async fn the_key_of_an_upload_sends_files_and_does_nothing_else() -> Result<()> {
    for database in databases() {
        let server = Server::start_set(&database, &[("STEMMA_WRITES", "token")]).await?;
        let client = client()?;
        let writer = token(&server, &[])?;
        create(&client, &server, ("alice/big", Some(&writer))).await?;
        let (bytes, oid) = LARGE;
        let batch = async || -> Result<(String, String)> {
            let asked = json!({ "operation": "upload", "objects": [{ "oid": oid, "size": bytes.len() }] });
            let request = client.post(server.url("/alice/big.git/info/lfs/objects/batch")).json(&asked);
            let told: Value = request.bearer_auth(&writer).send().await?.json().await?;
            let href = |name: &str| told["objects"][0]["actions"][name]["href"].as_str().map(str::to_owned);
            href("upload").zip(href("verify")).with_context(|| told.to_string())
        };
        let status =
            async |request: reqwest::RequestBuilder| anyhow::Ok(request.send().await?.status().as_u16());
        let whoami = || client.get(server.url("/api/whoami-v2"));

        let (upload, verify) = batch().await?;
        let (again, _) = batch().await?;

        ensure!(upload == again, "a key a request: {upload} {again}");
        let (place, key) = upload.split_once("?key=").with_context(|| upload.clone())?;
        ensure!(status(whoami().bearer_auth(&writer)).await? == 200);
        ensure!(status(whoami().bearer_auth(key)).await? == 401, "the key is a token");
        ensure!(create(&client, &server, ("alice/more", Some(key))).await?.status() == 401);
        ensure!(
            status(client.put(place).bearer_auth(key).body(bytes)).await? == 401,
            "it belongs in the address"
        );
        let address = format!("{}?key={key}", server.url("/api/whoami-v2"));
        ensure!(status(client.get(address)).await? == 401, "another address takes a key");
        ensure!(
            status(client.put(format!("{place}?key={writer}")).body(bytes)).await? == 401,
            "a token in an address"
        );
        ensure!(status(client.put(place).body(bytes)).await? == 401);
        ensure!(status(client.put(&upload).body(bytes)).await? == 200);
        let object = json!({ "oid": oid, "size": bytes.len() });
        ensure!(status(client.post(&verify).json(&object)).await? == 200);
        let listed = server.stemma().args(["token", "list", "--json"]).output()?;
        let listed: Value = serde_json::from_slice(&listed.stdout)?;
        ensure!(listed.as_array().map(Vec::len) == Some(1), "{listed}");

        let revoked = server.stemma().args(["token", "revoke", "1"]).output()?;

        ensure!(revoked.status.success());
        ensure!(status(client.put(&upload).body(bytes)).await? == 401, "it outlives its token");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_token_let_through_is_kept_by_no_cache_for_others() -> Result<()> {
    let (server, client) = (Server::start(&Database::Sqlite).await?, client()?);
    let reader = token(&server, &["--read-only"])?;
    let part = reqwest::multipart::Part::bytes(b"# Card\n".to_vec()).file_name("README.md");
    let form = reqwest::multipart::Form::new().part("file", part);
    client.post(server.url("/api/v1/models/a/b")).multipart(form).send().await?.error_for_status()?;
    let sign_in =
        client.post(server.url("/login")).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let cookie = sign_in.body(format!("token={reader}")).send().await?.headers()[header::SET_COOKIE]
        .to_str()?
        .to_owned();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();

    for path in [
        "/a/b/resolve/main/README.md",
        "/a/b/raw/main/README.md",
        "/api/v1/models",
        "/api/v1/models/a/b",
        "/api/models/a/b",
        "/api/v1/models/none",
        "/a/b",
        "/models",
    ] {
        let rule = async |cookie: Option<&str>| -> Result<String> {
            let mut request = client.get(server.url(path));
            if let Some(cookie) = cookie {
                request = request.header(header::COOKIE, cookie);
            }
            let answer = request.send().await?;
            let rule =
                answer.headers().get(header::CACHE_CONTROL).with_context(|| format!("{path}: {answer:?}"))?;
            Ok(rule.to_str()?.to_owned())
        };
        ensure!(rule(None).await? == "no-cache", "{path}");
        ensure!(rule(Some(&cookie)).await? == "private, no-cache", "{path}");
    }
    let files: Value = client.get(server.url("/api/v1/models/a/b/files")).send().await?.json().await?;
    let blob = format!("/api/v1/blobs/{}", files["items"][0]["digest"].as_str().unwrap_or_default());
    let own = client.get(server.url(&blob)).header(header::COOKIE, &cookie).send().await?;
    let own = own.headers()[header::CACHE_CONTROL].to_str()?.to_owned();
    ensure!(own == "private, max-age=31536000, immutable", "{own}");
    Ok(())
}

/// Addresses that the document does not list, with their methods.
const UNLISTED: &[(&str, &[&str])] = &[
    (
        "GET",
        &[
            "/",
            "/models",
            "/metrics",
            "/docs",
            "/x/y",
            "/x/y/resolve/main/f",
            "/x/y/resolve/main/static/f",
            "/static/x/f",
            "/api/models",
            "/api/models/x/y",
        ],
    ),
    (
        "POST",
        &[
            "/x/y.git/info/lfs/objects/batch",
            "/api/repos/create",
            "/api/lfs/verify",
            "/merges/new",
            "/x/y/ask-access",
        ],
    ),
    ("PUT", &["/api/lfs/x"]),
];

#[tokio::test]
async fn where_reading_needs_a_token_no_address_does_anything_without_one() -> Result<()> {
    let server = Server::start_set(&Database::Sqlite, &[("STEMMA_READS", "token")]).await?;
    let (client, document) = (client()?, run_json(server.stemma(), "openapi")?);
    let filled = |path: &str| {
        let part = |part: &str| if part.contains('{') { "x".to_owned() } else { part.to_owned() };
        path.split('/').map(part).collect::<Vec<_>>().join("/")
    };
    let mut all: Vec<(String, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().context("no paths")? {
        let methods = methods.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase());
        let methods = methods.filter(|method| ["GET", "PUT", "POST", "DELETE", "PATCH"].contains(&&**method));
        all.extend(methods.map(|method| (method, filled(path))));
    }
    let listed = all.len();
    for (method, paths) in UNLISTED {
        all.extend(paths.iter().map(|path| ((*method).to_owned(), (*path).to_owned())));
    }
    let open = ["/livez", "/readyz", "/healthz"];

    for (method, path) in all.iter().filter(|(_, path)| !open.contains(&path.as_str())) {
        let request = client.request(reqwest::Method::from_bytes(method.as_bytes())?, server.url(path));
        let answer = request.json(&json!({})).send().await?;
        ensure!(answer.status() == 401, "{method} {path}: {}", answer.status());
    }
    ensure!(listed > 60, "{listed}");
    Ok(())
}
