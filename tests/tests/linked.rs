//! SPARQL over HTTP: the protocol's forms, the same answers as REST, and nothing that its asker may not see.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use stemma_tests::{Server, client, databases, get, root};

/// A server with the demo's dump of real models, and the id of one with many descendants.
async fn demo(database: &stemma_tests::Database, settings: &[(&str, &str)]) -> Result<(Server, String)> {
    let server = Server::start_set(database, settings).await?;
    let packed = fs_err::File::open(root().join("crates/stemma/demo/hub-models.jsonl.zst"))?;
    let dump = server.data().join("models.jsonl");
    zstd::stream::copy_decode(packed, fs_err::File::create(&dump)?)?;
    let out = server.stemma().args(["import", "dump", "--quiet"]).arg(&dump).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let families = get(&client()?, &server, "/api/v1/families").await?;
    let root = families["items"][0]["root"].as_str().with_context(|| families.to_string())?.to_owned();
    Ok((server, root))
}

async fn told(asked: RequestBuilder) -> Result<(u16, String, String)> {
    let answer = asked.send().await?;
    let kind = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    Ok((answer.status().as_u16(), kind, answer.text().await?))
}

fn ask(client: &Client, server: &Server, query: &str) -> RequestBuilder {
    client.get(server.url("/api/v1/sparql")).query(&[("query", query)])
}

/// The values of the one column of a table.
async fn column(client: &Client, server: &Server, query: &str) -> Result<BTreeSet<String>> {
    let (status, kind, body) = told(ask(client, server, query)).await?;
    ensure!(status == 200 && kind == "application/sparql-results+json", "{query}: {status} {kind} {body}");
    let table: Value = serde_json::from_str(&body)?;
    let name = table["head"]["vars"][0].as_str().context("no column")?;
    let rows = table["results"]["bindings"].as_array().context("no rows")?;
    Ok(rows.iter().filter_map(|row| Some(row[name]["value"].as_str()?.to_owned())).collect())
}

#[tokio::test]
async fn linked_data_says_what_rest_says() -> Result<()> {
    for database in databases() {
        let (server, base) = demo(&database, &[]).await?;
        let client = client()?;
        let graph =
            get(&client, &server, &format!("/api/v1/models/{base}/lineage?format=graph&up=0&down=100"))
                .await?;
        let names: BTreeSet<String> = graph["models"]
            .as_array()
            .context("no models")?
            .iter()
            .filter_map(|model| Some(model["name"].as_str()?.to_owned()))
            .filter(|name| *name != base)
            .collect();

        let below = column(
            &client,
            &server,
            &format!("SELECT ?n {{ ?m prov:wasDerivedFrom+/rdfs:label \"{base}\" ; rdfs:label ?n }}"),
        )
        .await?;
        let counted = column(&client, &server, "SELECT (COUNT(?m) AS ?n) { ?m a prov:Entity }").await?;
        let merges = column(
            &client,
            &server,
            "SELECT ?n { ?m prov:qualifiedDerivation/stemma:relation \"merge\" ; rdfs:label ?n }",
        )
        .await?;

        ensure!(names.len() > 3 && below == names, "{base}: {below:?} {names:?}");
        let all = get(&client, &server, "/api/v1/models?limit=1").await?;
        ensure!(counted.iter().any(|n| n.parse::<u64>().is_ok_and(|n| n >= 100)), "{counted:?} {all}");
        for name in merges.iter().take(20) {
            let found = get(&client, &server, &format!("/api/v1/models/{name}")).await?;
            let parents = found["parents"].as_array().context("no parents")?;
            ensure!(parents.iter().any(|parent| parent["relation"] == "merge"), "{name}: {found}");
        }
        ensure!(!merges.is_empty(), "the demo has merges");
    }
    Ok(())
}

