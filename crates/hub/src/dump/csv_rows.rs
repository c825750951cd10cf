//! Records of a CSV file with a header line.

use std::{
    io::{self, BufRead},
    string::FromUtf8Error,
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{Raw, Rows, input::Source, shape::Shape};
use crate::Error;

/// Each line a record; positions are line numbers, so the first record stands at 2.
pub(super) fn rows(source: &Source<'_>) -> crate::Result<Rows> {
    let io = |error| Error::Io { path: source.label.to_owned(), source: error };
    let damaged = |reason: String| Error::Damaged { path: source.label.to_owned(), reason };
    let limits = *source.limits;
    let max = limits.row_bytes;
    let mut cutter = Cutter { reader: source.reader()?, max, line: 1 };
    let first = cutter.next().map_err(io)?.map_or_else(Vec::new, |cut| cut.text.unwrap_or_default());
    let header = fields(&first).map_err(|error| damaged(error.to_string()))?;
    let header: Vec<String> = header.iter().map(|column| column.trim().to_owned()).collect();
    let Some(shape) = Shape::of(header.iter().map(String::as_str)) else {
        return Err(source.not_a_dump(format!("the columns {}", header.join(", "))));
    };
    let header = Arc::new(header);
    let mut failed = false;
    Ok(Box::new(std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let fault = |position, reason| Raw { position, read: Box::new(|| Err(reason)) };
        match cutter.next() {
            Ok(None) => None,
            Ok(Some(Cut { line, text: Some(text) })) => {
                let header = Arc::clone(&header);
                let read = move || match fields(&text) {
                    Ok(record) => shape.entry(object(&header, record), &limits),
                    Err(error) => Err(format!("the line cannot be read: {error}")),
                };
                Some(Raw { position: line, read: Box::new(read) })
            }
            Ok(Some(Cut { line, text: None })) => {
                Some(fault(line, format!("the record is longer than {max} bytes")))
            }
            Err(error) => {
                failed = true;
                Some(fault(cutter.line, format!("the file cannot be read on: {error}")))
            }
        }
    })))
}

/// The cells of one record.
fn fields(text: &[u8]) -> Result<Vec<String>, FromUtf8Error> {
    let (mut cells, mut cell, mut place) = (Vec::new(), Vec::new(), Place::Start);
    for &byte in text {
        match (place, byte) {
            (Place::Start | Place::Plain | Place::Quote, b',') => {
                cells.push(String::from_utf8(std::mem::take(&mut cell))?);
            }
            // The quotes around a cell; a doubled one inside arrives as `Quote` and is kept.
            (Place::Start | Place::Quoted, b'"') => {}
            _ => cell.push(byte),
        }
        place = place.after(byte);
    }
    cells.push(String::from_utf8(cell)?);
    Ok(cells)
}

fn object(header: &[String], record: Vec<String>) -> Map<String, Value> {
    let cells = header.iter().cloned().zip(record).filter(|(_, cell)| !cell.trim().is_empty());
    cells.map(|(column, cell)| (column, Value::String(cell))).collect()
}

/// A record's text, `None` when it was too long to keep, and the line it begins on.
struct Cut {
    line: u64,
    text: Option<Vec<u8>>,
}

/// Where in a record the cutter is; a line end inside quotes ends no record.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Before a field; a quote here opens a quoted one.
    Start,
    Plain,
    Quoted,
    /// After a quote inside quotes: the field's end, or half of a doubled quote.
    Quote,
}

impl Place {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Quoted, _) | (Self::Start | Self::Quote, b'"') => Self::Quoted,
            (_, b',') => Self::Start,
            _ => Self::Plain,
        }
    }
}

/// Cuts a file into records, so that one too long to keep costs no other.
struct Cutter {
    reader: Box<dyn BufRead + Send>,
    max: usize,
    /// The line the reader stands on.
    line: u64,
}

impl Cutter {
    fn next(&mut self) -> io::Result<Option<Cut>> {
        let (mut text, mut long, mut place) = (Vec::new(), false, Place::Start);
        let mut begin = self.line;
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            let (mut used, mut done) = (0, false);
            for &byte in chunk {
                used += 1;
                self.line += u64::from(byte == b'\n');
                if matches!(byte, b'\n' | b'\r') && place != Place::Quoted {
                    if long || !text.is_empty() {
                        done = true;
                        break;
                    }
                    begin = self.line;
                    continue;
                }
                place = place.after(byte);
                long |= text.len() >= self.max;
                if long {
                    text = Vec::new();
                } else {
                    text.push(byte);
                }
            }
            self.reader.consume(used);
            if done {
                break;
            }
        }
        let any = long || !text.is_empty();
        Ok(any.then(|| Cut { line: begin, text: (!long).then_some(text) }))
    }
}
