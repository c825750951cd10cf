//! One Stemma mirrors another over a connection that misbehaves: it ends right or with the documented error, and
//! leaves nothing torn.

use std::{
    path::Path,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stemma_tests::{Answer, Bucket, Proxy, Server, Spoil, Zoo, client, databases};

const ENOUGH: Duration = Duration::from_secs(240);
const MODEL: &str = "mandoc/scribe-v1";
const WEIGHTS: &str = "/model.safetensors";

/// A server with one model, and the model's digest.
async fn origin() -> Result<(Server, Value)> {
    let zoo = Zoo::unpack()?;
    let server = Server::start(&stemma_tests::Database::Sqlite).await?;
    let folder = zoo.path(MODEL)?;
    let out = server.stemma().args(["import", "dir"]).arg(folder).args(["--id", MODEL, "--json"]).output()?;
    Ok((server, told(&out)?["digest"].clone()))
}

fn told(out: &Output) -> Result<Value> {
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn import(mirror: &Server, hub: &Proxy) -> Result<Output> {
    let mut command = mirror.stemma();
    command.env("STEMMA_HUB", hub.address());
    Ok(command.args(["import", "hub", MODEL, "--json", "--quiet"]).output()?)
}

/// Nothing is half written: no model, and no file that is not whole.
async fn clean(mirror: &Server) -> Result<()> {
    let row = client()?.get(mirror.url(&format!("/api/v1/models/{MODEL}"))).send().await?;
    ensure!(row.status() == 404, "half a model is there: {}", row.text().await?);
    staged(mirror.data())
}

/// Where a registry with a blob folder keeps files that are not whole.
const STAGING: &str = "blobs/staging";

fn staged(data: &Path) -> Result<()> {
    nothing_in(&data.join(STAGING))
}

fn nothing_in(staging: &Path) -> Result<()> {
    let left = fs_err::read_dir(staging)?.count();
    ensure!(left == 0, "{left} staged files are left");
    Ok(())
}

/// What is wrong with the first answers for the weights, or with all of them where they are only slow.
const PASSING: &[(&str, Spoil)] = &[
    ("slow", |_, answer| Answer { pause: Duration::from_millis(2), ..answer }),
    ("busy", |n, answer| match n {
        0 => Answer::empty("429 Too Many Requests", "retry-after: 1\r\n"),
        _ => answer,
    }),
    ("down for a while", |n, answer| match n {
        0 => Answer::empty("503 Service Unavailable", ""),
        1 => Answer::empty("500 Internal Server Error", ""),
        _ => answer,
    }),
    ("silent", |n, answer| match n {
        0 => Answer { head: String::new(), body: Vec::new(), ..answer },
        _ => answer,
    }),
];

/// The code of the error that each ends with.
const LASTING: &[(&str, &str, Spoil)] = &[
    ("busy for ever", "hub_answer", |_, _| Answer::empty("429 Too Many Requests", "retry-after: 0\r\n")),
    ("busy for an hour", "hub_answer", |_, _| {
        Answer::empty("429 Too Many Requests", "retry-after: 3600\r\n")
    }),
    ("a page", "hub_answer", |_, answer| {
        let body = b"<html>log in</html>".to_vec();
        let head = Answer::empty("200 OK", "content-type: text/html\r\n").head;
        Answer { head: head.replace("content-length: 0", "content-length: 19"), body, ..answer }
    }),
    ("another length", "hub_changed", |_, answer| answer.with("content-range", |value| format!("{value}7"))),
    ("changed in the middle", "hub_changed", |n, mut answer| {
        if n == 0 {
            answer.body.truncate(answer.body.len() / 2);
            return answer;
        }
        answer.with("etag", |_| "\"another\"".to_owned())
    }),
    ("a flipped bit", "invalid_request", |_, mut answer| {
        if let Some(byte) = answer.body.last_mut() {
            *byte ^= 1;
        }
        answer
    }),
];

#[tokio::test]
async fn faults_that_pass_end_with_the_same_model() -> Result<()> {
    let (origin, digest) = origin().await?;
    for database in databases() {
        for &(what, spoil) in PASSING {
            let mirror = Server::start(&database).await?;
            let proxy = Proxy::start(&origin.url(""), (WEIGHTS, spoil))?;

            let told = told(&import(&mirror, &proxy)?).context(what)?;

            ensure!(told[0]["digest"] == digest, "{what}: {told}");
            staged(mirror.data()).context(what)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_cut_connection_is_resumed_at_the_byte_it_broke_off() -> Result<()> {
    let (origin, digest) = origin().await?;
    let spoil: Spoil = |n, mut answer| {
        answer.body.truncate(if n == 0 { 100_000 } else { usize::MAX });
        answer
    };
    for database in databases() {
        let mirror = Server::start(&database).await?;
        let proxy = Proxy::start(&origin.url(""), (WEIGHTS, spoil))?;

        let told = told(&import(&mirror, &proxy)?)?;

        ensure!(told[0]["digest"] == digest, "{told}");
        let asked = proxy.asked();
        ensure!(asked[0].contains("\nrange: bytes=0-") && !asked[0].contains("\nif-range: "), "{asked:?}");
        ensure!(
            asked[1].contains("\nrange: bytes=100000-") && asked[1].contains("\nif-range: "),
            "{asked:?}"
        );
    }
    Ok(())
}

/// Bytes of the weights that lie half fetched.
fn half_fetched(staging: &Path) -> u64 {
    let entries = fs_err::read_dir(staging).into_iter().flatten().filter_map(Result::ok);
    let parts = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "part"));
    parts.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

#[tokio::test]
async fn a_download_goes_on_where_a_killed_process_left_it() -> Result<()> {
    let (origin, digest) = origin().await?;
    // Six blocks come, the seventh never does.
    let held: Spoil = |n, answer| match n {
        0..6 => answer,
        _ => Answer { pause: 2 * ENOUGH, ..answer },
    };
    for database in databases() {
        let bucket = Bucket::start()?;
        let in_bucket = bucket.as_ref().map(|bucket| (bucket.settings(), "staging"));
        for (settings, staging) in std::iter::once((Vec::new(), STAGING)).chain(in_bucket) {
            let mirror = Server::start_set(&database, &settings).await?;
            let proxy = Proxy::start(&origin.url(""), (WEIGHTS, held))?;
            let staging = mirror.data().join(staging);
            let import = || {
                let mut command = mirror.stemma();
                command.env("STEMMA_HUB", proxy.address()).env("STEMMA_LIMITS__HUB_BLOCK_BYTES", "65536");
                command.args(["import", "hub", MODEL, "--json", "--quiet"]).envs(settings.iter().copied());
                command
            };

            let mut first = import().stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            let deadline = Instant::now() + ENOUGH;
            while half_fetched(&staging) < 300_000 {
                ensure!(first.try_wait()?.is_none(), "it ended before it was killed");
                ensure!(Instant::now() < deadline, "nothing comes");
                std::thread::yield_now();
            }
            first.kill()?;
            first.wait()?;
            let (left, before) = (half_fetched(&staging), proxy.asked().len());
            proxy.heal();
            let told = told(&import().output()?)?;

            ensure!(told[0]["digest"] == digest, "{told}");
            let asked = &proxy.asked()[before];
            ensure!(asked.contains(&format!("\nrange: bytes={left}-")), "{left} were there: {asked}");
            ensure!(asked.contains("\nif-range: "), "{asked}");
            nothing_in(&staging)?;
            let file = client()?.get(mirror.url(&format!("/{MODEL}/resolve/main{WEIGHTS}"))).send().await?;
            ensure!(file.status() == 200 && file.bytes().await?.len() as u64 > left, "it cannot be read");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_left_of_a_file_that_has_changed_since_is_fetched_anew() -> Result<()> {
    let (origin, digest) = origin().await?;
    let cut: Spoil = |n, answer| match n {
        0 => answer,
        _ => Answer::empty("404 Not Found", ""),
    };
    let other: Spoil = |n, answer| match n {
        0 => answer.with("etag", |_| "\"another\"".to_owned()),
        _ => answer,
    };
    for database in databases() {
        let mirror = Server::start(&database).await?;
        let run = |hub: &Proxy| -> Result<Output> {
            let mut command = mirror.stemma();
            command.env("STEMMA_HUB", hub.address()).env("STEMMA_LIMITS__HUB_BLOCK_BYTES", "65536");
            Ok(command.args(["import", "hub", MODEL, "--json", "--quiet"]).output()?)
        };
        let proxy = Proxy::start(&origin.url(""), (WEIGHTS, cut))?;
        ensure!(!run(&proxy)?.status.success() && half_fetched(&mirror.data().join(STAGING)) == 65_536);
        let proxy = Proxy::start(&origin.url(""), (WEIGHTS, other))?;

        let told = told(&run(&proxy)?)?;

        ensure!(told[0]["digest"] == digest, "{told}");
        let asked = proxy.asked();
        ensure!(
            asked[0].contains("\nrange: bytes=65536-") && asked[1].contains("\nrange: bytes=0-"),
            "{asked:?}"
        );
        staged(mirror.data())?;
    }
    Ok(())
}

#[tokio::test]
async fn a_record_is_asked_for_again_where_the_hub_is_busy_or_down() -> Result<()> {
    let (origin, digest) = origin().await?;
    let spoil: Spoil = |n, answer| match n {
        0 => Answer::empty("429 Too Many Requests", "retry-after: 0\r\n"),
        1 => Answer::empty("502 Bad Gateway", ""),
        _ => answer,
    };
    for database in databases() {
        let mirror = Server::start(&database).await?;
        let proxy = Proxy::start(&origin.url(""), ("?blobs=true", spoil))?;

        let told = told(&import(&mirror, &proxy)?)?;

        ensure!(told[0]["digest"] == digest && proxy.asked().len() == 3, "{told} {:?}", proxy.asked());
    }
    Ok(())
}

#[tokio::test]
async fn faults_that_last_end_with_their_code_and_leave_nothing_torn() -> Result<()> {
    let (origin, digest) = origin().await?;
    for database in databases() {
        for &(what, code, spoil) in LASTING {
            let mirror = Server::start(&database).await?;
            let proxy = Proxy::start(&origin.url(""), (WEIGHTS, spoil))?;

            let failed = import(&mirror, &proxy)?;

            ensure!(!failed.status.success(), "{what} went unnoticed");
            let said: Value = serde_json::from_slice(&failed.stderr).context(what)?;
            ensure!(said["code"] == code, "{what}: {said}");
            clean(&mirror).await.context(what)?;
            proxy.heal();
            let told = told(&import(&mirror, &proxy)?).context(what)?;
            ensure!(told[0]["digest"] == digest, "{what}: {told}");
        }
    }
    Ok(())
}
