//! Large families: trees that stay small, children page by page, and all of a family on one screen.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stemma_tests::{Server, client, databases, get};

const CHILDREN: usize = 1_300;

/// A root with many children of two kinds, one of which has children of its own, beside two small families.
fn fill(server: &Server) -> Result<()> {
    let mut rows = vec![
        json!({ "id": "big/root", "license": "mit" }),
        json!({ "id": "small/root" }),
        json!({ "id": "small/child", "tags": ["base_model:finetune:small/root"] }),
        json!({ "id": "lone/wolf" }),
    ];
    rows.extend((0..CHILDREN).map(|at| {
        let kind = ["finetune", "quantized"][at % 2];
        json!({ "id": format!("many/child-{at}"), "downloads": at % 50, "tags": [format!("base_model:{kind}:big/root")] })
    }));
    rows.extend((0..300).map(
        |at| json!({ "id": format!("many/grandchild-{at}"), "tags": ["base_model:adapter:many/child-7"] }),
    ));
    let dump = server.data().join("families.jsonl");
    fs_err::write(&dump, rows.iter().map(|row| format!("{row}\n")).collect::<String>())?;
    let out = server.stemma().args(["import", "dump"]).arg(&dump).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

#[tokio::test]
async fn the_tree_of_a_famous_root_is_cut_and_says_what_is_left() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        fill(&server)?;

        let tree = get(&client, &server, "/api/v1/models/big/root/lineage?down=5").await?;
        let few = get(&client, &server, "/api/v1/models/big/root/lineage?limit=10").await?;
        let refused = client.get(server.url("/api/v1/models/big/root/lineage?limit=999999")).send().await?;
        let told = server.stemma().args(["tree", "big/root", "--limit", "20"]).output()?;

        let nodes = |tree: &Value| tree["nodes"].as_array().map(Vec::len);
        ensure!(nodes(&tree) == Some(500) && nodes(&few) == Some(10), "{:?}", nodes(&tree));
        ensure!(
            tree["truncated"] == true && tree["descendants"] == CHILDREN + 300,
            "{}",
            tree["descendants"]
        );
        ensure!(tree["children"] == json!({ "finetune": 650, "quantized": 650 }), "{}", tree["children"]);
        ensure!(few["nodes"][0]["hidden"] == CHILDREN - 9, "{}", few["nodes"][0]);
        ensure!(refused.status() == 400, "{}", refused.status());
        ensure!(String::from_utf8_lossy(&told.stdout).lines().count() == 22);
    }
    Ok(())
}

#[tokio::test]
async fn every_child_is_listed_once_page_by_page_and_found_by_its_name() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        fill(&server)?;

        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/models/big/root/children?relation=quantized&limit=100{cursor}");
            let page = get(&client, &server, &path).await?;
            ensure!(page["total"] == 650 && page["relations"]["finetune"] == 650, "{page}");
            let items = page["items"].as_array().context("no items")?;
            found.extend(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let named = get(&client, &server, "/api/v1/models/big/root/children?search=CHILD-12").await?;

        ensure!(found.len() == 650 && found.iter().collect::<BTreeSet<_>>().len() == 650);
        ensure!(named["total"] == 111, "{}", named["total"]);
        let seventh =
            get(&client, &server, "/api/v1/models/big/root/children?search=child-7&limit=100").await?;
        let item =
            seventh["items"].as_array().and_then(|all| all.iter().find(|item| item["id"] == "many/child-7"));
        ensure!(item.context("no child-7")?["descendants"] == 300);
    }
    Ok(())
}

