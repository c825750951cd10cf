//! A private name laid beside one that nobody has: whoever names either hears the same.

use anyhow::{Result, ensure};
use reqwest::multipart;
use serde_json::json;
use stemma_tests::databases;

use crate::site::{CLOSED, NEVER, Site, alike};

/// Two models of somebody else, one of a private parent and one of a parent that is not here; of the same letters, too.
const NAMED: [&str; 2] = ["bob/named", "bob/namde"];

/// Addresses about a child, or about its parent, with what they answer.
const ADDRESSES: [(&str, u16); 38] = [
    ("/{child}", 200),
    ("/{child}/lineage", 200),
    ("/{child}/icicle", 200),
    ("/{child}/kin", 200),
    ("/api/models/{child}", 200),
    ("/api/v1/models/{child}", 200),
    ("/api/v1/models/{child}/advisories", 200),
    ("/api/v1/models/{child}/edges", 200),
    ("/api/v1/models/{child}/licence", 200),
    ("/api/v1/models/{child}/lineage", 200),
    ("/api/v1/models/{child}/lineage?format=dot", 200),
    ("/api/v1/models/{child}/lineage?up=5&down=5", 200),
    ("/api/v1/models/{child}/relatives", 409),
    ("/api/v1/models/{child}/siblings", 200),
    ("/api/v1/models/{child}/versions", 200),
    ("/{parent}", 200),
    ("/{parent}/children", 200),
    ("/{parent}/lineage", 200),
    ("/{parent}/resolve/main/config.json", 404),
    ("/api/models/{parent}", 404),
    ("/api/models?filter=base_model:{parent}", 200),
    ("/api/v1/models/{parent}", 200),
    ("/api/v1/models/{parent}/children", 200),
    ("/api/v1/models/{parent}/descendants", 200),
    ("/api/v1/models/{parent}/edges", 200),
    ("/api/v1/models/{parent}/lineage", 200),
    ("/api/v1/models/{parent}/siblings", 200),
    ("/api/v1/models?search={parent}", 200),
    ("/api/v1/models?sort=kinship&pin={parent}", 404),
    ("/api/v1/typeahead?q={parent}", 200),
    ("/search/suggest?q={parent}", 200),
    ("/models?search={parent}", 200),
    ("/api/v1/path?from={parent}&to={child}", 200),
    ("/lineage?from={parent}&to={child}", 200),
    ("/api/v1/diffs?a={parent}&b={child}", 404),
    ("/api/v1/kinship?of={parent}&of={child}", 404),
    ("/compare/{parent}...{child}", 200),
    ("/kinship?of={parent}&of={child}", 404),
];

#[tokio::test]
async fn whoever_names_a_private_parent_hears_what_is_said_of_a_name_that_nobody_has() -> Result<()> {
    for database in databases() {
        let site = Site::with(&database, &["--private"]).await?;
        for (id, parent) in NAMED.into_iter().zip([CLOSED, NEVER]) {
            let card = format!("---\nbase_model: {parent}\n---\n# Card\n");
            let part = multipart::Part::bytes(card.into_bytes()).file_name("README.md");
            let form = multipart::Form::new().part("file", part);
            let request = site.client.post(site.server.url(&format!("/api/v1/models/{id}"))).multipart(form);
            let status = request.bearer_auth(&site.other).send().await?.status();
            ensure!(status == 201, "{id}: {status}");
        }
        let same =
            |text: &str| alike(&text.replace("namde", "named").replace("scribe-v1-ed", "scribe-v1-de"));
        for (path, told) in ADDRESSES {
            for token in [None, Some(site.other.as_str())] {
                let of =
                    |child: &str, parent: &str| path.replace("{child}", child).replace("{parent}", parent);

                let (status, text) = site.ask(&of(NAMED[0], CLOSED), token).await?;
                let (as_absent, absent) = site.ask(&of(NAMED[1], NEVER), token).await?;

                ensure!((status, as_absent) == (told, told), "{path}: {status} {text}\n{as_absent} {absent}");
                let (text, absent) = (same(&text), same(&absent));
                ensure!(text == absent, "{path}: {text}\n{absent}");
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
                    told.push((status, same(&answer.to_string())));
                }
                ensure!(told[0] == told[1] && told[0].0 >= 400, "{path}: {told:?}");
            }
        }
    }
    Ok(())
}
