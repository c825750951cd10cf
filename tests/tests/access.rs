//! Who may read and who may write, as the operator set it.

use anyhow::{Result, ensure};
use reqwest::{Client, Response, header};
use serde_json::{Value, json};
use stemma_tests::{Database, Server, client};

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

    ensure!(out.status() == 303 && out.headers()[header::LOCATION] == "/login", "{out:?}");
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
