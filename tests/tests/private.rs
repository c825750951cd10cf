//! Private and gated models: who sees what, on every address there is.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, multipart};
use serde_json::{Value, json};
use stemma_tests::{Database, Server, Zoo, answer, client, databases, ended};

/// The model that is closed here; the others descend from it or lead to it.
const CLOSED: &str = "mandoc/scribe-v1-de";

/// A name of the same shape that nothing has.
const NEVER: &str = "mandoc/scribe-v1-xx";

/// An answer without the number of its occurrence.
fn plain(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(mut fields)) => {
            fields.remove("instance");
            Value::Object(fields).to_string()
        }
        _ => text.to_owned(),
    }
}

struct Site {
    server: Server,
    client: Client,
    /// An administrator of the namespace, a reader of it, and somebody else.
    owner: String,
    reader: String,
    other: String,
}

impl Site {
    /// A registry with an organisation whose model is closed as `settings` say.
    async fn with(database: &Database, settings: &[&str]) -> Result<Self> {
        let server = Server::start(database).await?;
        let zoo = Zoo::unpack()?;
        let run = |words: &[&str]| -> Result<Value> {
            let out = server.stemma().args(words).args(["--json", "--quiet"]).output()?;
            ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
            Ok(serde_json::from_slice(&out.stdout).unwrap_or_default())
        };
        let token = |words: &[&str]| -> Result<String> {
            Ok(run(words)?["token"].as_str().context("no token")?.to_owned())
        };
        for id in ["mandoc/scribe-v1", CLOSED] {
            run(&["import", "dir", &zoo.path(id)?.display().to_string(), "--id", id])?;
        }
        run(&["org", "create", "mandoc"])?;
        let owner = token(&["user", "add", "alice"])?;
        let (reader, other) = (token(&["token", "create", "rita"])?, token(&["token", "create", "bob"])?);
        run(&["org", "add", "mandoc", "alice", "--role", "admin"])?;
        run(&["org", "add", "mandoc", "rita"])?;
        run(&[&["access", "set", CLOSED], settings].concat())?;
        Ok(Self { server, client: client()?, owner, reader, other })
    }