#[tokio::test]
async fn every_form_of_the_protocol_is_answered() -> Result<()> {
    for database in databases() {
        // A question in a body reads, and needs no token where reading needs none.
        let (server, _) = demo(&database, &[("STEMMA_WRITES", "token")]).await?;
        let client = client()?;
        let query = "SELECT ?m { ?m a prov:Entity } LIMIT 1";
        let post = || client.post(server.url("/api/v1/sparql"));

        for (accept, kind, holds) in [
            ("application/sparql-results+json", "application/sparql-results+json", "\"bindings\""),
            ("application/sparql-results+xml", "application/sparql-results+xml", "<sparql"),
            ("text/csv", "text/csv; charset=utf-8", "pkg:huggingface/"),
            ("text/tab-separated-values", "text/tab-separated-values; charset=utf-8", "<pkg:huggingface/"),
        ] {
            let (status, told_kind, body) =
                told(ask(&client, &server, query).header("accept", accept)).await?;
            ensure!(
                status == 200 && told_kind == kind && body.contains(holds),
                "{accept}: {told_kind} {body}"
            );
        }
        let body = post().header("content-type", "application/sparql-query").body(query).send().await?;
        let form = post()
            .header("content-type", "application/x-www-form-urlencoded")
            .body("query=ASK%20%7B%20%3Fs%20%3Fp%20%3Fo%20%7D");
        let (_, _, yes) = told(form).await?;
        ensure!(body.status() == 200 && yes.contains("\"boolean\":true"), "{yes}");
        let construct = "CONSTRUCT { ?a stemma:child ?b } { ?b prov:wasDerivedFrom ?a } LIMIT 2";
        let (status, kind, triples) = told(ask(&client, &server, construct)).await?;
        ensure!(status == 200 && kind == "application/n-triples", "{kind}");
        ensure!(
            triples.lines().count() == 2 && triples.lines().all(|line| line.ends_with(" .")),
            "{triples}"
        );
        let described = told(ask(&client, &server, construct).header("accept", "text/turtle")).await?;
        ensure!(described.1.starts_with("text/turtle"), "{described:?}");

        for (asked, wanted, code) in [
            (ask(&client, &server, "SELECT * {\n ?s ?p }"), 400, "sparql_malformed"),
            (client.get(server.url("/api/v1/sparql")), 400, "bad_request"),
            (ask(&client, &server, "SELECT * FROM <urn:g> { ?s ?p ?o }"), 422, "sparql_refused"),
            (ask(&client, &server, "DELETE WHERE { ?s ?p ?o }"), 422, "sparql_refused"),
            (ask(&client, &server, query).header("accept", "image/png"), 406, "not_acceptable"),
            (post().header("content-type", "text/plain").body(query), 415, "unsupported_media_type"),
        ] {
            let (status, kind, body) = told(asked).await?;
            ensure!(status == wanted && body.contains(code), "{wanted} {code}: {status} {body}");
            ensure!(kind == "application/problem+json", "{kind}");
        }
        let (_, _, where_) = told(ask(&client, &server, "SELECT * {\n ?s ?p }")).await?;
        ensure!(where_.contains("2:"), "{where_}");
    }
    Ok(())
}

#[tokio::test]
async fn the_questions_of_the_documentation_are_answered() -> Result<()> {
    let (server, _) = demo(&stemma_tests::Database::Sqlite, &[]).await?;
    let client = client()?;
    let page = fs_err::read_to_string(root().join("docs/ecosystem.md"))?;
    let questions = page.split("```sparql\n").skip(1).filter_map(|rest| rest.split("```").next());

    let mut count = 0;
    for question in questions {
        let found = column(&client, &server, question).await?;
        ensure!(!found.is_empty(), "nothing is found by {question}");
        count += 1;
    }

    ensure!(count == 5, "{count}");
    Ok(())
}

#[tokio::test]
async fn a_question_without_an_end_is_given_up_and_others_are_answered_meanwhile() -> Result<()> {
    let settings = [("STEMMA_LIMITS__SPARQL_SECONDS", "2")];
    let (server, _) = demo(&stemma_tests::Database::Sqlite, &settings).await?;
    let client = client()?;
    let endless = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l }";

    let (spent, other) = tokio::join!(
        told(ask(&client, &server, endless)),
        column(&client, &server, "SELECT (COUNT(*) AS ?n) { ?m a prov:Entity }")
    );

    let (status, _, body) = spent?;
    ensure!(status == 413 && body.contains("sparql_spent"), "{status} {body}");
    ensure!(other?.len() == 1);
    let put = client.put(server.url("/api/v1/sparql")).send().await?;
    let allowed = put.headers().get("allow").and_then(|value| value.to_str().ok()).unwrap_or_default();
    ensure!(put.status() == 405 && allowed == "GET, HEAD, POST", "{allowed}");
    Ok(())
}

#[tokio::test]
async fn what_is_private_is_in_no_answer_for_others() -> Result<()> {
    for database in databases() {
        let (server, base) = demo(&database, &[]).await?;
        let client = client()?;
        let run = |words: &[&str]| -> Result<String> {
            let out = server.stemma().args(words).output()?;
            ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
            Ok(String::from_utf8(out.stdout)?.trim().to_owned())
        };
        let (org, _) = base.split_once('/').context("no owner")?;
        let owner = run(&["user", "add", org])?;
        run(&["access", "set", &base, "--private"])?;
        let label = format!("SELECT ?m {{ ?m rdfs:label \"{base}\" ; dcterms:license ?l }}");
        let any = format!("SELECT ?n {{ ?m rdfs:label ?n FILTER(STR(?n) = \"{base}\") }}");
        let iri = format!("SELECT ?o {{ <pkg:huggingface/{base}> ?p ?o }}");
        let children = "SELECT ?m { ?m prov:wasDerivedFrom ?p . ?p stemma:ghost true }";

        for question in [&label, &any, &iri] {
            let found = column(&client, &server, question).await?;
            ensure!(found.is_empty(), "{question}: {found:?}");
        }
        ensure!(!column(&client, &server, children).await?.is_empty(), "its children keep a nameless parent");
        let own = ask(&client, &server, &any).bearer_auth(&owner).header("accept", "text/csv");
        let (_, _, own) = told(own).await?;
        ensure!(own.contains(&base), "its owner sees it: {own}");
    }
    Ok(())
}
