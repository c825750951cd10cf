//! Records of a CSV file with a header line.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use csv::{ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use super::{
    Raw, Rows,
    input::{Rationed, Source},
    shape::Shape,
};
use crate::{Error, Result};

/// Each line a record; positions are line numbers, so the first record stands at 2.
pub(super) fn rows(source: &Source<'_>) -> Result<Rows> {
    let ration = source.limits.row_bytes as u64 + (1 << 16);
    let left = Arc::new(AtomicU64::new(ration));
    let input = Rationed { inner: source.reader()?, left: Arc::clone(&left) };
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(input);
    let damaged =
        |error: csv::Error| Error::Damaged { path: source.label.to_owned(), reason: error.to_string() };
    let header: Vec<String> = reader
        .headers()
        .map_err(damaged)?
        .iter()
        .map(|column| column.trim_start_matches('\u{feff}').trim().to_owned())
        .collect();
    let Some(shape) = Shape::of(header.iter().map(String::as_str)) else {
        return Err(source.not_a_dump(format!("the columns {}", header.join(", "))));
    };
    let header = Arc::new(header);
    let (mut failed, mut last) = (false, 1);
    Ok(Box::new(std::iter::from_fn(move || {
        if failed {
            return None;
        }
        left.store(ration, Ordering::Relaxed);
        let mut record = StringRecord::new();
        match reader.read_record(&mut record) {
            Ok(false) => None,
            Ok(true) => {
                last = record.position().map_or(last + 1, csv::Position::line);
                let header = Arc::clone(&header);
                Some(Raw { position: last, read: Box::new(move || shape.entry(object(&header, &record))) })
            }
            Err(error) => {
                last = error.position().map_or(last + 1, csv::Position::line);
                failed = !matches!(error.kind(), csv::ErrorKind::Utf8 { .. });
                let reason = format!("the line cannot be read: {error}");
                Some(Raw { position: last, read: Box::new(|| Err(reason)) })
            }
        }
    })))
}

fn object(header: &[String], record: &StringRecord) -> Map<String, Value> {
    let cells = header.iter().zip(record.iter()).filter(|(_, cell)| !cell.trim().is_empty());
    cells.map(|(column, cell)| (column.clone(), Value::String(cell.to_owned()))).collect()
}
