//! Files of a Hub read by ranges, from servers that behave and from servers that do not.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use domain::{Fault as _, Limits, RepoId};
use hub::{HubClient, Repository};
use weights::{Checkpoint, Error, ReadAt, TensorSource};

/// The head of a request, in lower case, as a server sees it.
#[derive(Debug, Clone)]
struct Request(String, Instant);

impl Request {
    fn path(&self) -> &str {
        self.0.split(' ').nth(1).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn range(&self) -> (usize, usize) {
        let range = self.header("range").unwrap().strip_prefix("bytes=").unwrap();
        let (from, to) = range.split_once('-').unwrap();
        (from.parse().unwrap(), to.parse().unwrap())
    }
}

/// A Hub on this machine with one model of one file; what it is asked for weights is answered by `answer`.
struct Hub {
    address: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

fn hub(file: Vec<u8>, answer: impl Fn(usize, &Request, &[u8]) -> Vec<u8> + Send + 'static) -> Hub {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        let number = AtomicUsize::new(0);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .map(|l| l.to_lowercase())
                .collect();
            let request = Request(head.join("\n"), Instant::now());
            let bytes = if request.path().starts_with("/api/models/org/model/revision/") {
                let record = format!(
                    r#"{{"id":"org/model","sha":"c0ffee","siblings":[{{"rfilename":"model.safetensors","size":{}}}]}}"#,
                    file.len()
                );
                whole("application/json", record.as_bytes())
            } else {
                log.lock().unwrap().push(request.clone());
                answer(number.fetch_add(1, Ordering::Relaxed), &request, &file)
            };
            let _ = stream.write_all(&bytes);
        }
    });
    Hub { address, asked }
}

fn whole(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn empty(status: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n").into_bytes()
}

fn part(request: &Request, file: &[u8], tag: &str) -> Vec<u8> {
    let (from, to) = request.range();
    let to = to.min(file.len() - 1);
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {from}-{to}/{}\r\netag: {tag}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        file.len(),
        to + 1 - from
    );
    [head.as_bytes(), &file[from..=to]].concat()
}

async fn open(hub: &Hub) -> Repository {
    let client = HubClient::new(&hub.address, &Limits::default()).unwrap();
    client.repository(&RepoId::parse("org/model").unwrap(), "main").await.unwrap()
}

/// Reads a range as the rooms above do: on a thread that may block.
async fn read(hub: &Hub, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
    let mut repository = open(hub).await;
    let (_, file) = repository.files.remove(0);
    tokio::task::spawn_blocking(move || {
        let mut out = vec![0; length];
        file.read_at(offset, &mut out).map(|()| out).map_err(Error::from)
    })
    .await
    .unwrap()
}

/// A checkpoint of one U8 tensor of `length` bytes that count up.
fn checkpoint(length: usize) -> Vec<u8> {
    let header = format!(r#"{{"a":{{"dtype":"U8","shape":[{length}],"data_offsets":[0,{length}]}}}}"#);
    let data = (0..length).map(|at| (at / 7) as u8);
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data.collect::<Vec<u8>>()].concat()
}

#[tokio::test]
async fn a_header_costs_one_request_and_a_tensor_its_blocks() {
    let bytes = checkpoint(9_000_000);
    let hub = hub(bytes.clone(), |_, request, file| part(request, file, "\"v1\""));
    let mut repository = open(&hub).await;
    let (path, file) = repository.files.remove(0);
    assert_eq!((path.as_str(), repository.commit.as_str()), ("model.safetensors", "c0ffee"));

    let values = tokio::task::spawn_blocking(move || {
        let file: Arc<dyn ReadAt> = Arc::new(file);
        let source = Checkpoint::open_files(vec![("x".into(), file)], None, &Limits::default()).unwrap();
        let mut values = vec![0; 9_000_000];
        source.read_bytes(0, 0, &mut values).unwrap();
        source.read_bytes(0, 5_000_000, &mut [0; 100]).unwrap();
        values
    })
    .await
    .unwrap();

    assert_eq!(values[..], bytes[bytes.len() - 9_000_000..]);
    let asked = hub.asked.lock().unwrap();
    assert_eq!(asked.len(), 4, "one for the header, and 9 MB are three blocks of 4 MiB");
    assert_eq!(asked[0].range(), (0, 99_999));
    assert_eq!(asked[0].path(), "/org/model/resolve/c0ffee/model.safetensors");
    assert_eq!(asked[1].header("if-range"), Some("\"v1\""));
    assert!(asked.iter().all(|request| request.header("accept-encoding") == Some("identity")));
}

#[tokio::test]
async fn a_cut_connection_is_taken_up_where_it_broke() {
    let bytes = checkpoint(1_000);
    let hub = hub(bytes.clone(), |number, request, file| {
        let mut answer = part(request, file, "\"v1\"");
        if number == 0 {
            answer.truncate(answer.len() - 400);
        }
        answer
    });

    let got = read(&hub, 0, bytes.len()).await.unwrap();

    assert_eq!(got, bytes);
    assert_eq!(hub.asked.lock().unwrap()[1].range(), (bytes.len() - 400, bytes.len() - 1));
}

