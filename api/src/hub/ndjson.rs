//! A commit body read as it comes in: lines of JSON, whose file contents are decoded on the way and never held.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What the reader met.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Decoded bytes of the content of the present line.
    Content(Vec<u8>),
    /// The content of the present line is complete, be it empty.
    ContentEnd,
    /// A line, its content replaced by an empty string.
    Line(Vec<u8>),
}

/// What is wrong with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct BadBody(pub String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Text,
    Escape,
    Content,
    ContentEscape,
}

/// Reads NDJSON in parts of any length.
pub struct Reader {
    state: State,
    depth: usize,
    /// The line without its content.
    line: Vec<u8>,
    /// Where the string that is read, or was read last, starts in the line.
    start: usize,
    /// Whether the last thing but spaces was the key `content` and its colon.
    key_seen: Key,
    /// Base64 digits that do not make a group yet.
    digits: Vec<u8>,
    most: usize,
    lines: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    No,
    Content,
    Colon,
}

/// Digits decoded at once; a multiple of four.
const GROUP: usize = 1 << 16;

impl Reader {
    /// A reader that refuses lines longer than `most` bytes without their content.
    pub const fn new(most: usize) -> Self {
        Self {
            state: State::Outside,
            depth: 0,
            line: Vec::new(),
            start: 0,
            key_seen: Key::No,
            digits: Vec::new(),
            most,
            lines: 0,
        }
    }

    /// Reads the next part.
    ///
    /// # Errors
    /// A content that is not base64, or a line that is too long.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), BadBody> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.state == State::Content {
                let plain = rest.iter().position(|b| matches!(b, b'"' | b'\\')).unwrap_or(rest.len());
                self.digits.extend_from_slice(&rest[..plain]);
                rest = &rest[plain..];
                if self.digits.len() >= GROUP {
                    self.decode(events)?;
                }
                let Some((&byte, after)) = rest.split_first() else { break };
                rest = after;
                if byte == b'"' {
                    self.end_content(events)?;
                } else {
                    self.state = State::ContentEscape;
                }
                continue;
            }
            rest = after;
            self.step(byte, events)?;
        }
        Ok(())
    }

    /// The end of the body.
    ///
    /// # Errors
    /// When it ends within a line.
    pub fn finish(mut self, events: &mut Vec<Event>) -> Result<(), BadBody> {
        if self.state != State::Outside || self.depth > 0 {
            return Err(BadBody(format!("line {} of the commit ends too early", self.lines + 1)));
        }
        self.end_line(events);
        Ok(())
    }

    fn step(&mut self, byte: u8, events: &mut Vec<Event>) -> Result<(), BadBody> {
        match self.state {
            State::ContentEscape => {
                // `\/` is the one escape that base64 can need.
                self.digits.push(byte);
                self.state = State::Content;
                return Ok(());
            }
            State::Escape => self.state = State::Text,
            State::Text if byte == b'\\' => self.state = State::Escape,
            State::Text if byte == b'"' => {
                self.state = State::Outside;
                let is_key = self.depth == 2 && self.line[self.start..] == *b"\"content";
                self.key_seen = if is_key { Key::Content } else { Key::No };
            }
            State::Outside => match byte {
                b'\n' if self.depth == 0 => {
                    self.end_line(events);
                    return Ok(());
                }
                b'"' if self.key_seen == Key::Colon => {
                    self.line.extend_from_slice(b"\"\"");
                    self.key_seen = Key::No;
                    self.state = State::Content;
                    return Ok(());
                }
                b'"' => {
                    self.start = self.line.len();
                    self.state = State::Text;
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b':' if self.key_seen == Key::Content => self.key_seen = Key::Colon,
                byte if byte.is_ascii_whitespace() => {}
                _ => self.key_seen = Key::No,
            },
            State::Text | State::Content => {}
        }
        if self.line.len() >= self.most {
            return Err(BadBody(format!(
                "line {} of the commit is over {} bytes",
                self.lines + 1,
                self.most
            )));
        }
        self.line.push(byte);
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<Event>) {
        self.lines += 1;
        let line = std::mem::take(&mut self.line);
        if !line.iter().all(u8::is_ascii_whitespace) {
            events.push(Event::Line(line));
        }
        self.key_seen = Key::No;
    }

    fn end_content(&mut self, events: &mut Vec<Event>) -> Result<(), BadBody> {
        self.decode(events)?;
        if !self.digits.is_empty() {
            return Err(self.not_base64());
        }
        events.push(Event::ContentEnd);
        self.state = State::Outside;
        Ok(())
    }

    /// Decodes all whole groups at hand.
    fn decode(&mut self, events: &mut Vec<Event>) -> Result<(), BadBody> {
        let whole = self.digits.len() / 4 * 4;
        if whole > 0 {
            let bytes = STANDARD.decode(&self.digits[..whole]).map_err(|_| self.not_base64())?;
            self.digits.drain(..whole);
            events.push(Event::Content(bytes));
        }
        Ok(())
    }

    fn not_base64(&self) -> BadBody {
        BadBody(format!("the content in line {} of the commit is not base64", self.lines + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contents and lines of a body that comes in parts of `length` bytes.
    fn read(body: &str, length: usize) -> Result<(Vec<Vec<u8>>, Vec<String>), BadBody> {
        let (mut reader, mut events) = (Reader::new(200), Vec::new());
        for part in body.as_bytes().chunks(length) {
            reader.feed(part, &mut events)?;
        }
        reader.finish(&mut events)?;
        let (mut contents, mut lines, mut present) = (Vec::new(), Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Content(bytes) => present.extend(bytes),
                Event::ContentEnd => contents.push(std::mem::take(&mut present)),
                Event::Line(line) => lines.push(String::from_utf8(line).unwrap()),
            }
        }
        Ok((contents, lines))
    }

    #[test]
    fn contents_are_taken_out_whatever_the_parts_and_the_order_of_keys() {
        let body = concat!(
            r#"{"key":"header","value":{"summary":"say \"content\": no","description":""}}"#,
            "\n",
            r#"{"key":"file","value":{"content":"aGVsbG8\/","path":"a","encoding":"base64"}}"#,
            "\n\n",
            r#"{ "key" : "file" , "value" : { "path" : "b" , "content" : "" } }"#,
            "\n",
            r#"{"key":"lfsFile","value":{"path":"content","oid":"x"}}"#,
        );

        for length in [1, 2, 3, 7, 1000] {
            let (contents, lines) = read(body, length).unwrap();

            assert_eq!(contents, [STANDARD.decode("aGVsbG8/").unwrap(), Vec::new()], "parts of {length}");
            assert_eq!(lines.len(), 4);
            assert_eq!(lines[1], r#"{"key":"file","value":{"content":"","path":"a","encoding":"base64"}}"#);
            for line in lines {
                serde_json::from_str::<serde_json::Value>(&line).unwrap();
            }
        }
    }

    #[test]
    fn broken_bodies_are_refused_with_their_line() {
        for (body, word) in [
            ("{\"value\":{\"content\":\"%%%%\"}}", "base64"),
            ("{\"value\":{\"content\":\"abc\"}}", "base64"),
            ("{}\n{\"value\":{\"content\":\"ab", "line 2"),
            ("{\"value\":", "too early"),
        ] {
            assert!(read(body, 3).unwrap_err().0.contains(word), "{body}");
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(300));
        assert!(read(&long, 50).unwrap_err().0.contains("over 200 bytes"));
    }
}