    async fn ask(&self, path: &str, token: Option<&str>) -> Result<(u16, String)> {
        let mut request = self.client.get(self.server.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    async fn send(&self, (path, body): (&str, Value), token: Option<&str>) -> Result<(u16, Value)> {
        let mut request = self.client.post(self.server.url(path)).json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        answer(request).await
    }

    /// Every address of the OpenAPI document that answers GET, those of a model with the closed one's name.
    async fn addresses(&self) -> Result<Vec<(String, bool)>> {
        let (_, text) = self.ask("/api/v1/openapi.json", None).await?;
        let document: Value = serde_json::from_str(&text)?;
        let paths = document["paths"].as_object().context("no paths")?;
        let named = paths.iter().filter(|(path, item)| {
            item.get("get").is_some() && !path.contains("{id}") && !path.contains("{digest}")
        });
        let filled = named.map(|(path, _)| {
            let of_a_model = path.contains("{org}");
            let filled = path.replace("{org}/{name}", CLOSED).replace("{revision}", "main");
            let filled = filled.replace("{path}", "config.json").replace("{form}", "atom");
            (filled.replace("{range}", "main...main").replace("{spec}", "main...main"), of_a_model)
        });
        Ok(filled.collect())
    }
}

#[tokio::test]
async fn nobody_but_members_hears_of_a_private_model_on_any_address() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--private"]).await?;
        let pages = ["/", "/models", "/families", "/jobs", "/advisories", "/mandoc/scribe-v1"]
            .into_iter()
            .chain(["/mandoc/scribe-v1/lineage", "/api/models", "/api/models/mandoc/scribe-v1"])
            .chain(["/api/v1/models/mandoc/scribe-v1/lineage", "/api/v1/models/mandoc/scribe-v1/relatives"])
            .chain(["/api/v1/models/mandoc/scribe-v1/lineage?format=dot", "/api/v1/models/mandoc/scribe-v1"])
            .chain(["/api/v1/models/mandoc/scribe-v1/merge-suggestions?base=mandoc/scribe-v1"])
            .chain(["/api/v1/typeahead?q=scribe", "/api/v1/models?facets=true", "/models?search=scribe"])
            .chain(["/lineage?from=mandoc/scribe-v1&to=community/scribe-de-code"])
            .chain(["/api/v1/path?from=mandoc/scribe-v1&to=community/scribe-de-code"])
            .chain(["/api/v1/reports/names", "/api/v1/reports/families", "/api/v1/reports/licences"])
            .chain(["/api/models?filter=base_model:mandoc/scribe-v1", "/api/models?search=scribe&full=true"])
            .map(|path| (path.to_owned(), false));
        let own = [
            format!("/{CLOSED}"),
            format!("/{CLOSED}/lineage"),
            format!("/{CLOSED}/resolve/main/config.json"),
            format!("/api/models/{CLOSED}"),
            format!("/api/models/{CLOSED}/tree/main"),
            format!("/api/models/{CLOSED}/refs"),
            format!("/api/models/{CLOSED}/resolve/main/config.json"),
        ];
        let own = own.into_iter().map(|path| (path, true));
        let all: Vec<_> = pages.chain(own).chain(site.addresses().await?).collect();
        ensure!(all.len() > 40, "{all:?}");

        for token in [None, Some(site.other.as_str())] {
            for (path, of_the_model) in &all {
                let (status, text) = site.ask(path, token).await?;

                if *of_the_model {
                    // To the last word what is said of a model that never was.
                    let (as_unknown, told) = site.ask(&path.replace(CLOSED, NEVER), token).await?;
                    let text = plain(&text).replace(CLOSED, NEVER);
                    ensure!((400..500).contains(&status), "{path} for {token:?}: {status} {text}");
                    ensure!(status == as_unknown && text == plain(&told), "{path}: {text}\n{told}");
                } else {
                    ensure!(!text.contains("scribe-v1-de"), "{path} for {token:?}: {text}");
                }
            }
        }
        for token in [&site.owner, &site.reader] {
            for path in ["/models", "/api/models", "/api/v1/models", "/mandoc/scribe-v1/lineage"] {
                let (status, text) = site.ask(path, Some(token)).await?;
                ensure!(status == 200 && text.contains("scribe-v1-de"), "{path}: {status} {text}");
            }
            let (status, _) = site.ask(&format!("/{CLOSED}/resolve/main/config.json"), Some(token)).await?;
            ensure!(status == 200, "{status}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_tree_shows_a_private_model_as_a_nameless_ghost() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--private"]).await?;
        let path = "/api/v1/models/mandoc/scribe-v1/lineage?down=3";

        let (_, outside) = site.ask(path, None).await?;
        let (_, inside) = site.ask(path, Some(&site.reader)).await?;

        ensure!(outside.contains("private model ") && !outside.contains("scribe-v1-de"), "{outside}");
        ensure!(!inside.contains("private model ") && inside.contains("scribe-v1-de"), "{inside}");
    }
    Ok(())
}