#[tokio::test]
async fn a_busy_hub_is_asked_again_when_it_says_so() {
    let hub = hub(checkpoint(10), |number, request, file| match number {
        0 => empty("429 Too Many Requests", "retry-after: 0\r\n"),
        1 => empty("503 Service Unavailable", "retry-after: 0\r\n"),
        _ => part(request, file, "\"v1\""),
    });

    assert!(read(&hub, 0, 20).await.is_ok());
    assert_eq!(hub.asked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn nothing_is_asked_before_the_window_ends_that_a_hub_names() {
    let refusing = hub(checkpoint(10), |number, request, file| match number {
        0 => empty("429 Too Many Requests", "ratelimit: \"resolvers\";r=0;t=1\r\n"),
        _ => part(request, file, "\"v1\""),
    });
    let warning = hub(checkpoint(200_000), |_, request, file| {
        part(request, file, "\"v1\"\r\nratelimit: \"resolvers\";r=0;t=1")
    });

    assert!(read(&refusing, 0, 20).await.is_ok());
    let mut repository = open(&warning).await;
    let (_, file) = repository.files.remove(0);
    file.part(0, 10).await.unwrap();
    file.part(10, 20).await.unwrap();

    for hub in [&refusing, &warning] {
        let asked = hub.asked.lock().unwrap();
        let [.., before, last] = &asked[..] else { panic!("{asked:?}") };
        assert!(last.1 - before.1 >= Duration::from_millis(900), "{asked:?}");
    }
}

#[tokio::test]
async fn a_hub_that_stays_busy_or_asks_for_too_long_a_wait_is_given_up() {
    let always = hub(checkpoint(10), |_, _, _| empty("429 Too Many Requests", "retry-after: 0\r\n"));
    let long = hub(checkpoint(10), |_, _, _| {
        empty("429 Too Many Requests", "ratelimit: \"resolvers\";r=0;t=3600\r\n")
    });

    assert_eq!(read(&always, 0, 20).await.unwrap_err().code(), "hub_answer");
    let refused = read(&long, 0, 20).await.unwrap_err();
    assert_eq!((refused.code(), refused.wait()), ("hub_answer", Some(3_600)));

    assert_eq!(always.asked.lock().unwrap().len(), Limits::default().hub_tries as usize);
    assert_eq!(long.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_changes_in_between_is_an_error() {
    let long = checkpoint(200_000);
    let tag = hub(long.clone(), |number, request, file| part(request, file, &format!("\"v{number}\"")));
    let dropped = hub(long.clone(), |number, request, file| match number {
        0 => part(request, file, "\"v1\""),
        _ => String::from_utf8_lossy(&whole("binary", b"new"))
            .replace("binary", "x/y\r\netag: \"v2\"")
            .into_bytes(),
    });
    let length = hub(long, |_, request, file| part(request, &file[..file.len() - 1], "\"v1\""));

    for (hub, reads) in [(tag, 2), (dropped, 2), (length, 1)] {
        let mut repository = open(&hub).await;
        let (_, file) = repository.files.remove(0);
        let outcome = tokio::task::spawn_blocking(move || {
            let mut outcome = Ok(());
            for at in 0..reads {
                assert!(outcome.is_ok());
                outcome = file.read_at(at * 150_000, &mut [0; 10]).map_err(Error::from);
            }
            outcome
        });
        let error = outcome.await.unwrap().unwrap_err();
        assert_eq!(error.code(), "hub_changed", "{error}");
    }
}

#[tokio::test]
async fn answers_that_are_no_part_of_the_file_are_refused() {
    type Answer = fn(usize, &Request, &[u8]) -> Vec<u8>;
    let cases: [(&str, Answer); 6] = [
        ("hub_answer", |_, _, _| whole("text/html; charset=utf-8", b"<html>log in</html>")),
        ("hub_no_range", |_, _, file| whole("application/octet-stream", file)),
        ("hub_answer", |_, _, _| empty("404 Not Found", "")),
        ("hub_answer", |_, request, file| {
            let answer = part(request, file, "\"v1\"");
            String::from_utf8_lossy(&answer).replace("bytes 0-", "bytes 1-").into_bytes()
        }),
        ("hub_redirect", |_, _, _| empty("302 Found", "location: http://169.254.169.254/latest\r\n")),
        ("hub_redirect", |_, request, _| empty("302 Found", &format!("location: {}\r\n", request.path()))),
    ];
    for (code, answer) in cases {
        let hub = hub(checkpoint(10), answer);

        let error = read(&hub, 0, 20).await.unwrap_err();

        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test]
async fn a_redirect_to_a_storage_is_followed_remembered_and_asked_for_anew_when_it_runs_out() {
    let bytes = checkpoint(200_000);
    let hub = hub(bytes.clone(), |number, request, file| match (number, request.path()) {
        (2, _) => empty("403 Forbidden", ""),
        (_, "/storage") => part(request, file, "\"v1\""),
        _ => empty("302 Found", "location: /storage\r\n"),
    });
    let mut repository = open(&hub).await;
    let (_, file) = repository.files.remove(0);

    let got = tokio::task::spawn_blocking(move || {
        let mut out = vec![0; file.len() as usize];
        file.read_at(0, &mut out[..10]).unwrap();
        file.read_at(0, &mut out).unwrap();
        out
    });

    assert_eq!(got.await.unwrap(), bytes);
    let asked = hub.asked.lock().unwrap();
    let paths: Vec<_> = asked.iter().map(|request| request.path().rsplit('/').next().unwrap()).collect();
    assert_eq!(paths, ["model.safetensors", "storage", "storage", "model.safetensors", "storage"]);
}

#[tokio::test]
async fn a_file_name_that_climbs_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
        let record = br#"{"sha":"c","siblings":[{"rfilename":"../../etc/passwd","size":1}]}"#;
        stream.write_all(&whole("application/json", record)).unwrap();
    });
    let client = HubClient::new(&address, &Limits::default()).unwrap();

    let error = client.repository(&RepoId::parse("org/model").unwrap(), "main").await.unwrap_err();

    assert_eq!(error.code(), "hub_answer", "{error}");
}
