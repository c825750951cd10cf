//! Records of JSON Lines and of single JSON documents.

use std::{io::BufRead, sync::atomic::Ordering};

use domain::{Limits, Metadata, RepoId};
use serde_json::{Map, Value};

use super::{
    Broken, Entry, Opened, Raw,
    input::{Line, Source, next_line},
    json_parts::{Fault, Part, Parts},
    shape::{Shape, entry_of},
    unread::Unread,
};
use crate::{Error, Result};

/// One object a line.
pub(super) fn lines(source: &Source<'_>) -> Result<Opened> {
    let mut reader = source.reader()?;
    let limits = *source.limits;
    let max = limits.row_bytes;
    let io = |error| Error::Io { path: source.label.to_owned(), source: error };
    let mut position = 0;
    let mut pending = None;
    // The first record that can be read decides whether this is a dump at all.
    while let Some(line) = next_line(&mut reader, max).map_err(io)? {
        position += 1;
        if let Line::Text(bytes) | Line::Last(bytes) = &line {
            if blank(bytes) {
                continue;
            }
            if is_document(bytes) {
                return document(source);
            }
            if let Ok(value) = value(bytes)
                && let Some(object) = value.as_object()
                && Shape::of(object.keys().map(String::as_str)).is_none()
            {
                return Err(source.not_a_dump(keys(object)));
            }
        }
        pending = Some(line);
        break;
    }
    if position == 0 {
        return Err(source.not_a_dump("an empty file"));
    }
    let unread = Unread::default();
    let gathered = unread.clone();
    let mut broken = None;
    let mut ended = false;
    let rows = std::iter::from_fn(move || {
        loop {
            if let Some(broken) = broken.take() {
                ended = true;
                return Some(Err(broken));
            }
            if ended {
                return None;
            }
            let line = match pending.take() {
                Some(line) => Ok(Some(line)),
                None => {
                    position += 1;
                    next_line(&mut reader, max)
                }
            };
            return match line {
                Ok(None) => None,
                Ok(Some(Line::Text(bytes) | Line::Last(bytes))) if blank(&bytes) => continue,
                Ok(Some(Line::Text(bytes))) => Some(Ok(line_row(position, bytes, (limits, &gathered)))),
                Ok(Some(Line::Last(bytes))) => {
                    if value(&bytes).is_err_and(|error| error.is_eof()) {
                        let reason = "the file ends in the middle of a record".to_owned();
                        broken = Some(Broken { position, reason });
                    }
                    Some(Ok(line_row(position, bytes, (limits, &gathered))))
                }
                Ok(Some(Line::TooLong)) => Some(Ok(too_long(position, max))),
                Err(error) => {
                    let reason = format!("the file cannot be read on: {error}");
                    broken = Some(Broken { position, reason });
                    continue;
                }
            };
        }
    });
    Ok(Opened { rows: Box::new(rows), unread })
}

/// What a document is, found on a first walk over it.
enum Form {
    /// A list of records, of ids, or of clusters of them.
    List,
    /// An object with such a list in `models`.
    Models,
    /// An object with ids and what they resolve to in `resolutions`.
    Resolutions,
    /// Records, or lists of them, one after the other.
    Records,
}

/// A list of records, a single record, a map of resolved ids, or records and lists of them one after the other.
pub(super) fn document(source: &Source<'_>) -> Result<Opened> {
    let fault = |fault| match fault {
        Fault::Io(error) => Error::Io { path: source.label.to_owned(), source: error },
        Fault::Shape(reason) => Error::Damaged { path: source.label.to_owned(), reason },
    };
    let open = || Ok::<_, Error>(Parts::new(source.reader()?, source.limits.row_bytes));
    let form = form(&mut open()?).map_err(fault)?;
    source.read.store(0, Ordering::Relaxed);
    let mut records = Records { parts: open()?, form, in_page: false };
    records.enter().map_err(fault)?;
    let first = records.next().map_err(fault)?;
    if !matches!(records.form, Form::Resolutions) {
        match &first {
            None => return Err(source.not_a_dump("an empty document")),
            Some(Record { value: Part::Text(text), .. }) => {
                let value = value(text);
                let reason = |error: serde_json::Error| fault(Fault::Shape(error.to_string()));
                check_first(source, &value.map_err(reason)?)?;
            }
            Some(_) => {}
        }
    }
    Ok(rows(records, first, *source.limits))
}