#[tokio::test]
async fn the_whole_family_and_all_families_fit_on_one_page() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        fill(&server)?;
        let page = async |path: &str| -> Result<String> {
            let answer = client.get(server.url(path)).send().await?;
            ensure!(answer.status() == 200, "{path}: {}", answer.status());
            Ok(answer.text().await?)
        };

        let family = page("/big/root/icicle").await?;
        let branch = page("/many/child-7/icicle").await?;
        let atlas = page("/atlas").await?;
        let children = page("/big/root/children?relation=quantized&search=child-77").await?;

        let boxes = family.matches("class=\"bar rel-").count();
        ensure!(boxes < 700 && family.len() < 400_000, "{boxes} boxes in {} bytes", family.len());
        ensure!(family.contains("/many/child-7/icicle") && family.contains("bar strip"), "no strip");
        ensure!(branch.contains("href=\"/big/root/icicle\""), "the way back is missing");
        ensure!(
            atlas.contains("/big/root/icicle") && atlas.contains("2\u{202f}families")
                || atlas.contains("2 families"),
            "{atlas}"
        );
        ensure!(atlas.contains("1 model has no relatives"), "{atlas}");
        ensure!(children.contains("many/child-77<") && !children.contains("many/child-8<"), "{children}");
    }
    Ok(())
}

#[tokio::test]
async fn a_filtered_tree_keeps_the_way_to_what_it_shows_and_counts_what_it_hides() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        let row = |id: &str, parent: &str, facts: (&str, &str, u64)| {
            let (kind, license, size) = facts;
            json!({ "id": id, "license": license, "tags": [format!("base_model:{kind}:{parent}")],
                "safetensors": { "parameters": { "BF16": size }, "total": size } })
        };
        let rows = [
            json!({ "id": "tree/root", "license": "mit" }),
            row("tree/tuned", "tree/root", ("finetune", "cc-by-nc-4.0", 7_000_000_000)),
            row("tree/packed", "tree/root", ("quantized", "mit", 7_000_000_000)),
            row("tree/small", "tree/tuned", ("adapter", "apache-2.0", 20_000_000)),
            row("tree/other", "tree/tuned", ("finetune", "cc-by-nc-4.0", 7_000_000_000)),
        ];
        let dump = server.data().join("tree.jsonl");
        fs_err::write(&dump, rows.iter().map(|row| format!("{row}\n")).collect::<String>())?;
        let out = server.stemma().args(["import", "dump"]).arg(&dump).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let page = async |path: &str| -> Result<String> {
            let answer = client.get(server.url(path)).send().await?;
            ensure!(answer.status() == 200, "{path}: {}", answer.status());
            Ok(answer.text().await?)
        };

        let tree = get(
            &client,
            &server,
            "/api/v1/models/tree/root/lineage?down=5&license=permissive&relation=adapter",
        )
        .await?;
        let children =
            get(&client, &server, "/api/v1/models/tree/root/children?license=mit&size=4b-10b").await?;
        let drawn = page("/tree/root/lineage?down=5&size=under-100m").await?;
        let icicle = page("/tree/root/icicle?relation=quantized").await?;
        let listed = page("/tree/root/children?license=non-commercial").await?;
        let told = server.stemma().args(["tree", "tree/root", "--licence", "apache-2.0"]).output()?;
        let refused = client.get(server.url("/api/v1/models/tree/root/lineage?size=huge")).send().await?;

        let names: Vec<&str> = tree["nodes"]
            .as_array()
            .context("no nodes")?
            .iter()
            .filter_map(|node| node["name"].as_str())
            .collect();
        ensure!(names == ["tree/root", "tree/tuned", "tree/small"], "{names:?}");
        ensure!(tree["hidden_by_filter"] == 2, "{tree}");
        ensure!(children["total"] == 1 && children["items"][0]["id"] == "tree/packed", "{children}");
        ensure!(drawn.contains("tree/small") && !drawn.contains(">tree/packed<"), "{drawn}");
        ensure!(drawn.contains("2 models are hidden by the filter"), "{drawn}");
        ensure!(icicle.contains("tree/packed") && !icicle.contains("tree/tuned"), "{icicle}");
        ensure!(icicle.contains("3 models are hidden by the filter"), "{icicle}");
        ensure!(listed.contains(">tree/tuned<") && listed.contains("1 child is hidden"), "{listed}");
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        ensure!(told.contains("tree/small") && told.contains("(2 hidden by the filter)"), "{told}");
        ensure!(refused.status() == 400 && refused.text().await?.contains("under-100m"));
    }
    Ok(())
}

