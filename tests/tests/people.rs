//! Users, organisations, tokens and access over REST and by forms, without the command line.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, Method, header};
use serde_json::{Value, json};
use stemma_tests::{Database, Server, Zoo, answer, client, databases};

struct Site {
    server: Server,
    client: Client,
    /// An administrator's token.
    root: String,
}

impl Site {
    async fn with(database: &Database) -> Result<Self> {
        let server = Server::start(database).await?;
        let out = server.stemma().args(["user", "add", "root", "--admin", "--json"]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let told: Value = serde_json::from_slice(&out.stdout)?;
        let root = told["token"].as_str().context("no token")?.to_owned();
        Ok(Self { server, client: client()?, root })
    }

    async fn ask(&self, (method, path): (Method, &str), body: Value, token: &str) -> Result<(u16, Value)> {
        let mut request = self.client.request(method, self.server.url(path));
        if !body.is_null() {
            request = request.json(&body);
        }
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        answer(request).await
    }

    async fn user(&self, name: &str) -> Result<String> {
        let (status, told) =
            self.ask((Method::POST, "/api/v1/users"), json!({ "name": name }), &self.root).await?;
        ensure!(status == 201, "{status} {told}");
        Ok(told["token"].as_str().context("no token")?.to_owned())
    }

    /// A page or the answer to a form, as a browser that signed in gets it.
    async fn page(&self, path: &str, form: Option<&str>, token: &str) -> Result<(u16, String)> {
        let url = self.server.url(path);
        let request = match form {
            None => self.client.get(url),
            Some(text) => self
                .client
                .post(url)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(text.to_owned()),
        };
        let answer = request.header(header::COOKIE, format!("stemma_token={token}")).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }
}

#[tokio::test]
async fn an_administrator_manages_people_over_rest_and_an_organisations_own_its_members() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database).await?;
        let (ann, bob) = (site.user("ann").await?, site.user("bob").await?);
        let members = "/api/v1/orgs/acme/members";
        let ask = async |method: Method, path: &str, body: Value, token: &str| {
            anyhow::Ok(site.ask((method, path), body, token).await?.0)
        };

        let (made, told) =
            site.ask((Method::POST, "/api/v1/orgs"), json!({ "name": "acme" }), &site.root).await?;
        ensure!(made == 201, "{told}");
        let admin = json!({ "role": "admin" });
        ensure!(ask(Method::PUT, &format!("{members}/ann"), admin.clone(), &site.root).await? == 200);

        for token in ["", &bob] {
            // The same of an organisation that is not there.
            for org in ["acme", "nobody"] {
                let path = format!("/api/v1/orgs/{org}/members");
                ensure!(ask(Method::GET, &path, Value::Null, token).await? == 403, "{path}");
                ensure!(ask(Method::PUT, &format!("{path}/bob"), admin.clone(), token).await? == 403);
            }
            ensure!(ask(Method::GET, "/api/v1/users", Value::Null, token).await? == 403);
            ensure!(ask(Method::POST, "/api/v1/users", json!({ "name": "eve" }), token).await? == 403);
            ensure!(ask(Method::POST, "/api/v1/orgs", json!({ "name": "eve" }), token).await? == 403);
            ensure!(ask(Method::DELETE, "/api/v1/orgs/acme", Value::Null, token).await? == 403);
        }
        let read = json!({ "role": "read" });
        ensure!(ask(Method::PUT, &format!("{members}/bob"), read, &ann).await? == 200);
        let (_, seen) = site.ask((Method::GET, members), Value::Null, &bob).await?;
        ensure!(
            seen == json!([{ "user": "ann", "role": "admin" }, { "user": "bob", "role": "read" }]),
            "{seen}"
        );
        let (_, own) = site.ask((Method::GET, "/api/v1/orgs"), Value::Null, &bob).await?;
        ensure!(own == json!([{ "name": "acme", "role": "read" }]), "{own}");
        ensure!(ask(Method::DELETE, &format!("{members}/bob"), Value::Null, &ann).await? == 204);
        ensure!(ask(Method::GET, members, Value::Null, &bob).await? == 403);
        let (_, users) = site.ask((Method::GET, "/api/v1/users"), Value::Null, &site.root).await?;
        let names: Vec<_> = users.as_array().context("no users")?.iter().map(|user| &user["name"]).collect();
        ensure!(names == ["ann", "bob", "root"], "{users}");
        ensure!(ask(Method::POST, "/api/v1/users", json!({ "name": "Ann" }), &site.root).await? == 409);
        ensure!(ask(Method::POST, "/api/v1/users", json!({ "name": "a/b" }), &site.root).await? == 422);
        ensure!(ask(Method::DELETE, "/api/v1/users/acme", Value::Null, &site.root).await? == 404);
        ensure!(ask(Method::DELETE, "/api/v1/orgs/acme", Value::Null, &site.root).await? == 204);
    }
    Ok(())
}