/// Walks over a whole document once, which also finds what is cut off or badly nested; of a list the rows before that
/// are read all the same.
fn form(parts: &mut Parts<Box<dyn BufRead + Send>>) -> std::result::Result<Form, Fault> {
    let (mut resolutions, mut models, mut id) = (false, false, false);
    let found = match parts.peek()? {
        None => return Ok(Form::Records),
        Some(b'[') => {
            parts.mark(b'[')?;
            loop {
                match parts.item() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return Ok(Form::List),
                }
            }
            Form::List
        }
        Some(b'{') => {
            parts.mark(b'{')?;
            while let Some(key) = parts.key()? {
                let first = parts.peek()?;
                match key.string().as_deref() {
                    Some("resolutions") => resolutions = first == Some(b'{'),
                    Some("models") => models = first == Some(b'['),
                    Some("id") => id = true,
                    _ => {}
                }
                parts.pass()?;
                parts.separator(b'}')?;
            }
            match (resolutions, models && !id) {
                (true, _) => Form::Resolutions,
                (false, true) => Form::Models,
                (false, false) => Form::Records,
            }
        }
        Some(_) => {
            parts.pass()?;
            Form::Records
        }
    };
    let mut alone = true;
    while parts.peek()?.is_some() {
        alone = false;
        match (parts.pass(), &found) {
            (Err(_), Form::List | Form::Records) => break,
            (passed, _) => passed?,
        }
    }
    Ok(if alone { found } else { Form::Records })
}

/// A record not parsed yet; `key` is the id it stands under.
struct Record {
    key: Option<Part>,
    value: Part,
}

struct Records {
    parts: Parts<Box<dyn BufRead + Send>>,
    form: Form,
    /// Inside a list of records that stands among others.
    in_page: bool,
}

impl Records {
    /// Goes to where the records begin.
    fn enter(&mut self) -> std::result::Result<(), Fault> {
        let (name, open) = match self.form {
            Form::Records => return Ok(()),
            Form::List => return self.parts.mark(b'['),
            Form::Models => ("models", b'['),
            Form::Resolutions => ("resolutions", b'{'),
        };
        self.parts.mark(b'{')?;
        while let Some(key) = self.parts.key()? {
            if key.string().as_deref() == Some(name) && self.parts.peek()? == Some(open) {
                return self.parts.mark(open);
            }
            self.parts.pass()?;
            self.parts.separator(b'}')?;
        }
        Ok(())
    }

    /// The next of records one after the other, those in lists among them.
    fn record_or_item(&mut self) -> std::result::Result<Option<Part>, Fault> {
        loop {
            if self.in_page {
                match self.parts.item()? {
                    Some(item) => return Ok(Some(item)),
                    None => self.in_page = false,
                }
            }
            match self.parts.peek()? {
                None => return Ok(None),
                Some(b'[') => {
                    self.parts.mark(b'[')?;
                    self.in_page = true;
                }
                Some(_) => return self.parts.part().map(Some),
            }
        }
    }

    fn next(&mut self) -> std::result::Result<Option<Record>, Fault> {
        let plain = |value| Record { key: None, value };
        match self.form {
            Form::List | Form::Models => Ok(self.parts.item()?.map(plain)),
            Form::Records => self.record_or_item().map(|value| value.map(plain)),
            Form::Resolutions => {
                let Some(key) = self.parts.key()? else { return Ok(None) };
                let value = self.parts.part()?;
                self.parts.separator(b'}')?;
                Ok(Some(Record { key: Some(key), value }))
            }
        }
    }
}

