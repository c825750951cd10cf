//! What one caller may take of the service: requests, jobs, and the time in which an answer has to be taken in.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Result, ensure};
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use stemma_tests::{Database, Server, client, run_json};

/// More than the systems on both sides of a connection keep for one that nobody reads.
const LARGE: usize = 32 << 20;

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_ask_again_and_others_are_answered() -> Result<()> {
    let server = Server::start_set(&Database::Sqlite, &[("STEMMA_LIMITS__RATE_API", "3")]).await?;
    let mut create = server.stemma();
    create.args(["token", "create", "alice"]);
    let token = run_json(create, "")?["token"].as_str().unwrap_or_default().to_owned();
    let (client, address) = (client()?, server.url("/api/v1/models"));

    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(client.get(&address).send().await?);
    }
    let other = client.get(&address).bearer_auth(token).send().await?;

    let told = |at: usize, name: &str| answers[at].headers().get(name).and_then(|value| value.to_str().ok());
    ensure!(answers[2].status() == 200 && answers[3].status() == 429, "{answers:?}");
    ensure!(told(0, "ratelimit") == Some("\"api\";r=2;t=100"), "{answers:?}");
    ensure!(told(3, "ratelimit-policy") == Some("\"api\";q=3;w=300"), "{answers:?}");
    let wait: u64 = told(3, "retry-after").unwrap_or_default().parse()?;
    ensure!(told(3, "ratelimit") == Some(&*format!("\"api\";r=0;t={wait}")), "{answers:?}");
    ensure!(other.status() == 200, "{other:?}");
    for free in ["/livez", "/models", "/static/stemma.css"] {
        let answer = client.get(server.url(free)).send().await?;
        ensure!(answer.status() == 200 && !answer.headers().contains_key("ratelimit"), "{answer:?}");
    }
    let problem: Value = answers.remove(3).json().await?;
    ensure!(problem["code"] == "too_many_requests", "{problem}");
    Ok(())
}

#[tokio::test]
async fn a_reader_who_takes_in_nothing_is_given_up() -> Result<()> {
    let server = Server::start_set(&Database::Sqlite, &[("STEMMA_LIMITS__ANSWER_IDLE_SECONDS", "1")]).await?;
    let part = |name: &str, bytes: Vec<u8>| Part::bytes(bytes).file_name(name.to_owned());
    let form =
        Form::new().part("a", part("README.md", b"# A".to_vec())).part("b", part("b.txt", vec![b'x'; LARGE]));
    let uploaded = client()?.post(server.url("/api/v1/models/a/b")).multipart(form).send().await?;
    ensure!(uploaded.status() == 201, "{}", uploaded.text().await?);
    let mut reader = TcpStream::connect(server.url("").trim_start_matches("http://"))?;

    reader.write_all(b"GET /a/b/resolve/main/b.txt HTTP/1.1\r\nhost: a\r\n\r\n")?;

    // A system that gave a connection up says so when something comes by it; an empty line is nothing to the service.
    let mut tries = 0;
    while reader.write_all(b"\r\n").is_ok() {
        tries += 1;
        ensure!(tries < 600, "the connection is kept");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut got = Vec::new();
    let _ = reader.read_to_end(&mut got);
    ensure!(got.len() < LARGE, "{} bytes came", got.len());
    Ok(())
}
