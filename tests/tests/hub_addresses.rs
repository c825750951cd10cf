//! The Hub's addresses by what is sent and answered, where its clients would hide it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use base64::Engine as _;
use reqwest::Client;
use serde_json::{Value, json};
use stemma_tests::{Server, answer, client, databases};

#[tokio::test]
async fn what_a_gitignore_names_is_left_out_of_an_upload() -> Result<()> {
    let (server, client) = (Server::start(&databases()[0]).await?, client()?);
    let kept = |text: &'static str| vec![(".gitignore", text)];
    repository(&client, &server, "me/secret", &kept(".env\n*.pem\n!public.pem\n")).await?;
    let files: Vec<_> = [".env", "a/.env", "key.pem", "public.pem", "README.md"]
        .map(|path| json!({ "path": path, "sample": "", "size": 3 }))
        .to_vec();
    let ask = async |body: serde_json::Value| {
        answer(client.post(server.url("/api/models/me/secret/preupload/main")).json(&body)).await
    };
    let ignored = |told: &serde_json::Value| -> Vec<bool> {
        let files = told["files"].as_array().into_iter().flatten();
        files.filter_map(|file| file["shouldIgnore"].as_bool()).collect()
    };

    let (_, stored) = ask(json!({ "files": files })).await?;
    let (_, sent) = ask(json!({ "files": files, "gitIgnore": "*.md\n" })).await?;
    let (status, told) = ask(json!({ "files": files, "gitIgnore": "x\n".repeat(100_000) })).await?;

    ensure!(ignored(&stored) == [true, true, true, false, false], "{stored}");
    ensure!(ignored(&sent) == [false, false, false, false, true], "{sent}");
    ensure!(
        status == 400 && told["detail"].as_str().is_some_and(|text| text.contains("ignore_bytes")),
        "{told}"
    );
    Ok(())
}

#[tokio::test]
async fn a_repository_under_a_former_name_leaves_the_one_that_had_it_alone() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        let card = |text: &str| format!("---\nlicense: mit\n---\n{text}\n");
        repository(&client, &server, "rn/old", &[("README.md", &card("first"))]).await?;
        let early = "---\nbase_model: rn/old\n---\n";
        repository(&client, &server, "rn/early", &[("README.md", early)]).await?;
        let moved = json!({ "fromRepo": "rn/old", "toRepo": "rn/new" });
        let (status, told) = answer(client.post(server.url("/api/repos/move")).json(&moved)).await?;
        ensure!(status == 200, "{told}");

        // Without one that is made under it, the old name leads to the new one for commits too.
        let commit_to_old = client.post(server.url("/api/models/rn/old/commit/main")).send().await?;
        ensure!(commit_to_old.status() == 307, "{}", commit_to_old.status());
        repository(&client, &server, "rn/old", &[("README.md", &card("second"))]).await?;
        repository(&client, &server, "rn/late", &[("README.md", early)]).await?;

        let read = async |id: &str| -> Result<String> {
            let file = client.get(server.url(&format!("/{id}/resolve/main/README.md"))).send().await?;
            ensure!(file.status() == 200, "{id}: {}", file.status());
            Ok(file.text().await?)
        };
        ensure!(read("rn/new").await? == card("first") && read("rn/old").await? == card("second"));
        let children = async |id: &str| -> Result<Vec<String>> {
            let filter = format!("/api/models?filter=base_model:{id}");
            let (_, told) = answer(client.get(server.url(&filter))).await?;
            Ok(told
                .as_array()
                .into_iter()
                .flatten()
                .map(|one| one["id"].as_str().unwrap_or("").to_owned())
                .collect())
        };
        ensure!(children("rn/new").await? == ["rn/early"], "{:?}", children("rn/new").await?);
        ensure!(children("rn/old").await? == ["rn/late"], "{:?}", children("rn/old").await?);
        let named = json!({ "name": "rn/old" });
        let (status, _) = answer(client.post(server.url("/api/repos/create")).json(&named)).await?;
        ensure!(status == 409, "{status}");
        client.delete(server.url("/api/repos/delete")).json(&named).send().await?;
        let gone = client.get(server.url("/api/models/rn/new")).send().await?;
        ensure!(gone.status() == 200, "the other one stays");
    }
    Ok(())
}

