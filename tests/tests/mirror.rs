//! One Stemma mirrors another, as it would any Hub.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stemma_tests::{Proxy, Server, Zoo, client, databases};

const TUNED: &str = "mandoc/scribe-v1-de";
const BASE: &str = "mandoc/scribe-v1";

fn run(mut command: Command, words: &[&str]) -> Result<Value> {
    let out = command.args(words).args(["--json", "--quiet"]).output()?;
    ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// A server with two models, and their digests.
async fn origin(zoo: &Zoo) -> Result<(Server, Value, Value)> {
    let server = Server::start(&stemma_tests::Database::Sqlite).await?;
    let import = |id: &str| {
        let folder = zoo.path(id)?.display().to_string();
        run(server.stemma(), &["import", "dir", &folder, "--id", id])
    };
    let (base, tuned) = (import(BASE)?, import(TUNED)?);
    Ok((server, base, tuned))
}

/// A command on the registry of `mirror`, whose Hub is `origin`.
fn mirroring(mirror: &Server, origin: &Server) -> Command {
    let mut command = mirror.stemma();
    command.env("STEMMA_HUB", origin.url(""));
    command
}

#[tokio::test]
async fn a_mirrored_model_is_the_same_model_with_its_parents() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, base, tuned) = origin(&zoo).await?;
    for database in databases() {
        let mirror = Server::start(&database).await?;
        let here = || mirroring(&mirror, &origin);

        let told = run(here(), &["import", "hub", TUNED, "--parents", "1"])?;
        let again = run(here(), &["import", "hub", TUNED])?;

        ensure!(told[0]["id"] == TUNED && told[0]["digest"] == tuned["digest"], "{told}");
        ensure!(told[1]["id"] == BASE && told[1]["digest"] == base["digest"], "{told}");
        ensure!(again[0]["digest"] == tuned["digest"] && again[0]["known"].as_u64() >= Some(1), "{again}");
        let near = run(here(), &["kinship", TUNED, BASE])?;
        let far = run(origin.stemma(), &["kinship", TUNED, BASE])?;
        ensure!(near["matrices"] == far["matrices"], "{near} {far}");
    }
    Ok(())
}

#[tokio::test]
async fn parents_known_from_a_dump_come_with_their_files_past_those_that_are_here_and_not_into_names_of_others()
-> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, base, _) = origin(&zoo).await?;
    let grandchild = "community/scribe-de-code";
    let folder = zoo.path(grandchild)?.display().to_string();
    run(origin.stemma(), &["import", "dir", &folder, "--id", grandchild])?;
    for database in databases() {
        let mirror = Server::start(&database).await?;
        let here = || mirroring(&mirror, &origin);
        let dump = mirror.data().join("rows.jsonl");
        fs_err::write(&dump, json!({ "id": BASE, "license": "mit" }).to_string())?;
        run(mirror.stemma(), &["import", "dump", &dump.display().to_string()])?;
        run(here(), &["import", "hub", TUNED])?;
        let ids = |told: &Value| -> Vec<String> {
            let all = told.as_array().into_iter().flatten();
            all.filter_map(|one| Some(one["id"].as_str()?.to_owned())).collect()
        };

        let described = run(here(), &["import", "hub", grandchild, "--parents", "2", "--weights", "none"])?;
        let added = run(mirror.stemma(), &["user", "add", "mandoc"])?;
        let of_others = run(here(), &["import", "hub", grandchild, "--parents", "2"])?;
        run(mirror.stemma(), &["user", "remove", "mandoc"])?;
        let all = run(here(), &["import", "hub", grandchild, "--parents", "2"])?;

        ensure!(added["token"].is_string() && ids(&described) == [grandchild], "{added} {described}");
        ensure!(ids(&of_others) == [grandchild], "{of_others}");
        ensure!(ids(&all) == [grandchild, BASE] && all[1]["digest"] == base["digest"], "{all}");
    }
    Ok(())
}

/// The file of a blob in a registry's folder.
fn blob(mirror: &Server, hex: &str) -> std::path::PathBuf {
    mirror.data().join("blobs/blobs/sha256").join(&hex[..2]).join(hex)
}