#[tokio::test]
async fn children_are_drawn_twenty_to_a_group_and_the_first_view_is_light() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        fill(&server)?;
        let packed = async |path: &str| -> Result<Vec<u8>> {
            let answer =
                client.get(server.url(path)).header("accept-encoding", "gzip, br, zstd").send().await?;
            ensure!(
                answer.headers().get("content-encoding").is_some_and(|coding| coding == "gzip"),
                "{path}"
            );
            Ok(answer.bytes().await?.to_vec())
        };

        let page = client.get(server.url("/big/root/lineage")).send().await?.text().await?;
        let opened = client
            .get(server.url("/big/root/lineage?open=adapter:many/child-7"))
            .send()
            .await?
            .text()
            .await?;

        ensure!(page.contains("41 models drawn, 1\u{202f}560 more below them"), "{page}");
        ensure!(page.contains("+630 more finetunes") && page.contains("+630 more quantized"), "{page}");
        ensure!(page.contains("id=\"many/child-7\""), "who has children comes first: {page}");
        ensure!(opened.contains("141 models drawn, 1\u{202f}460 more below them"), "{opened}");
        for path in ["/big/root/lineage", "/big/root/icicle", "/big/root"] {
            let text = client.get(server.url(path)).send().await?.text().await?;
            let files: BTreeSet<&str> =
                text.split(['"', '\'']).filter(|part| part.starts_with("/static/")).collect();
            let mut bytes = packed(path).await?.len();
            ensure!(files.len() == 4, "{files:?}");
            for file in files {
                bytes += packed(file).await?.len();
            }
            ensure!(bytes <= 60 * 1024, "{path} and its files take {bytes} bytes");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_children_of_a_model_are_told_by_the_months_in_which_they_came() -> Result<()> {
    for database in databases() {
        let (server, client) = (Server::start(&database).await?, client()?);
        let child = |at: usize, day: &str| json!({ "id": format!("young/m{at}"), "createdAt": day, "tags": ["base_model:finetune:old/root"] });
        let days = ["2024-05-01T00:00:00.000Z", "2024-05-31T23:59:59.000Z", "2024-07-02T00:00:00.000Z"];
        let mut rows: Vec<Value> = days.iter().enumerate().map(|(at, day)| child(at, day)).collect();
        rows.push(json!({ "id": "young/undated", "tags": ["base_model:adapter:old/root"] }));
        let dump = server.data().join("months.jsonl");
        fs_err::write(&dump, rows.iter().map(|row| format!("{row}\n")).collect::<String>())?;
        let out = server.stemma().args(["import", "dump"]).arg(&dump).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

        let children = get(&client, &server, "/api/v1/models/old/root/children?limit=1").await?;
        let tree = get(&client, &server, "/api/v1/models/old/root/lineage").await?;
        let none = get(&client, &server, "/api/v1/models/young/m0/lineage").await?;
        let told = server.stemma().args(["tree", "old/root"]).output()?;
        let page = client.get(server.url("/old/root/lineage")).send().await?.text().await?;

        let months = json!([
            { "month": "2024-05", "children": 2 },
            { "month": "2024-06", "children": 0 },
            { "month": "2024-07", "children": 1 }
        ]);
        ensure!(children["growth"] == json!({ "months": months, "outside": 0, "undated": 1 }), "{children}");
        ensure!(tree["growth"] == children["growth"], "{tree}");
        ensure!(none["growth"] == json!({ "months": [], "outside": 0, "undated": 0 }), "{none}");
        let line = "(children by month: 2024-05 2, 2024-07 1; 1 without a date)";
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        ensure!(told.lines().last() == Some(line), "{told}");
        let sentence = "3 children from 2024-05 to 2024-07, most in 2024-05: 2. 1 more without a date.";
        ensure!(page.contains(sentence), "{page}");
    }
    Ok(())
}