#[tokio::test]
async fn whoever_names_a_private_parent_hears_what_is_said_of_a_name_that_nobody_has() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--private"]).await?;
        for (id, parent) in [("bob/named", CLOSED), ("bob/other", NEVER)] {
            let card = format!("---\nbase_model: {parent}\n---\n# Card\n");
            let part = multipart::Part::bytes(card.into_bytes()).file_name("README.md");
            let form = multipart::Form::new().part("file", part);
            let request = site.client.post(site.server.url(&format!("/api/v1/models/{id}"))).multipart(form);
            let status = request.bearer_auth(&site.other).send().await?.status();
            ensure!(status == 201, "{id}: {status}");
        }
        let alike = |text: &str| -> String {
            let text = plain(text).replace("other", "named").replace("scribe-v1-xx", "scribe-v1-de");
            // Without numbers and digests, which are of the children.
            text.chars().filter(|c| !c.is_ascii_hexdigit()).collect()
        };
        let paths = ["/api/v1/models/{child}/edges", "/api/v1/models/{child}/lineage", "/{child}/lineage"]
            .into_iter()
            .chain(["/api/v1/models/{parent}", "/api/v1/models/{parent}/lineage", "/{parent}"])
            .chain(["/api/v1/models/{parent}/children", "/{parent}/children", "/{parent}/lineage"])
            .chain(["/api/models/{parent}", "/api/models?filter=base_model:{parent}"])
            .chain(["/api/v1/models/{parent}/edges", "/{parent}/resolve/main/config.json"])
            .chain(["/api/v1/models?search={parent}", "/api/v1/typeahead?q={parent}"]);
        for path in paths {
            for token in [None, Some(site.other.as_str())] {
                let of =
                    |child: &str, parent: &str| path.replace("{child}", child).replace("{parent}", parent);

                let (status, text) = site.ask(&of("bob/named", CLOSED), token).await?;
                let (as_absent, told) = site.ask(&of("bob/other", NEVER), token).await?;

                let (text, told) = (alike(&text), alike(&told));
                ensure!(status == as_absent && text == told, "{path}: {status} {text}\n{as_absent} {told}");
            }
        }
        for token in [None, Some(site.other.as_str())] {
            for (path, body) in
                [("/api/repos/create", json!({})), ("/api/v1/imports", json!({ "weights": "none" }))]
            {
                let mut told = Vec::new();
                for name in [CLOSED, NEVER] {
                    let mut body = body.clone();
                    body[if path.ends_with("imports") { "model" } else { "name" }] = name.into();
                    let (status, answer) = site.send((path, body), token).await?;
                    told.push((status, alike(&answer.to_string())));
                }
                ensure!(told[0] == told[1], "{path}: {told:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_calculation_reads_a_model_that_its_asker_may_not_read() -> Result<()> {
    let recipe = |model: &str| {
        let config = format!(
            "merge_method: linear\nmodels:\n  - model: mandoc/scribe-v1\n    parameters: {{weight: 0}}\n  \
             - model: {model}\n    parameters: {{weight: 1}}\n"
        );
        json!({ "config": config, "output": "bob/copy" })
    };
    let cases = [(&["--private"][..], (422, 404)), (&["--gate", "manual"][..], (403, 403))];
    for (settings, (no_merge, no_diff)) in cases {
        for database in databases() {
            let site = Site::with(&database, settings).await?;
            let diff = json!({ "tuned": CLOSED, "base": "mandoc/scribe-v1" });

            for token in [None, Some(site.other.as_str())] {
                let (merged, told) = site.send(("/api/v1/merges", recipe(CLOSED)), token).await?;
                ensure!(merged == no_merge, "{merged} {told}");
                let (diffed, told) = site.send(("/api/v1/diffs", diff.clone()), token).await?;
                ensure!(diffed == no_diff, "{diffed} {told}");
            }
            let (merged, told) = site.send(("/api/v1/merges", recipe(CLOSED)), Some(&site.reader)).await?;
            // A reader may look into it, but has no namespace `bob` to keep a private result in.
            ensure!(merged == if no_diff == 404 { 403 } else { 202 }, "{merged} {told}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_made_of_a_private_model_is_private_and_so_is_its_job() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--private"]).await?;
        let config = format!(
            "merge_method: linear\nmodels:\n  - model: mandoc/scribe-v1\n    parameters: {{weight: 0.5}}\n  \
             - model: {CLOSED}\n    parameters: {{weight: 0.5}}\n"
        );
        let wanted = json!({ "config": config, "output": "alice/soup" });

        let (status, job) = site.send(("/api/v1/merges", wanted), Some(&site.owner)).await?;

        ensure!(status == 202, "{status} {job}");
        let id = job["id"].as_str().context("no id")?.to_owned();
        let bearer = format!("Bearer {}", site.owner).parse()?;
        let headers = [(reqwest::header::AUTHORIZATION, bearer)].into_iter().collect();
        let own = Client::builder().no_proxy().default_headers(headers).build()?;
        let job = ended(&own, &site.server, &id).await?;
        ensure!(job["state"] == "succeeded", "{job}");
        for token in [None, Some(site.other.as_str()), Some(site.reader.as_str())] {
            let (status, _) = site.ask(&format!("/api/v1/jobs/{id}"), token).await?;
            let (listed, text) = site.ask("/api/v1/jobs", token).await?;
            ensure!(status == 404 && listed == 200 && !text.contains(&id), "{status} {text}");
            ensure!(site.ask("/api/v1/models/alice/soup", token).await?.0 == 404);
        }
        ensure!(site.ask("/api/v1/models/alice/soup", Some(&site.owner)).await?.0 == 200);
    }
    Ok(())
}

#[tokio::test]
async fn a_gated_model_is_described_to_all_and_read_by_those_let_in() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--gate", "manual"]).await?;
        let file = format!("/{CLOSED}/resolve/main/config.json");
        let requests = format!("/api/models/{CLOSED}/user-access-request");
        let read = async || anyhow::Ok(site.ask(&file, Some(&site.other)).await?.0);
        let (_, files) = site.ask(&format!("/api/v1/models/{CLOSED}/files"), None).await?;
        let files: Value = serde_json::from_str(&files)?;
        let digest = files["items"][0]["digest"].as_str().context("no digest")?.to_owned();
        let blob = format!("/api/v1/blobs/{digest}");

        let refused = site.client.get(site.server.url(&file)).send().await?;
        let (described, info) = site.ask(&format!("/api/models/{CLOSED}"), None).await?;

        ensure!(refused.status() == 403 && refused.headers()["x-error-code"] == "GatedRepo", "{refused:?}");
        ensure!(described == 200 && info.contains("\"gated\":\"manual\""), "{info}");
        ensure!(site.ask(&blob, None).await?.0 == 404, "a digest is no way around the gate");
        ensure!(site.ask(&blob, Some(&site.reader)).await?.0 == 200);
        let (asked, told) =
            site.send((&format!("/{CLOSED}/ask-access"), json!({})), Some(&site.other)).await?;
        ensure!(asked == 200 && told["status"] == "pending", "{asked} {told}");
        ensure!(read().await? == 403);
        let (status, _) = site.ask(&format!("{requests}/pending"), Some(&site.reader)).await?;
        ensure!(status == 403, "a reader does not decide: {status}");
        let (_, pending) = site.ask(&format!("{requests}/pending"), Some(&site.owner)).await?;
        ensure!(pending.contains("\"user\":\"bob\""), "{pending}");
        let yes = json!({ "user": "bob", "status": "accepted" });
        let (status, told) = site.send((&format!("{requests}/handle"), yes), Some(&site.owner)).await?;
        ensure!(status == 200, "{status} {told}");
        ensure!(read().await? == 200 && site.ask(&blob, Some(&site.other)).await?.0 == 200);
        let no = json!({ "user": "bob", "status": "rejected" });
        site.send((&format!("{requests}/handle"), no), Some(&site.owner)).await?;
        ensure!(read().await? == 403);
    }
    Ok(())
}