#[tokio::test]
async fn a_damaged_file_of_the_hub_is_brought_in_again_by_itself() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, ..) = origin(&zoo).await?;
    for database in databases() {
        let hub = origin.url("");
        let mirror =
            Server::start_set(&database, &[("STEMMA_HUB", &hub), ("STEMMA_LIMITS__WATCH_SECONDS", "1")])
                .await?;
        let mut here = mirror.stemma();
        here.env("STEMMA_HUB", &hub);
        run(here, &["import", "hub", BASE])?;
        let client = client()?;
        let manifest =
            stemma_tests::get(&client, &mirror, &format!("/api/v1/models/{BASE}/manifest")).await?;
        let files = manifest["files"].as_array().context("no files")?;
        let weights = files.iter().find(|file| file["path"] == "model.safetensors").context("no weights")?;
        let (hex, url) =
            (weights["sha256"].as_str().context("no digest")?, weights["url"].as_str().context("")?);
        let good = fs_err::read(blob(&mirror, hex))?;
        let mut bad = good.clone();
        bad[100] ^= 1;
        fs_err::remove_file(blob(&mirror, hex))?;
        fs_err::write(blob(&mirror, hex), bad)?;

        let refused = client.get(url).send().await?.status();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !blob(&mirror, hex).is_file() {
            ensure!(std::time::Instant::now() < deadline, "it does not come: {}", mirror.log_end());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }

        ensure!(refused == 502, "{refused}");
        ensure!(client.get(url).send().await?.bytes().await? == good, "other bytes");
        let jobs = stemma_tests::get(&client, &mirror, "/api/v1/jobs").await?;
        let imports = jobs["items"].as_array().into_iter().flatten();
        ensure!(imports.filter(|job| job["kind"] == "import_model").count() == 1, "{jobs}");
    }
    Ok(())
}

#[tokio::test]
async fn metadata_and_headers_come_without_weights() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, ..) = origin(&zoo).await?;
    let mirror = Server::start(&stemma_tests::Database::Sqlite).await?;
    let client = client()?;
    let get = async |path: String| -> Result<Value> {
        Ok(client.get(mirror.url(&path)).send().await?.json().await?)
    };
    let import = |id: &str, weights: &str| {
        run(mirroring(&mirror, &origin), &["import", "hub", id, "--weights", weights])
    };

    import(TUNED, "none")?;
    import(BASE, "headers")?;

    let tuned = get(format!("/api/v1/models/{TUNED}")).await?;
    ensure!(tuned["has_weights"] == false && tuned["parents"][0]["id"] == BASE, "{tuned}");
    ensure!(tuned["architecture"] == "LlamaForCausalLM" && !tuned["card"].is_null(), "{tuned}");
    let base = get(format!("/api/v1/models/{BASE}")).await?;
    ensure!(base["has_weights"] == false && base["parameters"].as_u64() > Some(1_000_000), "{base}");
    let known = get(format!("/api/v1/models/{BASE}/tensors")).await?;
    let whole: Value =
        client.get(origin.url(&format!("/api/v1/models/{BASE}/tensors"))).send().await?.json().await?;
    let shapes = |page: &Value| -> Vec<String> {
        let tensors = page["items"].as_array().cloned().unwrap_or_default();
        let mut lines: Vec<String> =
            tensors.iter().map(|one| format!("{} {} {}", one["name"], one["dtype"], one["shape"])).collect();
        lines.sort();
        lines
    };
    ensure!(shapes(&known).len() > 10 && shapes(&known) == shapes(&whole), "{known}");
    ensure!(known["items"][0]["digest"].is_null(), "{known}");
    let page = client.get(mirror.url(&format!("/{BASE}"))).send().await?.text().await?;
    ensure!(page.contains("<h2>Tensors</h2>"), "{page}");
    Ok(())
}

