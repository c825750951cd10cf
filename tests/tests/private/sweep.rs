//! Every address there is, asked by those from whom a model is hidden, and by those from whom it is not.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use reqwest::Client;
use serde_json::json;
use stemma_tests::{databases, ended};

use crate::site::{BASE, CHILD, CLOSED, NEVER, Site, plain};

/// What whoever sees the model is told at an address that speaks of other things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// Its name.
    Named,
    /// Nothing of it.
    Silent,
}
use Inside::{Named, Silent};

/// Addresses about the closed model, or that need it, with what they answer to those who do not see it: what they answer
/// about a model that never was.
const OWN: [(&str, u16); 52] = [
    ("/{closed}", 404),
    ("/{closed}/lineage", 404),
    ("/{closed}/children", 404),
    ("/{closed}/kin", 404),
    ("/{closed}/icicle", 404),
    ("/{closed}/tree/main", 404),
    ("/{closed}/blob/main/config.json", 404),
    ("/{closed}/compare/main...main", 404),
    ("/{closed}/resolve/main/config.json", 404),
    ("/{closed}/raw/main/config.json", 404),
    ("/compare/{closed}...{base}", 404),
    ("/kinship?of={closed}&of={base}", 404),
    ("/lineage?from={closed}&to={child}", 404),
    ("/models?sort=kinship&pin={closed}", 404),
    ("/api/models/{closed}", 404),
    ("/api/models/{closed}/auth-check", 404),
    ("/api/models/{closed}/commits/main", 404),
    ("/api/models/{closed}/refs", 404),
    ("/api/models/{closed}/resolve/main/config.json", 404),
    ("/api/models/{closed}/revision/main", 404),
    ("/api/models/{closed}/tree/main", 404),
    ("/api/models/{closed}/user-access-request/pending", 404),
    ("/api/v1/diffs?a={closed}&b={base}", 404),
    ("/api/v1/diffs?a={base}&b={closed}", 404),
    ("/api/v1/kinship?of={closed}&of={base}", 404),
    ("/api/v1/kinship?of={child}&of={base}&base={closed}", 404),
    ("/api/v1/models?sort=kinship&pin={closed}", 404),
    ("/api/v1/models/{child}/merge-suggestions?base={closed}", 404),
    ("/api/v1/path?from={closed}&to={child}", 404),
    ("/api/v1/path?from={base}&to={closed}", 404),
    ("/api/v1/models/{closed}", 404),
    ("/api/v1/models/{closed}/advisories", 404),
    ("/api/v1/models/{closed}/advisories.atom", 404),
    ("/api/v1/models/{closed}/advisories.json", 404),
    ("/api/v1/models/{closed}/children", 404),
    ("/api/v1/models/{closed}/compare/main...main", 404),
    ("/api/v1/models/{closed}/descendants", 404),
    ("/api/v1/models/{closed}/edges", 404),
    ("/api/v1/models/{closed}/files", 404),
    ("/api/v1/models/{closed}/licence", 404),
    ("/api/v1/models/{closed}/lineage", 404),
    ("/api/v1/models/{closed}/lineage?format=dot", 404),
    ("/api/v1/models/{closed}/manifest", 404),
    ("/api/v1/models/{closed}/merge-suggestions?base={base}", 404),
    ("/api/v1/models/{closed}/relatives", 404),
    ("/api/v1/models/{closed}/siblings", 404),
    ("/api/v1/models/{closed}/tensors", 404),
    ("/api/v1/models/{closed}/versions", 404),
    ("/merges/new?model={closed}", 200),
    ("/transfers/new?source_tuned={closed}", 200),
    ("/advisories?model={closed}", 200),
    ("/api/models?filter=base_model:{closed}", 200),
];

/// Addresses that work with the closed model has, with none of which an outsider learns whether it is there.
const WORK: [&str; 11] = [
    "/jobs/{job}",
    "/api/v1/jobs/{job}",
    "/api/v1/jobs/{job}/events",
    "/api/v1/searches/{search}",
    "/api/v1/searches/{search}/candidates",
    "/advisories/{advisory}",
    "/api/v1/advisories/{advisory}",
    "/api/v1/blobs/{digest}",
    "/api/v1/blobs/{diff}",
    "/api/v1/models/{closed}/provenance",
    "/{closed}/resolve/{revision}/config.json",
];