fn rows(mut records: Records, first: Option<Record>, limits: Limits) -> Opened {
    let mut ahead = Some(Ok(first));
    let records = std::iter::from_fn(move || match ahead.take().unwrap_or_else(|| records.next()) {
        Ok(None) => {
            ahead = Some(Ok(None));
            None
        }
        Ok(Some(record)) => Some(Ok(record)),
        Err(fault) => {
            ahead = Some(Ok(None));
            Some(Err(fault))
        }
    });
    let unread = Unread::default();
    let gathered = unread.clone();
    let rows = records.zip(1..).map(move |(record, position)| match record {
        Ok(record) => {
            let unread = gathered.clone();
            Ok(Raw { position, read: Box::new(move || record_entry(record, &limits, &unread)) })
        }
        Err(fault) => Err(Broken { position, reason: fault.into() }),
    });
    Opened { rows: Box::new(rows), unread }
}

fn record_entry(record: Record, limits: &Limits, unread: &Unread) -> std::result::Result<Entry, String> {
    let Part::Text(text) = record.value else {
        return Err(format!("the record is longer than {} bytes", limits.row_bytes));
    };
    let value = value(&text).map_err(|error| format!("the record is not JSON: {error}"))?;
    match record.key {
        None => entry_of(value, limits, unread),
        Some(key) => resolved(&key.string().ok_or("the id is not JSON")?, &value),
    }
}

fn check_first(source: &Source<'_>, value: &Value) -> Result<()> {
    match value {
        Value::Object(first) if Shape::of(first.keys().map(String::as_str)).is_none() => {
            Err(source.not_a_dump(keys(first)))
        }
        Value::Object(_) => Ok(()),
        Value::String(text) if RepoId::parse(text.trim()).is_ok() => Ok(()),
        other => Err(source.not_a_dump(crate::metadata::kind(other))),
    }
}

/// `{ "id as written": { "fixed_hf_model_id": "present id" or null } }`
fn resolved(from: &str, record: &Value) -> std::result::Result<Entry, String> {
    let target = ["fixed_hf_model_id", "resolved_hf_id"].iter().find_map(|key| record.get(*key)?.as_str());
    let Some(to) = target.or(record.as_str()) else {
        return Err(format!("`{}` resolves to no model", from.chars().take(120).collect::<String>()));
    };
    let [from, to] = [from, to].map(|text| RepoId::parse(text.trim()));
    let (from, to) = (from.map_err(|error| error.to_string())?, to.map_err(|error| error.to_string())?);
    // One key is one repository: then the record only says that it exists.
    if from.key() == to.key() { Ok(Entry::Model(Metadata::named(to))) } else { Ok(Entry::Alias { from, to }) }
}

/// Parses a record; Python's `NaN` and infinities become null.
fn value(text: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(text).or_else(|error| match std::str::from_utf8(text) {
        Ok(text) => serde_json::from_str(&domain::json::without_bare_tokens(text)),
        Err(_) => Err(error),
    })
}

fn line_row(position: u64, bytes: Vec<u8>, (limits, unread): (Limits, &Unread)) -> Raw {
    let unread = unread.clone();
    let read = move || {
        let value = value(&bytes).map_err(|error| format!("the line is not JSON: {error}"))?;
        entry_of(value, &limits, &unread)
    };
    Raw { position, read: Box::new(read) }
}

/// Whether a first line begins one document that goes on: a list, or a record that is written over several lines.
fn is_document(first: &[u8]) -> bool {
    let first = first.trim_ascii();
    first == b"{" || first.starts_with(b"[") && value(first).map_or(true, |list| holds_records(&list))
}

fn holds_records(list: &Value) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(Value::is_object))
}

fn too_long(position: u64, max: usize) -> Raw {
    fault(position, format!("the line is longer than {max} bytes"))
}

fn fault(position: u64, reason: String) -> Raw {
    Raw { position, read: Box::new(|| Err(reason)) }
}

fn blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

fn keys(object: &Map<String, Value>) -> String {
    format!("the fields {}", object.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
}