#[tokio::test]
async fn an_import_over_rest_is_a_job_and_needs_a_hub_of_the_operators_choice() -> Result<()> {
    let server = Server::start(&stemma_tests::Database::Sqlite).await?;
    let client = client()?;

    let body = json!({ "model": TUNED });
    let answer = client.post(server.url("/api/v1/imports")).json(&body).send().await?;
    let status = answer.status();
    let problem: Value = answer.json().await?;
    let odd = json!({ "model": TUNED, "endpoint": "http://127.0.0.1:1" });
    let refused = client.post(server.url("/api/v1/imports")).json(&odd).send().await?;

    ensure!(status == 409 && problem["code"] == "no_hub", "{problem}");
    ensure!(refused.status() == 400, "no client names the endpoint: {}", refused.text().await?);
    let told = run(server.stemma(), &["doctor"]).context("still alive")?;
    ensure!(told["database"] == "ok", "{told}");
    Ok(())
}

/// A server with these settings in front of an upstream.
async fn before(upstream: &str, database: &stemma_tests::Database, more: &[(&str, &str)]) -> Result<Server> {
    Server::start_set(database, &[&[("STEMMA_HUB", upstream)], more].concat()).await
}

#[tokio::test]
async fn a_model_asked_for_and_not_here_comes_from_upstream_once_however_many_ask() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, _, tuned) = origin(&zoo).await?;
    for database in databases() {
        let proxy = Proxy::start(&origin.url(""), ("/model.safetensors", |_, answer| answer))?;
        let mirror = before(proxy.address(), &database, &[("STEMMA_PULL", "true")]).await?;
        let client = client()?;
        let ask = async |path: String| -> Result<(u16, Vec<u8>, String)> {
            let answer = client.get(mirror.url(&path)).send().await?;
            let commit = answer.headers().get("x-repo-commit").map(|value| value.to_str().map(str::to_owned));
            let commit = commit.transpose()?.unwrap_or_default();
            Ok((answer.status().as_u16(), answer.bytes().await?.to_vec(), commit))
        };
        let file = |revision: &str, path: &str| format!("/{TUNED}/resolve/{revision}/{path}");

        let config = || ask(file("main", "config.json"));
        let all = futures::future::try_join_all((0..8).map(|_| config())).await?;

        let wanted = fs_err::read(zoo.path(TUNED)?.join("config.json"))?;
        ensure!(all.iter().all(|(status, bytes, _)| *status == 200 && *bytes == wanted), "{all:?}");
        let jobs: Value = client.get(mirror.url("/api/v1/jobs")).send().await?.json().await?;
        let imports = jobs["items"].as_array().context("no jobs")?;
        ensure!(imports.iter().filter(|job| job["kind"] == "import_model").count() == 1, "{jobs}");
        ensure!(proxy.asked().len() == 1, "{:?}", proxy.asked());
        let row: Value =
            client.get(mirror.url(&format!("/api/v1/models/{TUNED}"))).send().await?.json().await?;
        ensure!(row["digest"] == tuned["digest"] && row["has_weights"] == true, "{row}");
        let upstream: Value =
            client.get(origin.url(&format!("/api/models/{TUNED}"))).send().await?.json().await?;
        let commit = upstream["sha"].as_str().context("no commit")?;
        ensure!(all.iter().all(|(.., at)| at == commit), "the commit is upstream's: {all:?}");
        ensure!(ask(file(commit, "README.md")).await?.0 == 200);
        let (status, told, _) = ask("/api/models/mandoc/nothing".to_owned()).await?;
        ensure!(status == 404, "{}", String::from_utf8_lossy(&told));
    }
    Ok(())
}

#[tokio::test]
async fn what_takes_long_to_come_is_passed_on_from_upstream_meanwhile() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, ..) = origin(&zoo).await?;
    for database in databases() {
        let settings = [("STEMMA_PULL", "true"), ("STEMMA_LIMITS__PULL_WAIT_SECONDS", "0")];
        let data = before(&origin.url(""), &database, &settings).await?;
        let client = client()?;
        let path = format!("/{TUNED}/resolve/main/model.safetensors");
        let whole = fs_err::read(zoo.path(TUNED)?.join("model.safetensors"))?;

        let head = client.head(data.url(&path)).send().await?;
        let part = client.get(data.url(&path)).header("range", "bytes=100-299").send().await?;
        let info: Value = client.get(data.url(&format!("/api/models/{TUNED}"))).send().await?.json().await?;

        let header = |name: &str| head.headers().get(name).and_then(|value| value.to_str().ok());
        let there = client.head(origin.url(&path)).send().await?;
        ensure!(header("content-length") == Some(&whole.len().to_string()), "{head:?}");
        ensure!(head.headers().get("etag") == there.headers().get("etag"), "{head:?} {there:?}");
        ensure!(header("x-repo-commit") == info["sha"].as_str(), "{head:?} {info}");
        ensure!(part.status() == 206 && part.bytes().await? == whole[100..300]);
        let siblings = info["siblings"].as_array().context("no files")?;
        ensure!(siblings.iter().any(|file| file["rfilename"] == "model.safetensors"), "{info}");
    }
    Ok(())
}