#[tokio::test]
async fn everybody_makes_and_revokes_tokens_of_their_own_and_of_nobody_else() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database).await?;
        let (ann, bob) = (site.user("ann").await?, site.user("bob").await?);
        let wanted = json!({ "label": "laptop", "read_only": true, "days": 7 });

        let (made, told) = site.ask((Method::POST, "/api/v1/tokens"), wanted.clone(), &ann).await?;
        let reader = told["token"].as_str().context("no token")?.to_owned();
        let (_, listed) = site.ask((Method::GET, "/api/v1/tokens"), Value::Null, &ann).await?;
        let (weak, _) = site.ask((Method::POST, "/api/v1/tokens"), wanted, &reader).await?;

        ensure!(made == 201 && weak == 403, "{made} {weak}");
        ensure!(listed[0]["label"] == "laptop" && listed[0]["scope"] == "read", "{listed}");
        ensure!(listed[0]["expires_at"].is_i64() && !listed.to_string().contains(&reader), "{listed}");
        ensure!(site.ask((Method::GET, "/api/v1/tokens"), Value::Null, "").await?.0 == 403);
        let path = format!("/api/v1/tokens/{}", listed[0]["id"]);
        ensure!(site.ask((Method::DELETE, &path), Value::Null, &bob).await?.0 == 404);
        ensure!(site.ask((Method::GET, "/api/whoami-v2"), Value::Null, &reader).await?.0 == 200);
        ensure!(site.ask((Method::DELETE, &path), Value::Null, &ann).await?.0 == 204);
        ensure!(site.ask((Method::GET, "/api/whoami-v2"), Value::Null, &reader).await?.0 == 401);
    }
    Ok(())
}

#[tokio::test]
async fn the_account_page_tells_who_one_is_and_makes_a_token_that_works() -> Result<()> {
    let site = Site::with(&Database::Sqlite).await?;
    let ann = site.user("ann").await?;

    let (out, _) = site.page("/settings", None, "").await?;
    let (_, page) = site.page("/settings", None, &ann).await?;
    let (made, told) = site.page("/settings/tokens", Some("label=bench&read_only=&days=3"), &ann).await?;
    let (bad, wrong) = site.page("/settings/tokens", Some("label=bench&days=soon"), &ann).await?;

    ensure!(out == 303, "{out}");
    ensure!(page.contains("<h1>ann</h1>") && page.contains("first") && !page.contains(&ann), "{page}");
    let secret = told.split("<code>").nth(1).and_then(|rest| rest.split('<').next()).context("no secret")?;
    ensure!(made == 201 && secret.starts_with("stemma_"), "{told}");
    ensure!(site.ask((Method::GET, "/api/whoami-v2"), Value::Null, secret).await?.0 == 200);
    ensure!(bad == 422 && wrong.contains("not a number of days") && wrong.contains("bench"), "{wrong}");
    let revoke = told.split("/settings/tokens/").nth(1).and_then(|rest| rest.split('/').next());
    let revoke = format!("/settings/tokens/{}/revoke", revoke.context("nothing to revoke")?);
    ensure!(site.page(&revoke, Some(""), &ann).await?.0 == 303);
    ensure!(site.ask((Method::GET, "/api/whoami-v2"), Value::Null, secret).await?.0 == 401);
    Ok(())
}

