//! A proxy before a server that spoils what it answers for one file.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Result;

/// What is done to the answers for the file; `n` counts them from 0.
pub type Spoil = fn(n: usize, answer: Answer) -> Answer;

/// An answer as it goes over the wire.
pub struct Answer {
    /// Status line and headers, without the empty line that ends them.
    pub head: String,
    pub body: Vec<u8>,
    /// The body goes out in pieces with a pause before each.
    pub pause: Duration,
}

impl Answer {
    /// An answer of this status, these header lines and no body.
    pub fn empty(status: &str, headers: &str) -> Self {
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\nconnection: close");
        Self { head, body: Vec::new(), pause: Duration::ZERO }
    }

    /// The same with the value of one header replaced.
    #[must_use]
    pub fn with(mut self, name: &str, change: impl Fn(&str) -> String) -> Self {
        let lines = self.head.split("\r\n").map(|line| match line.split_once(": ") {
            Some((found, value)) if found.eq_ignore_ascii_case(name) => format!("{found}: {}", change(value)),
            _ => line.to_owned(),
        });
        self.head = lines.collect::<Vec<_>>().join("\r\n");
        self
    }
}

/// Passes requests on to a server, one connection each; stops spoiling when it is healed.
pub struct Proxy {
    address: String,
    state: Arc<Mutex<State>>,
}

struct State {
    spoil: Option<Spoil>,
    asked: Vec<String>,
}

impl Proxy {
    /// A proxy before `origin` (`http://host:port`) that spoils the answers for paths that end in `file`.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(origin: &str, (file, spoil): (&'static str, Spoil)) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(State { spoil: Some(spoil), asked: Vec::new() }));
        let origin = origin.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (origin, state) = (origin.clone(), Arc::clone(&shared));
                // A client that hangs up in the middle is one of the faults, not one of the test.
                thread::spawn(move || pass(client, &origin, (file, &state)));
            }
        });
        Ok(Self { address, state })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Passes everything on as it is from here on.
    pub fn heal(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).spoil = None;
    }

    /// The heads of the requests for the file, in lower case.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }
}

fn pass(mut client: TcpStream, origin: &str, (file, state): (&str, &Mutex<State>)) -> Result<()> {
    let lines = BufReader::new(client.try_clone()?).lines();
    let lines: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let spoil = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        let number = state.asked.len();
        let ours = path.ends_with(file);
        if ours {
            state.asked.push(lines.join("\n").to_lowercase());
        }
        state.spoil.filter(|_| ours).map(|spoil| (number, spoil))
    };
    let mut server = TcpStream::connect(origin)?;
    server.write_all(format!("{}\r\nconnection: close\r\n\r\n", lines.join("\r\n")).as_bytes())?;
    let mut all = Vec::new();
    server.read_to_end(&mut all)?;
    let Some((number, spoil)) = spoil else { return Ok(client.write_all(&all)?) };
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(all.len());
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let body = all.get(end + 4..).unwrap_or_default().to_vec();
    let answer = spoil(number, Answer { head, body, pause: Duration::ZERO });
    client.write_all(format!("{}\r\n\r\n", answer.head).as_bytes())?;
    for piece in answer.body.chunks(1 << 16) {
        thread::sleep(answer.pause);
        client.write_all(piece)?;
    }
    Ok(())
}