#[tokio::test]
async fn a_watched_author_is_followed() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, base, tuned) = origin(&zoo).await?;
    for database in databases() {
        let mirror = before(&origin.url(""), &database, &[("STEMMA_LIMITS__WATCH_SECONDS", "1")]).await?;
        let client = client()?;
        let digest = async |id: &str| -> Result<Value> {
            let row: Value =
                client.get(mirror.url(&format!("/api/v1/models/{id}"))).send().await?.json().await?;
            Ok(row["digest"].clone())
        };
        let until = async |id: &str, wanted: &Value| -> Result<()> {
            let end = std::time::Instant::now() + std::time::Duration::from_secs(120);
            while digest(id).await? != *wanted {
                ensure!(std::time::Instant::now() < end, "{id} does not come: {}", mirror.log_end());
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            Ok(())
        };

        let body = json!({ "author": "Mandoc" });
        let told: Value = client.post(mirror.url("/api/v1/watches")).json(&body).send().await?.json().await?;
        until(BASE, &base["digest"]).await?;
        until(TUNED, &tuned["digest"]).await?;
        let new =
            format!("mandoc/new-{}", if database == stemma_tests::Database::Sqlite { "a" } else { "b" });
        let folder = zoo.path("mandoc/scribe-v1-fr")?.display().to_string();
        let made = run(origin.stemma(), &["import", "dir", &folder, "--id", &new])?;
        until(&new, &made["digest"]).await?;

        ensure!(told["author"] == "Mandoc" && told["weights"] == "full", "{told}");
        let listed = run(mirror.stemma(), &["watch", "list"])?;
        ensure!(listed[0]["author"] == "Mandoc" && listed[0]["checked_at"].is_number(), "{listed}");
        let gone = client.delete(mirror.url("/api/v1/watches/mandoc")).send().await?;
        ensure!(gone.status() == 204);
        let again = client.delete(mirror.url("/api/v1/watches/mandoc")).send().await?;
        ensure!(again.status() == 404);
    }
    Ok(())
}

#[tokio::test]
async fn an_authors_models_come_at_once_and_only_what_has_changed_comes_again() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, ..) = origin(&zoo).await?;
    let mirror = Server::start(&stemma_tests::Database::Sqlite).await?;
    let import = || run(mirroring(&mirror, &origin), &["import", "hub", "--author", "mandoc"]);

    let (first, second) = (import()?, import()?);

    ensure!(first.as_array().map(Vec::len) == Some(2), "{first}");
    ensure!(second.as_array().map(Vec::len) == Some(0), "{second}");
    Ok(())
}

#[tokio::test]
async fn what_the_hub_does_not_have_is_named_one_by_one() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, ..) = origin(&zoo).await?;
    let mirror = Server::start(&stemma_tests::Database::Sqlite).await?;
    let import = |words: &[&str]| -> Result<(Option<i32>, String)> {
        let mut command = mirroring(&mirror, &origin);
        let out = command.args(["import", "hub"]).args(words).output()?;
        Ok((out.status.code(), String::from_utf8(out.stderr)?))
    };

    let (revision, told) = import(&[&format!("{BASE}@zz")])?;
    ensure!(revision == Some(3) && told.contains("no branch, tag or commit `zz`"), "{revision:?} {told}");
    let (author, told) = import(&["--author", "nobody"])?;
    ensure!(author == Some(3) && told.contains("no model of `nobody`"), "{author:?} {told}");
    let (several, told) = import(&["a/nope", BASE, "b/nope2", "--weights", "none"])?;
    ensure!(several == Some(3) && told.contains("a/nope") && told.contains("b/nope2"), "{several:?} {told}");
    let between = client()?.get(mirror.url(&format!("/api/v1/models/{BASE}"))).send().await?;
    ensure!(between.status() == 200, "one that is there comes in all the same");
    Ok(())
}