#[tokio::test]
async fn access_is_asked_for_and_granted_with_forms_alone() -> Result<()> {
    const MODEL: &str = "acme/scribe";
    for database in databases() {
        let site = Site::with(&database).await?;
        let (ann, bob) = (site.user("ann").await?, site.user("bob").await?);
        let zoo = Zoo::unpack()?;
        let run = |words: &[&str]| -> Result<()> {
            let out = site.server.stemma().args(words).output()?;
            ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
            Ok(())
        };
        run(&["import", "dir", &zoo.path("mandoc/scribe-v1")?.display().to_string(), "--id", MODEL])?;
        run(&["org", "create", "acme"])?;
        run(&["org", "member", "add", "acme", "ann", "--role", "admin"])?;
        run(&["access", "set", MODEL, "--gate", "manual"])?;
        let page = async |token: &str| anyhow::Ok(site.page(&format!("/{MODEL}"), None, token).await?.1);
        let file = format!("/{MODEL}/resolve/main/config.json");
        let ask = format!("model={MODEL}");
        let yes = format!("model={MODEL}&person=bob&decision=accepted");

        let (stranger, before) = (page("").await?, page(&bob).await?);
        let asked = site.page("/settings/ask-access", Some(&ask), &bob).await?.0;
        let (waiting, owner) = (page(&bob).await?, page(&ann).await?);
        let usurped = site.page("/settings/access", Some(&yes), &bob).await?.0;
        let granted = site.page("/settings/access", Some(&yes), &ann).await?.0;

        ensure!(stranger.contains(">gated<") && stranger.contains("Sign in</a> to ask"), "{stranger}");
        ensure!(before.contains("Ask for access") && !before.contains("Who asked"), "{before}");
        ensure!(asked == 303 && waiting.contains("You asked for access"), "{asked} {waiting}");
        ensure!(owner.contains("Who asked") && owner.contains("Let in bob"), "{owner}");
        ensure!(usurped == 403 && granted == 303, "{usurped} {granted}");
        ensure!(page(&bob).await?.contains("You may read them"));
        ensure!(site.ask((Method::GET, &file), Value::Null, &bob).await?.0 == 200);
        let (_, list) = site.page("/models?search=scribe", None, "").await?;
        ensure!(list.contains(">gated<") && !list.contains(">private<"), "{list}");
        run(&["access", "set", MODEL, "--private"])?;
        let (_, list) = site.page("/models?search=scribe", None, &ann).await?;
        ensure!(list.contains(">private<"), "{list}");
        ensure!(site.page("/settings/ask-access", Some(&ask), &bob).await?.0 == 404);
    }
    Ok(())
}

#[tokio::test]
async fn totals_on_the_front_page_and_in_the_metrics_are_of_what_the_asker_sees() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database).await?;
        let zoo = Zoo::unpack()?;
        for (id, closes) in [("acme/open", false), ("acme/closed", true)] {
            let folder = zoo.path("mandoc/scribe-v1")?;
            let done =
                site.server.stemma().args(["import", "dir"]).arg(folder).args(["--id", id]).status()?;
            ensure!(done.success());
            if closes {
                ensure!(site.server.stemma().args(["access", "set", id, "--private"]).status()?.success());
            }
        }
        let metrics = async |token: &str| {
            let mut request = site.client.get(site.server.url("/metrics"));
            if !token.is_empty() {
                request = request.bearer_auth(token);
            }
            let text = request.send().await?.text().await?;
            let line = text.lines().find(|line| line.starts_with("stemma_models ")).map(str::to_owned);
            line.context("no total")
        };

        let (outside, inside) =
            (site.page("/", None, "").await?.1, site.page("/", None, &site.root).await?.1);

        let total = |page: &str| {
            page.split("<dt>models</dt><dd><a href=\"/search\">")
                .nth(1)
                .and_then(|rest| rest.split('<').next())
                .map(str::to_owned)
        };
        ensure!(total(&outside).as_deref() == Some("1"), "{outside}");
        ensure!(total(&inside).as_deref() == Some("2"), "{inside}");
        ensure!(metrics("").await? == "stemma_models 1" && metrics(&site.root).await? == "stemma_models 2");
    }
    Ok(())
}
