//! Records of a CSV file with a header line.

use std::{
    io::{self, BufRead},
    string::FromUtf8Error,
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{Broken, Opened, Raw, input::Source, shape::Shape, unread::Unread};
use crate::Error;

/// Records that are read again line by line before a file is taken as it is.
const READ_AGAIN: usize = 1_000;

/// Each line a record; positions are line numbers, so the first record stands at 2. Of one that runs over several lines
/// and has not the header's cells, only the first line is lost: a quote is missing there.
pub(super) fn rows(source: &Source<'_>) -> crate::Result<Opened> {
    let io = |error| Error::Io { path: source.label.to_owned(), source: error };
    let damaged = |reason: String| Error::Damaged { path: source.label.to_owned(), reason };
    let limits = *source.limits;
    let max = limits.row_bytes;
    let mut cutter = Cutter { reader: source.reader()?, again: io::Cursor::default(), max, line: 1 };
    let first = cutter.next().map_err(io)?.map_or_else(Vec::new, |cut| cut.text.unwrap_or_default());
    let header = fields(&first).map_err(|error| damaged(error.to_string()))?;
    let header: Vec<String> = header.iter().map(|column| column.trim().to_owned()).collect();
    let Some(shape) = Shape::of(header.iter().map(String::as_str)) else {
        return Err(source.not_a_dump(format!("the columns {}", header.join(", "))));
    };
    let unread = Unread::of(header.iter().filter(|column| !column.is_empty() && !shape.reads(column)));
    let header = Arc::new(header);
    let (mut failed, mut read_again, mut cut_off) = (false, 0, None);
    let rows = std::iter::from_fn(move || {
        if failed {
            return None;
        }
        if let Some(broken) = cut_off.take() {
            failed = true;
            return Some(Err(broken));
        }
        let fault = |position, reason| Raw { position, read: Box::new(|| Err(reason)) };
        match cutter.next() {
            Ok(None) => None,
            // A quote that is open at the end of the file ran over lines that may be rows.
            Ok(Some(Cut { line, text: Some(text), end, open }))
                if read_again < READ_AGAIN
                    && (runs_on(&text, header.len()) || open && text.contains(&b'\n')) =>
            {
                read_again += 1;
                let taken = cutter.take_back(line, &text, end);
                cut_off = taken.err().map(|error| unreadable(line, &error));
                let reason = "a quote is opened and not closed in its cell; the lines after this one are read on their own";
                Some(Ok(fault(line, reason.to_owned())))
            }
            Ok(Some(Cut { line, text: Some(text), end, open })) => {
                if end.is_none() && (open || is_short(&text, header.len())) {
                    let reason = "the file ends in the middle of a record".to_owned();
                    cut_off = Some(Broken { position: line, reason });
                }
                let header = Arc::clone(&header);
                let read = move || match fields(&text) {
                    Ok(_) if open => Err("a quote is opened and never closed".to_owned()),
                    Ok(record) => shape.entry(object(&header, record)?, &limits),
                    Err(error) => Err(format!("the line cannot be read: {error}")),
                };
                Some(Ok(Raw { position: line, read: Box::new(read) }))
            }
            Ok(Some(Cut { line, text: None, open, .. })) => {
                let lost = if open {
                    "; a quote is opened here and never closed, so that no later row is read"
                } else {
                    ""
                };
                Some(Ok(fault(line, format!("the record is longer than {max} bytes{lost}"))))
            }
            Err(error) => {
                failed = true;
                Some(Err(unreadable(cutter.line, &error)))
            }
        }
    });
    Ok(Opened { rows: Box::new(rows), unread })
}

fn unreadable(position: u64, error: &io::Error) -> Broken {
    Broken { position, reason: format!("the file cannot be read on: {error}") }
}

/// Whether a record has fewer cells than the header.
fn is_short(text: &[u8], columns: usize) -> bool {
    fields(text).map_or(true, |cells| cells.len() < columns)
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

/// Whether a record goes over several lines and is none of a table with so many columns.
fn runs_on(text: &[u8], columns: usize) -> bool {
    text.contains(&b'\n') && fields(text).map_or(true, |cells| check(columns, &cells).is_err())
}

/// Whether a record has the header's cells; empty ones at its end are none.
fn check(columns: usize, cells: &[String]) -> Result<(), String> {
    let filled = cells.len() - cells.iter().rev().take_while(|cell| cell.is_empty()).count();
    match filled <= columns && columns <= cells.len() {
        true => Ok(()),
        false => Err(format!("the row has {} cells, the header has {columns}", cells.len())),
    }
}

fn object(header: &[String], record: Vec<String>) -> Result<Map<String, Value>, String> {
    check(header.len(), &record)?;
    let cells = header.iter().cloned().zip(record).filter(|(_, cell)| !cell.trim().is_empty());
    Ok(cells.map(|(column, cell)| (column, Value::String(cell))).collect())
}

/// A record's text, `None` when it was too long to keep, and the line it begins on.
struct Cut {
    line: u64,
    text: Option<Vec<u8>>,
    /// The line end after it.
    end: Option<u8>,
    /// Whether the file ends inside its quotes.
    open: bool,
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
    /// What is read before the reader.
    again: io::Cursor<Vec<u8>>,
    max: usize,
    /// The line the reader stands on.
    line: u64,
}

impl Cutter {
    fn next(&mut self) -> io::Result<Option<Cut>> {
        let (mut text, mut long, mut place) = (Vec::new(), false, Place::Start);
        let mut begin = self.line;
        let mut end = None;
        loop {
            let kept = self.again.fill_buf()?;
            let is_kept = !kept.is_empty();
            let chunk = if is_kept { kept } else { self.reader.fill_buf()? };
            if chunk.is_empty() {
                break;
            }
            let mut used = 0;
            for &byte in chunk {
                used += 1;
                self.line += u64::from(byte == b'\n');
                if matches!(byte, b'\n' | b'\r') && place != Place::Quoted {
                    if long || !text.is_empty() {
                        end = Some(byte);
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
            if is_kept {
                self.again.consume(used);
            } else {
                self.reader.consume(used);
            }
            if end.is_some() {
                break;
            }
        }
        let any = long || !text.is_empty();
        let open = place == Place::Quoted;
        Ok(any.then(|| Cut { line: begin, text: (!long).then_some(text), end, open }))
    }

    /// Lets all but the first line of a record be read once more.
    fn take_back(&mut self, line: u64, text: &[u8], end: Option<u8>) -> io::Result<()> {
        let first = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
        let rest = [&text[first..], end.as_slice(), self.again.fill_buf()?].concat();
        self.again = io::Cursor::new(rest);
        self.line = line + 1;
        Ok(())
    }
}