#[tokio::test]
async fn a_token_opens_what_is_private_upstream_and_it_stays_private_here() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, ..) = origin(&zoo).await?;
    let words = |words: &[&str]| run(origin.stemma(), words);
    let token = words(&["token", "create", "mandoc"])?["token"].as_str().context("no token")?.to_owned();
    words(&["access", "set", TUNED, "--private"])?;
    for database in databases() {
        let mirror = Server::start(&database).await?;
        let import = |token: Option<&str>| {
            let mut command = mirroring(&mirror, &origin);
            command.args(["import", "hub", TUNED, "--json", "--quiet"]);
            command.envs(token.map(|token| ("STEMMA_HUB_TOKEN", token)));
            command.output()
        };

        let without = import(None)?;
        let with = import(Some(&token))?;

        ensure!(without.status.code() == Some(3), "{}", String::from_utf8_lossy(&without.stderr));
        ensure!(with.status.success(), "{}", String::from_utf8_lossy(&with.stderr));
        let answer = client()?.get(mirror.url(&format!("/api/v1/models/{TUNED}"))).send().await?;
        ensure!(answer.status() == 404, "{}", answer.text().await?);
        let mut show = mirror.stemma();
        show.env("STEMMA_HUB_TOKEN", &token);
        let shown = run(show, &["config", "show"])?;
        ensure!(!shown.to_string().contains(&token), "{shown}");
    }
    Ok(())
}

#[tokio::test]
async fn what_the_operators_token_opens_is_not_passed_on_to_everybody() -> Result<()> {
    let zoo = Zoo::unpack()?;
    let (origin, ..) = origin(&zoo).await?;
    let words = |words: &[&str]| run(origin.stemma(), words);
    let token = words(&["token", "create", "mandoc"])?["token"].as_str().context("no token")?.to_owned();
    words(&["access", "set", TUNED, "--private"])?;
    words(&["access", "set", BASE, "--gate", "manual"])?;
    for database in databases() {
        let settings = [("STEMMA_PULL", "true"), ("STEMMA_HUB_TOKEN", token.as_str())];
        let mirror = before(&origin.url(""), &database, &settings).await?;
        let client = client()?;
        let added = run(mirror.stemma(), &["user", "add", "operator", "--admin"])?;
        let operator = added["token"].as_str().context("no token")?.to_owned();
        let ask = async |id: &str| -> Result<(u16, String)> {
            let path = format!("/{id}/resolve/main/config.json");
            let answer = client.get(mirror.url(&path)).send().await?;
            let code = answer.headers().get("x-error-code").map(|code| code.to_str().map(str::to_owned));
            Ok((answer.status().as_u16(), code.transpose()?.unwrap_or_default()))
        };

        let (private, gated) = (ask(TUNED).await?, ask(BASE).await?);

        ensure!(private == (404, "RepoNotFound".to_owned()), "{private:?}");
        let jobs = client.get(mirror.url("/api/v1/jobs")).bearer_auth(&operator).send().await?.text().await?;
        ensure!(
            jobs.matches("import_model").count() == 1,
            "the private one is fetched for no stranger: {jobs}"
        );
        ensure!(gated == (403, "GatedRepo".to_owned()), "{gated:?}");
        ensure!(ask(TUNED).await?.0 == 404);
        ensure!(client.get(mirror.url(&format!("/api/models/{BASE}"))).send().await?.status() == 200);
        let path = mirror.url(&format!("/{TUNED}/resolve/main/config.json"));
        let brought = client.get(&path).bearer_auth(&operator).send().await?;
        ensure!(brought.status() == 200, "{}", brought.text().await?);
        ensure!(ask(TUNED).await?.0 == 404);
    }
    Ok(())
}