/// Addresses that everybody may ask, all answered with 200, and whether those who see the closed model read its name there.
const AROUND: [(&str, Inside); 85] = [
    ("/", Named),
    ("/about", Silent),
    ("/advisories", Named),
    ("/atlas", Silent),
    ("/community", Named),
    ("/compare/{child}...{base}", Silent),
    ("/contradictions", Silent),
    ("/families", Silent),
    ("/jobs", Silent),
    ("/kinship?of={child}&of={base}", Silent),
    ("/licences", Silent),
    ("/lineage?from={base}&to={child}", Named),
    ("/mandoc", Named),
    ("/merges/new", Silent),
    ("/metrics", Silent),
    ("/models", Named),
    ("/models?search=scribe", Named),
    ("/models?tensor={tensor}", Named),
    ("/models?sort=kinship&pin={child}", Named),
    ("/reports", Silent),
    ("/reports/families", Silent),
    ("/reports/licences", Silent),
    ("/reports/names", Silent),
    ("/search/suggest?q=scribe", Named),
    ("/transfers/new", Silent),
    ("/{base}", Silent),
    ("/{base}/children", Named),
    ("/{base}/icicle", Named),
    ("/{base}/kin", Named),
    ("/{base}/lineage", Named),
    ("/{child}", Named),
    ("/{child}/icicle", Named),
    ("/{child}/kin", Named),
    ("/{child}/lineage", Named),
    ("/api/models", Named),
    ("/api/models?author=mandoc", Named),
    ("/api/models?filter=base_model:{base}", Named),
    ("/api/models?search=scribe&full=true", Named),
    ("/api/models/{base}", Silent),
    ("/api/models/{child}", Named),
    ("/api/v1/advisories", Named),
    ("/api/v1/advisories.atom", Named),
    ("/api/v1/advisories.json", Named),
    ("/api/v1/contradictions", Silent),
    ("/api/v1/diffs?a={child}&b={base}", Silent),
    ("/api/v1/families", Silent),
    ("/api/v1/jobs", Named),
    ("/api/v1/kinship?of={child}&of={base}", Silent),
    ("/api/v1/limits", Silent),
    ("/api/v1/merge-methods", Silent),
    ("/api/v1/models", Named),
    ("/api/v1/models.atom", Named),
    ("/api/v1/models?author=mandoc", Named),
    ("/api/v1/models?facets=true", Named),
    ("/api/v1/models?search=scribe", Named),
    ("/api/v1/models?sort=kinship&pin={child}", Named),
    ("/api/v1/models?tensor={tensor}", Named),
    ("/api/v1/orgs", Silent),
    ("/api/v1/path?from={base}&to={child}", Named),
    ("/api/v1/reports/families", Named),
    ("/api/v1/reports/licences", Silent),
    ("/api/v1/reports/names", Silent),
    ("/api/v1/searches", Named),
    ("/api/v1/sparql?query={everything}", Named),
    ("/api/v1/typeahead?q=scribe", Named),
    ("/api/v1/watches", Silent),
    ("/api/v1/models/{base}/children", Named),
    ("/api/v1/models/{base}/descendants", Named),
    ("/api/v1/models/{base}/lineage", Named),
    ("/api/v1/models/{base}/lineage?format=dot", Named),
    ("/api/v1/models/{base}/relatives", Named),
    ("/api/v1/models/{child}", Named),
    ("/api/v1/models/{child}/advisories", Named),
    ("/api/v1/models/{child}/advisories.atom", Named),
    ("/api/v1/models/{child}/compare/main...main", Silent),
    ("/api/v1/models/{child}/edges", Named),
    ("/api/v1/models/{child}/files", Silent),
    ("/api/v1/models/{child}/licence", Named),
    ("/api/v1/models/{child}/lineage?up=5&down=5", Named),
    ("/api/v1/models/{child}/manifest", Silent),
    ("/api/v1/models/{child}/merge-suggestions?base={base}", Named),
    ("/api/v1/models/{child}/relatives", Named),
    ("/api/v1/models/{child}/siblings", Named),
    ("/api/v1/models/{child}/tensors", Silent),
    ("/api/v1/models/{child}/versions", Named),
];

/// Addresses of the document that stand in no list here: without a model, or asked with a token of their own.
const APART: [&str; 7] = [
    "/api/v1/orgs/{org}/members",
    "/api/v1/tokens",
    "/api/v1/users",
    "/healthz",
    "/livez",
    "/readyz",
    "/api/v1/openapi.json",
];