#[tokio::test]
async fn an_object_that_one_may_not_have_must_be_sent_to_be_committed() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--gate", "manual"]).await?;
        let (_, files) = site.ask(&format!("/api/v1/models/{CLOSED}/files"), None).await?;
        let files: Value = serde_json::from_str(&files)?;
        let items = files["items"].as_array().context("no files")?;
        let weights = items.iter().find(|file| file["path"] == "model.safetensors").context("no weights")?;
        let oid = weights["digest"].as_str().context("no digest")?.replace("sha256:", "");
        site.send(("/api/repos/create", json!({ "name": "bob/thief" })), Some(&site.other)).await?;
        let batch = json!({ "operation": "upload", "objects": [{ "oid": oid, "size": weights["size"] }] });
        let file = json!({ "path": "w.safetensors", "algo": "sha256", "oid": oid, "size": weights["size"] });
        let lines = [
            json!({ "key": "header", "value": { "summary": "take" } }),
            json!({ "key": "lfsFile", "value": file }),
        ];
        let body = lines.map(|line| line.to_string()).join("\n");

        let (_, told) =
            site.send(("/bob/thief.git/info/lfs/objects/batch", batch), Some(&site.other)).await?;
        let commit = site.client.post(site.server.url("/api/models/bob/thief/commit/main"));
        let commit = commit.bearer_auth(&site.other).body(body).send().await?;

        ensure!(told["objects"][0]["actions"]["upload"].is_object(), "{told}");
        ensure!(commit.status() == 400, "{}", commit.text().await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_somebody_has_is_written_by_its_members_alone() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--public"]).await?;
        let upload = async |id: &str, token: Option<&str>| -> Result<u16> {
            let part = multipart::Part::bytes(b"# Card\n".to_vec()).file_name("README.md");
            let form = multipart::Form::new().part("file", part);
            let mut request =
                site.client.post(site.server.url(&format!("/api/v1/models/{id}"))).multipart(form);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            Ok(request.send().await?.status().as_u16())
        };

        ensure!(upload("nobody/model", None).await? == 201, "open where nobody is at home");
        for token in [None, Some(site.other.as_str()), Some(site.reader.as_str())] {
            ensure!(upload("mandoc/new", token).await? == 403);
            ensure!(upload(CLOSED, token).await? == 403);
            let gone = json!({ "name": CLOSED });
            let mut request = site.client.delete(site.server.url("/api/repos/delete")).json(&gone);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            ensure!(request.send().await?.status() == 403);
            let hidden = json!({ "name": "nobody/hidden", "private": true });
            let (status, told) = site.send(("/api/repos/create", hidden), token).await?;
            ensure!(status == 403, "nobody could see it: {status} {told}");
        }
        ensure!(upload("mandoc/new", Some(&site.owner)).await? == 201);
        ensure!(upload("alice/new", Some(&site.other)).await? == 403);
        ensure!(upload("bob/new", None).await? == 201, "bob has tokens, but was not added as a user");
    }
    Ok(())
}