#[tokio::test]
async fn entity_tags_are_those_of_the_tree_and_older_copies_still_count() -> Result<()> {
    let (server, client) = (Server::start(&databases()[0]).await?, client()?);
    let text = "hello\n";
    repository(&client, &server, "me/tags", &[("small.txt", text), ("large.bin", text)]).await?;
    let tree = "/api/models/me/tags/tree/main?expand=true";
    let (_, tree) = answer(client.get(server.url(tree))).await?;
    let entry = |path: &str| -> Value {
        tree.as_array().into_iter().flatten().find(|one| one["path"] == path).cloned().unwrap_or_default()
    };
    let head = async |path: &str, tag: &str| -> Result<reqwest::Response> {
        let request = client.get(server.url(&format!("/me/tags/resolve/main/{path}")));
        Ok(request.header("if-none-match", tag).send().await?)
    };
    let named = |answer: &reqwest::Response, name: &str| -> String {
        answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let digest = "\"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\"";

    let (small, large) = (head("small.txt", "\"x\"").await?, head("large.bin", "\"x\"").await?);

    ensure!(named(&small, "etag") == format!("\"{}\"", entry("small.txt")["oid"].as_str().unwrap_or("")));
    ensure!(named(&small, "etag") == "\"ce013625030ba8dba906f756967f9e9ca394464a\"", "{:?}", small.headers());
    ensure!(named(&small, "x-linked-etag").is_empty() && small.text().await? == text);
    ensure!(named(&large, "etag") == digest && named(&large, "x-linked-etag") == digest);
    ensure!(entry("large.bin")["lfs"]["oid"] == digest.trim_matches('"'), "{tree}");
    ensure!(entry("small.txt")["securityFileStatus"]["status"] == "unscanned", "{tree}");
    ensure!(head("small.txt", digest).await?.status() == 304, "a copy named by its digest");
    Ok(())
}

#[tokio::test]
async fn what_lists_show_is_what_they_filter_and_sort_by() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        let place = tempfile::TempDir::with_prefix("stemma-test-")?;
        let rows = [
            json!({ "id": "d/old", "createdAt": "2020-01-01T00:00:00Z", "lastModified": "2020-01-01T00:00:00Z",
                    "safetensors": { "total": 500_000_000, "parameters": { "F32": 500_000_000 } },
                    "tags": ["safetensors", "region:us", "license:mit"], "cardData": { "license": "mit" } }),
            json!({ "id": "d/gated", "createdAt": "2021-01-01T00:00:00Z", "gated": "auto", "tags": ["gguf"],
                    "gguf": { "total": 7_000_000_000_u64 }, "cardData": { "base_model": "d/old" } }),
        ];
        let dump = place.path().join("rows.jsonl");
        fs_err::write(&dump, rows.map(|row| format!("{row}\n")).concat())?;
        let done = server.stemma().args(["import", "dump", "--quiet"]).arg(&dump).output()?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        repository(&client, &server, "d/pushed", &[("README.md", "---\nlicense: mit\n---\n")]).await?;
        let info = async || answer(client.get(server.url("/api/models/d/pushed"))).await;
        let before = info().await?.1["createdAt"].clone();
        // Its first commit's date is in whole seconds: the next one's has to be another.
        while before
            == answer(client.get(server.url("/api/models/d/pushed/commits/main"))).await?.1[0]["date"]
        {
            commit(
                &client,
                &server,
                "d/pushed/commit/main",
                &[("a.txt", &format!("{:?}", std::time::Instant::now()))],
            )
            .await?;
        }
        let list = async |query: &str| -> Result<(u16, Vec<String>, Value)> {
            let (status, told) = answer(client.get(server.url(&format!("/api/models?{query}")))).await?;
            let ids = told.as_array().into_iter().flatten().filter_map(|one| one["id"].as_str());
            Ok((status, ids.map(str::to_owned).collect(), told))
        };

        ensure!(info().await?.1["createdAt"] == before, "a commit does not make a model younger");
        for sort in ["createdAt", "lastModified"] {
            let (_, ids, told) = list(&format!("author=d&sort={sort}&direction=-1")).await?;
            ensure!(ids.first().is_some_and(|id| id == "d/pushed"), "{sort}: {told}");
            let (_, rows, _) = list(&format!("author=d&sort={sort}&num_parameters=min:0")).await?;
            ensure!(rows.len() == 2, "{rows:?}");
        }
        for (query, found) in [
            ("filter=safetensors", vec!["d/old"]),
            ("gated=true", vec!["d/gated"]),
            ("gated=False&num_parameters=min:100M", vec!["d/old"]),
            ("num_parameters=min:1B", vec!["d/gated"]),
            ("num_parameters=max:1B", vec!["d/old"]),
        ] {
            let (status, ids, told) = list(&format!("author=d&{query}")).await?;
            ensure!(status == 200 && ids == found, "{query}: {told}");
        }
        let (_, _, told) = list("author=d&gated=true&expand=baseModels&expand=gguf").await?;
        ensure!(told[0]["baseModels"]["models"][0]["id"] == "d/old", "{told}");
        ensure!(told[0]["gguf"]["total"] == 7_000_000_000_u64, "{told}");
        let (_, _, told) = list("search=d/old&cardData=true").await?;
        ensure!(told[0]["cardData"] == json!({ "license": "mit" }), "no tags of the API: {told}");
        for query in
            ["sort=trendingScore", "apps=ollama", "inference=warm", "num_parameters=big", "gated=auto"]
        {
            let (status, _, told) = list(query).await?;
            ensure!(status == 400 && told["detail"].is_string(), "{query}: {status} {told}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn large_files_are_found_for_a_copy_to_another_repository() -> Result<()> {
    let (server, client) = (Server::start(&databases()[0]).await?, client()?);
    repository(&client, &server, "me/from", &[("w.bin", "hello\n")]).await?;
    repository(&client, &server, "me/to", &[("a.txt", "a")]).await?;
    let (here, gone) = ("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", "0".repeat(64));
    let ask = async |to: &str| {
        let files = json!([{ "sha256": here, "filename": "w.bin" }, { "sha256": gone, "filename": "x" }]);
        let body = json!({ "target": { "type": "model", "name": to }, "files": files });
        answer(client.post(server.url("/api/models/me/from/lfs-files/duplicate")).json(&body)).await
    };

    let ((status, told), (missing, _)) = (ask("me/to").await?, ask("me/nowhere").await?);

    ensure!(status == 200 && missing == 404, "{status} {missing} {told}");
    ensure!(
        told["failed"].as_array().map(Vec::len) == Some(1) && told["failed"][0]["sha256"] == gone,
        "{told}"
    );
    Ok(())
}

/// Commits small files at this address of the Hub's.
async fn commit(client: &Client, server: &Server, place: &str, files: &[(&str, &str)]) -> Result<String> {
    let mut lines = vec![json!({ "key": "header", "value": { "summary": "files" } }).to_string()];
    for (path, text) in files {
        let content = base64::engine::general_purpose::STANDARD.encode(text);
        let value = json!({ "path": path, "content": content, "encoding": "base64" });
        lines.push(json!({ "key": "file", "value": value }).to_string());
    }
    let request = client.post(server.url(&format!("/api/models/{place}"))).body(lines.join("\n"));
    let (status, told) = answer(request.header("content-type", "application/x-ndjson")).await?;
    ensure!(status == 200, "{place}: {status} {told}");
    Ok(told["commitOid"].as_str().unwrap_or_default().to_owned())
}

/// Makes a repository with these files.
async fn repository(client: &Client, server: &Server, id: &str, files: &[(&str, &str)]) -> Result<()> {
    let (status, told) =
        answer(client.post(server.url("/api/repos/create")).json(&json!({ "name": id }))).await?;
    ensure!(status == 200, "{id}: {status} {told}");
    commit(client, server, &format!("{id}/commit/main"), files).await?;
    Ok(())
}

#[tokio::test]
async fn a_branch_with_a_slash_is_found_where_its_slash_comes_unencoded_too() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        repository(&client, &server, "me/br", &[("data/a.txt", "main")]).await?;
        let made = client.post(server.url("/api/models/me/br/branch/dev%2Fx")).send().await?;
        ensure!(made.status() == 200, "{}", made.text().await?);
        commit(&client, &server, "me/br/commit/dev%2Fx", &[("data/a.txt", "dev")]).await?;

        for place in ["dev/x", "dev%2Fx", "refs/heads/dev/x", "refs%2Fheads%2Fdev%2Fx"] {
            let (status, tree) =
                answer(client.get(server.url(&format!("/api/models/me/br/tree/{place}/data")))).await?;
            ensure!(status == 200 && tree[0]["path"] == "data/a.txt", "{place}: {status} {tree}");
            let file = client.get(server.url(&format!("/me/br/resolve/{place}/data/a.txt"))).send().await?;
            ensure!(file.status() == 200 && file.text().await? == "dev", "{place}");
            let page = client.get(server.url(&format!("/me/br/tree/{place}/data"))).send().await?;
            ensure!(page.status() == 200 && page.text().await?.contains("/resolve/"), "{place}");
            let blob = client.get(server.url(&format!("/me/br/blob/{place}/data/a.txt"))).send().await?;
            ensure!(blob.status() == 200 && blob.text().await?.contains("dev"), "{place}");
        }
        let (missing, told) = answer(client.get(server.url("/api/models/me/br/tree/dev/y"))).await?;
        ensure!(missing == 404, "{told}");
        let page = client.get(server.url("/me/br/tree/nowhere/data")).send().await?;
        ensure!(page.status() == 404);
    }
    Ok(())
}

