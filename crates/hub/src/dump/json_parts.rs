//! A JSON document cut into its parts as it is read: never more of it is held than one part.

use std::io::{self, BufRead};

/// Why the document cannot be read on.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Shape(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Io(error) => format!("the file cannot be read on: {error}"),
            Fault::Shape(reason) => reason,
        }
    }
}

type Result<T> = std::result::Result<T, Fault>;

/// The text of one value.
pub(super) enum Part {
    Text(Vec<u8>),
    /// It was passed over.
    TooLong,
}

impl Part {
    /// The value of a part that is a string of JSON.
    pub fn string(&self) -> Option<String> {
        match self {
            Self::Text(text) => serde_json::from_slice(text).ok(),
            Self::TooLong => None,
        }
    }
}

/// Values, keys and marks of a document, in its order.
pub(super) struct Parts<R> {
    reader: R,
    max: usize,
    /// Inside a list that is an item of the list being read.
    nested: bool,
}

impl<R: BufRead> Parts<R> {
    /// Parts longer than `max` bytes are passed over.
    pub fn new(reader: R, max: usize) -> Self {
        Self { reader, max, nested: false }
    }

    /// The first byte of what comes next; `None` at the end.
    pub fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let chunk = self.reader.fill_buf()?;
            let blank = chunk.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let (found, end) = (chunk.get(blank).copied(), chunk.is_empty());
            self.reader.consume(blank);
            if found.is_some() || end {
                return Ok(found);
            }
        }
    }

    /// As [`Self::peek`] inside a list or an object.
    fn inside(&mut self) -> Result<u8> {
        self.peek()?.ok_or_else(|| Fault::Shape("the document ends too early".to_owned()))
    }

    /// Passes one mark.
    pub fn mark(&mut self, wanted: u8) -> Result<()> {
        let found = self.inside()?;
        if found != wanted {
            return Err(unexpected(found));
        }
        self.reader.consume(1);
        Ok(())
    }

    /// The next value or key.
    pub fn part(&mut self) -> Result<Part> {
        let first = self.inside()?;
        let (mut text, mut long, mut scan) = (Vec::new(), false, Scan::default());
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                if scan.open() {
                    return Err(Fault::Shape("the document ends too early".to_owned()));
                }
                break;
            }
            let (used, done) = scan.feed(chunk);
            long |= text.len() + used > self.max;
            if long {
                text = Vec::new();
            } else {
                text.extend_from_slice(&chunk[..used]);
            }
            self.reader.consume(used);
            if done {
                break;
            }
        }
        match (long, text.is_empty()) {
            (true, _) => Ok(Part::TooLong),
            (false, true) => Err(unexpected(first)),
            (false, false) => Ok(Part::Text(text)),
        }
    }

    /// Passes one value.
    pub fn pass(&mut self) -> Result<()> {
        self.part().map(drop)
    }

    /// The next key of an object that was entered, its colon passed; `None` at the end of the object.
    pub fn key(&mut self) -> Result<Option<Part>> {
        match self.inside()? {
            b'}' => {
                self.mark(b'}')?;
                Ok(None)
            }
            b'"' => {
                let key = self.part()?;
                self.mark(b':')?;
                Ok(Some(key))
            }
            other => Err(unexpected(other)),
        }
    }

    /// Passes the comma after a value, if one is due before `close`.
    pub fn separator(&mut self, close: u8) -> Result<()> {
        if self.inside()? == close { Ok(()) } else { self.mark(b',') }
    }

    /// The next item of a list that was entered; a list inside it is opened, a list inside that is not.
    pub fn item(&mut self) -> Result<Option<Part>> {
        loop {
            match (self.inside()?, self.nested) {
                (b']', false) => {
                    self.mark(b']')?;
                    return Ok(None);
                }
                (b']', true) => {
                    self.mark(b']')?;
                    self.nested = false;
                    self.separator(b']')?;
                }
                (b'[', false) => {
                    self.mark(b'[')?;
                    self.nested = true;
                }
                _ => {
                    let part = self.part()?;
                    self.separator(b']')?;
                    return Ok(Some(part));
                }
            }
        }
    }
}

fn unexpected(found: u8) -> Fault {
    Fault::Shape(format!("`{}` stands where it cannot in JSON", char::from(found).escape_default()))
}

/// Finds the end of one value by its brackets and quotes; whether it is JSON is its reader's question.
#[derive(Default)]
struct Scan {
    depth: u64,
    quoted: bool,
    escaped: bool,
}

impl Scan {
    /// Whether the value needs more bytes.
    fn open(&self) -> bool {
        self.depth > 0 || self.quoted
    }

    /// How many bytes belong to the value, and whether it ends there.
    fn feed(&mut self, chunk: &[u8]) -> (usize, bool) {
        for (at, &byte) in chunk.iter().enumerate() {
            if self.quoted {
                match (self.escaped, byte) {
                    (true, _) => self.escaped = false,
                    (false, b'\\') => self.escaped = true,
                    (false, b'"') => self.quoted = false,
                    _ => continue,
                }
                if !self.open() {
                    return (at + 1, true);
                }
                continue;
            }
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 0 => return (at, true),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (at + 1, true);
                    }
                }
                b',' | b':' if self.depth == 0 => return (at, true),
                byte if self.depth == 0 && byte.is_ascii_whitespace() => return (at, true),
                _ => {}
            }
        }
        (chunk.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::{Part, Parts};

    fn parts(text: &str, max: usize) -> Parts<BufReader<&[u8]>> {
        Parts::new(BufReader::with_capacity(3, text.as_bytes()), max)
    }

    fn items(text: &str) -> Result<Vec<String>, String> {
        let (mut parts, mut found) = (parts(text, 20), Vec::new());
        parts.mark(b'[')?;
        while let Some(part) = parts.item()? {
            found.push(match part {
                Part::Text(text) => String::from_utf8(text).unwrap(),
                Part::TooLong => "long".to_owned(),
            });
        }
        Ok(found)
    }

    #[test]
    fn items_are_cut_whatever_stands_in_their_strings() {
        let text = r#" [ {"a]": [1, "\"}"]} , 2,["x", [3]], [], "ä,", "0123456789abcdefghijklmn", null ] "#;

        let found = items(text).unwrap();

        assert_eq!(found, [r#"{"a]": [1, "\"}"]}"#, "2", r#""x""#, "[3]", "\"ä,\"", "long", "null"]);
    }

    #[test]
    fn what_is_no_list_is_an_error_that_names_the_place() {
        for text in ["[", "[1", "[1 2]", "[,1]", "[1,}", "[\"a", "[[1]", "[{]", "{}"] {
            assert!(items(text).is_err(), "{text}");
        }
        assert!(items("[1 2]").unwrap_err().contains("`2`"));
    }
}