/// What stands in addresses for what only a running registry knows, with its value.
struct Facts(Vec<(&'static str, String)>);

impl Facts {
    /// Work with the closed model that its owner had done, and what its files and tensors are called.
    async fn of(site: &Site) -> Result<Self> {
        let owner = Some(site.owner.as_str());
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned).context("no text");
        let (status, job) =
            site.send(("/api/v1/diffs", json!({ "tuned": CLOSED, "base": BASE })), owner).await?;
        ensure!(status == 202, "{status} {job}");
        let job = text(&job["id"])?;
        let asked = json!({ "strategy": "greedy", "method": "slerp", "models": [CLOSED, CHILD], "base": BASE,
            "k": 2, "output": "alice/found" });
        let (status, search) = site.send(("/api/v1/searches", asked), owner).await?;
        ensure!(status == 201, "{status} {search}");
        let filed = json!({ "model": CLOSED, "kind": "defect", "severity": "low", "summary": "odd" });
        let (status, advisory) = site.send(("/api/v1/advisories", filed), owner).await?;
        ensure!(status == 201, "{status} {advisory}");
        let bearer = format!("Bearer {}", site.owner).parse()?;
        let headers = [(reqwest::header::AUTHORIZATION, bearer)].into_iter().collect();
        let own = Client::builder().no_proxy().default_headers(headers).build()?;
        let done = ended(&own, &site.server, &job).await?;
        ensure!(done["state"] == "succeeded", "{done}");
        let of = |below: &str| format!("/api/v1/models/{CLOSED}{below}");
        let files = site.read(&of("/files"), owner).await?;
        let weights = files["items"].as_array().context("no files")?;
        let weights =
            weights.iter().find(|file| file["path"] == "model.safetensors").context("no weights")?;
        let tensors = site.read(&of("/tensors"), owner).await?;
        let everything = "SELECT%20*%20WHERE%20%7B%20%3Fs%20%3Fp%20%3Fo%20%7D%20LIMIT%205000";
        Ok(Self(vec![
            ("{closed}", CLOSED.to_owned()),
            ("{base}", BASE.to_owned()),
            ("{child}", CHILD.to_owned()),
            ("{everything}", everything.to_owned()),
            ("{job}", job),
            ("{search}", text(&search["id"])?),
            ("{advisory}", text(&advisory["id"])?),
            ("{diff}", text(&done["result"]["blob"])?),
            ("{digest}", text(&weights["digest"])?),
            ("{size}", weights["size"].to_string()),
            ("{revision}", text(&site.read(&of(""), owner).await?["digest"])?.replace("sha256:", "")),
            ("{tensor}", text(&tensors["items"][0]["name"])?),
        ]))
    }

    fn fill(&self, path: &str) -> String {
        self.0.iter().fold(path.to_owned(), |path, (mark, value)| path.replace(mark, value))
    }

    fn get(&self, mark: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == mark).map_or("", |(_, value)| value.as_str())
    }

    /// What nobody outside may read anywhere.
    fn secrets(&self) -> Vec<&str> {
        let hex = |mark: &str| self.get(mark).trim_start_matches("sha256:");
        let marks = ["{job}", "{search}", "{advisory}", "{diff}", "{digest}", "{revision}"];
        ["scribe-v1-de"].into_iter().chain(marks.map(hex)).collect()
    }
}