#[tokio::test]
async fn a_claim_on_somebody_elses_private_model_attaches_once_that_is_public() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--private"]).await?;
        let card = format!("---\nbase_model: {CLOSED}\n---\n# Card\n");
        let part = multipart::Part::bytes(card.into_bytes()).file_name("README.md");
        let form = multipart::Form::new().part("file", part);
        let request = site.client.post(site.server.url("/api/v1/models/bob/named")).multipart(form);
        ensure!(request.bearer_auth(&site.other).send().await?.status() == 201);
        let children = async || -> Result<(String, String)> {
            let path = format!("/api/v1/models/{CLOSED}/children");
            let (_, inside) = site.ask(&path, Some(&site.owner)).await?;
            let (_, parents) = site.ask("/api/v1/models/bob/named", None).await?;
            Ok((inside, parents))
        };

        let (closed, claimed) = children().await?;
        let settings = site.client.put(site.server.url(&format!("/api/models/{CLOSED}/settings")));
        let opened = settings.bearer_auth(&site.owner).json(&json!({ "private": false })).send().await?;
        let (open, attached) = children().await?;

        ensure!(opened.status() == 200);
        ensure!(!closed.contains("bob/named"), "its owner hears of a claim that it cannot check: {closed}");
        let parent =
            |text: &str| -> Result<Value> { Ok(serde_json::from_str::<Value>(text)?["parents"][0].clone()) };
        ensure!(parent(&claimed)?["id"] == CLOSED && parent(&claimed)?["ghost"] == true, "{claimed}");
        ensure!(open.contains("bob/named"), "{open}");
        ensure!(parent(&attached)?["id"] == CLOSED && parent(&attached)?["ghost"] == false, "{attached}");
    }
    Ok(())
}