#[tokio::test]
async fn a_repository_has_its_first_version_when_it_is_filled() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        repository(&client, &server, "me/filled", &[("README.md", "---\nlicense: mit\n---\nfirst")]).await?;
        commit(&client, &server, "me/filled/commit/main", &[("README.md", "second")]).await?;

        let (status, told) = answer(client.get(server.url("/api/v1/models/me/filled/versions"))).await?;

        let line = told["line"].as_array().map(Vec::len);
        ensure!(status == 200 && line == Some(2), "{status} {told}");
        ensure!(!told.to_string().contains("there is none any more"), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_model_that_is_found_by_several_licences_has_all_of_them() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        let card = |licence: &str| format!("---\nlicense: {licence}\n---\n");
        for (id, licence) in [("l/mit", "mit"), ("l/apache", "apache-2.0"), ("l/both", "[mit, apache-2.0]")] {
            repository(&client, &server, id, &[("README.md", &card(licence))]).await?;
        }
        let found = async |filters: &str| -> Result<Vec<String>> {
            let (_, told) =
                answer(client.get(server.url(&format!("/api/models?author=l&{filters}")))).await?;
            let ids = told.as_array().into_iter().flatten().filter_map(|one| one["id"].as_str());
            Ok(ids.map(str::to_owned).collect())
        };

        let (mit, apache) = ("filter=license:mit", "filter=license:apache-2.0");

        ensure!(found(apache).await? == ["l/apache"]);
        ensure!(found(&format!("{mit}&{mit}")).await?.len() == 2, "once asked for twice");
        for both in [format!("{mit}&{apache}"), format!("{apache}&{mit}")] {
            ensure!(found(&both).await? == ["l/both"], "{both}: {:?}", found(&both).await?);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_nobody_touched_for_long_tells_the_commit_that_made_it() -> Result<()> {
    let (server, client) = (Server::start(&databases()[0]).await?, client()?);
    repository(&client, &server, "me/many", &[("old/old.txt", "old"), ("n.txt", "n")]).await?;
    let first = commit(&client, &server, "me/many/commit/main", &[("old.txt", "old")]).await?;
    let mut last = String::new();
    for n in 0..202 {
        last = commit(&client, &server, "me/many/commit/main", &[("n.txt", &n.to_string())]).await?;
    }

    let (_, tree) = answer(client.get(server.url("/api/models/me/many/tree/main?expand=true"))).await?;

    let told = |path: &str| -> Value {
        let entry = tree.as_array().into_iter().flatten().find(|one| one["path"] == path);
        entry.map_or(Value::Null, |one| one["lastCommit"]["id"].clone())
    };
    ensure!(told("old.txt") == first.as_str() && told("n.txt") == last.as_str(), "{tree}");
    ensure!(
        told("old") == Value::Null,
        "a folder is not looked for so far back, and no other commit is told: {tree}"
    );
    Ok(())
}

#[tokio::test]
async fn files_that_go_into_the_commit_are_compared_by_what_git_calls_their_content() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        repository(&client, &server, "me/known", &[("w.bin", "hello\n")]).await?;
        let asked = async |size: u64| -> Result<Value> {
            let files = json!({ "files": [{ "path": "w.bin", "sample": "", "size": size }] });
            let request = client.post(server.url("/api/models/me/known/preupload/main")).json(&files);
            let (status, told) = answer(request.header("user-agent", "unknown/None; hf_hub/2.4.0")).await?;
            ensure!(status == 200 && told["files"][0]["uploadMode"] == "regular", "{told}");
            Ok(told["files"][0]["oid"].clone())
        };

        // The name is found out beside other work.
        let until = Instant::now() + Duration::from_secs(20);
        while asked(6).await? == Value::Null && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }

        ensure!(asked(6).await? == "ce013625030ba8dba906f756967f9e9ca394464a");
        ensure!(asked(7).await? == Value::Null, "another file");
    }
    Ok(())
}