#[tokio::test]
async fn nobody_but_members_hears_of_a_private_model_on_any_address() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--private"]).await?;
        let facts = Facts::of(&site).await?;
        let (owner, outsiders) = (Some(site.owner.as_str()), [None, Some(site.other.as_str())]);

        for (path, outside) in OWN {
            let path = facts.fill(path);
            let (status, text) = site.ask(&path, owner).await?;
            ensure!(status == 200, "{path} answers its owner: {status} {text}");
            for token in outsiders {
                let (status, text) = site.ask(&path, token).await?;
                // To the last word what is said of a model that never was.
                let (as_unknown, told) = site.ask(&path.replace(CLOSED, NEVER), token).await?;

                let text = plain(&text).replace("scribe-v1-de", "scribe-v1-ed");
                ensure!((status, as_unknown) == (outside, outside), "{path} for {token:?}: {status} {text}");
                ensure!(text == plain(&told), "{path} for {token:?}: {text}\n{told}");
            }
        }
        for (path, inside) in AROUND {
            let path = facts.fill(path);
            let (status, text) = site.ask(&path, owner).await?;
            let named = text.contains("scribe-v1-de");
            ensure!(status == 200 && named == (inside == Named), "{path} to its owner: {status} {text}");
            for token in outsiders {
                let (status, text) = site.ask(&path, token).await?;

                ensure!(status == 200, "{path} for {token:?}: {status} {text}");
                for secret in facts.secrets() {
                    ensure!(!text.contains(secret), "{path} for {token:?} tells {secret}: {text}");
                }
            }
        }
        for path in WORK {
            let path = facts.fill(path);
            for token in outsiders {
                let (status, text) = site.ask(&path, token).await?;
                ensure!(status == 404, "{path} for {token:?}: {status} {text}");
            }
            if !path.ends_with("/events") && !path.ends_with("/provenance") {
                let (status, text) = site.ask(&path, owner).await?;
                ensure!(status == 200, "{path} answers its owner: {status} {text}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_address_of_the_document_is_left_out_of_the_sweep() -> Result<()> {
    let site = Site::with(&stemma_tests::Database::Sqlite, &["--private"]).await?;
    let document = site.read("/api/v1/openapi.json", None).await?;
    let paths = document["paths"].as_object().context("no paths")?;
    let swept: BTreeSet<String> = OWN
        .iter()
        .map(|(path, _)| *path)
        .chain(AROUND.iter().map(|(path, _)| *path))
        .chain(WORK)
        .chain(APART)
        .map(shape)
        .collect();

    let documented = paths.iter().filter(|(_, item)| item.get("get").is_some());
    let left: Vec<&String> =
        documented.map(|(path, _)| path).filter(|path| !swept.contains(&shape(path))).collect();

    ensure!(left.is_empty(), "nobody asked {left:?}");
    Ok(())
}

/// An address without its query, and without the names of what stands in it.
fn shape(path: &str) -> String {
    let path = path.split('?').next().unwrap_or(path).replace("/{org}/{name}", "/{name}");
    let path = ["{closed}", "{base}", "{child}"].iter().fold(path, |path, mark| path.replace(mark, "{name}"));
    let path =
        path.replace("advisories.atom", "advisories.{form}").replace("advisories.json", "advisories.{form}");
    let part = |part: &str| match part {
        "{job}" | "{search}" | "{advisory}" => "{id}".to_owned(),
        "{diff}" => "{digest}".to_owned(),
        "main...main" => "{range}".to_owned(),
        "main" | "{revision}" => "{revision}".to_owned(),
        "config.json" => "{path}".to_owned(),
        "families" | "licences" | "names" if path.starts_with("/api/v1/reports/") => "{subject}".to_owned(),
        other => other.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn whether_a_closed_file_is_here_is_told_to_those_who_may_have_it() -> Result<()> {
    for database in databases() {
        for settings in [&["--private"][..], &["--gate", "manual"]] {
            let site = Site::with(&database, settings).await?;
            let files = site.read(&format!("/api/v1/models/{CLOSED}/files"), Some(&site.owner)).await?;
            let items = files["items"].as_array().context("no files")?;
            let weights =
                items.iter().find(|file| file["path"] == "model.safetensors").context("no weights")?;
            let digest = weights["digest"].as_str().context("no digest")?;
            let object = |hex: &str| json!({ "oid": hex, "size": weights["size"] });
            let blob = format!("/api/v1/blobs/{digest}");
            let here = async |token: Option<&str>| -> Result<(u16, u16)> {
                let hex = digest.trim_start_matches("sha256:");
                let (verified, told) = site.send(("/api/lfs/verify", object(hex)), token).await?;
                let (absent, never) = site.send(("/api/lfs/verify", object(&"0".repeat(64))), token).await?;
                let told = plain(&told.to_string()).replace(hex, &"0".repeat(64));
                ensure!(verified == 200 || told == plain(&never.to_string()), "{told} {never}");
                ensure!(absent == 404, "{absent}");
                Ok((verified, site.ask(&blob, token).await?.0))
            };

            for token in [None, Some(site.other.as_str())] {
                ensure!(here(token).await? == (404, 404), "{settings:?} {token:?}");
            }
            ensure!(here(Some(&site.owner)).await? == (200, 200));
            ensure!(here(Some(&site.reader)).await? == (200, 200));

            let gone = site.client.delete(site.server.url("/api/repos/delete")).bearer_auth(&site.owner);
            let gone = gone.json(&json!({ "name": CLOSED })).send().await?;

            ensure!(gone.status() == 200, "{gone:?}");
            for token in [None, Some(site.other.as_str()), Some(site.owner.as_str())] {
                ensure!(here(token).await? == (404, 404), "{settings:?} after it was deleted: {token:?}");
            }
        }
    }
    Ok(())
}
