//! The bytes of a dump: counted, unpacked, bounded per record.

use std::{
    io::{self, BufRead, BufReader, Read, Seek as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::Limits;
use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A dump to open.
pub(super) struct Source<'a> {
    pub path: &'a Path,
    pub label: &'a str,
    pub read: &'a Arc<AtomicU64>,
    pub limits: &'a Limits,
}

impl Source<'_> {
    /// The unpacked bytes, without a byte order mark.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else than text of one byte a letter.
    pub fn reader(&self) -> Result<Box<dyn BufRead + Send>> {
        let mut reader = self.unpacked()?;
        let mut head = Vec::with_capacity(ZSTD.len());
        let read = reader.by_ref().take(ZSTD.len() as u64).read_to_end(&mut head);
        read.map_err(|source| Error::Io { path: self.label.to_owned(), source })?;
        let damaged =
            |reason: &str| Error::Damaged { path: self.label.to_owned(), reason: reason.to_owned() };
        // The first letter of a dump is of ASCII, whose other half in UTF-16 is zero.
        match head.as_slice() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [_, 0, ..] | [0, _, ..] => {
                return Err(damaged("it is UTF-16; write it as UTF-8, as `iconv -f UTF-16 -t UTF-8` does"));
            }
            b"PAR1" => return Err(damaged("it is a Parquet file; let its name end in .parquet")),
            _ => {}
        }
        if head.starts_with(&BOM) {
            head.drain(..BOM.len());
        }
        Ok(Box::new(io::Cursor::new(head).chain(reader)))
    }

    fn unpacked(&self) -> Result<Box<dyn BufRead + Send>> {
        let io = |source| Error::Io { path: self.label.to_owned(), source };
        let mut file = fs_err::File::open(self.path).map_err(io)?;
        let mut head = Vec::with_capacity(ZSTD.len());
        file.by_ref().take(ZSTD.len() as u64).read_to_end(&mut head).map_err(io)?;
        file.rewind().map_err(io)?;
        let counted = Counted { inner: file, read: Arc::clone(self.read) };
        // What it is says its beginning: names are changed when files are copied about.
        let buffered = 1 << 16;
        if head == ZSTD {
            return Ok(Box::new(BufReader::with_capacity(
                buffered,
                zstd::Decoder::new(counted).map_err(io)?,
            )));
        }
        if head.starts_with(&GZIP) {
            return Ok(Box::new(BufReader::with_capacity(buffered, MultiGzDecoder::new(counted))));
        }
        Ok(Box::new(BufReader::with_capacity(buffered, counted)))
    }

    /// The error for a file without metadata.
    pub fn not_a_dump(&self, found: impl Into<String>) -> Error {
        let found: String = found.into();
        let found = if found.is_empty() { "nothing".to_owned() } else { found.chars().take(300).collect() };
        Error::NotADump { path: self.label.to_owned(), found, wanted: super::shape::WANTED }
    }
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// One line of a text.
pub(super) enum Line {
    Text(Vec<u8>),
    /// The text's last line, with no line end after it.
    Last(Vec<u8>),
    TooLong,
}

/// Reads the next line without its end; an overlong one is passed over without being kept.
pub(super) fn next_line(reader: &mut dyn BufRead, max: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let (mut any, mut too_long, mut ended) = (false, false, false);
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        any = true;
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let (text, used) = end.map_or((chunk, chunk.len()), |at| (&chunk[..at], at + 1));
        if line.len() + text.len() > max {
            too_long = true;
            line = Vec::new();
        }
        if !too_long {
            line.extend_from_slice(text);
        }
        reader.consume(used);
        if end.is_some() {
            ended = true;
            break;
        }
    }
    Ok(match (any, too_long) {
        (false, _) => None,
        (true, true) => Some(Line::TooLong),
        (true, false) if ended => Some(Line::Text(line)),
        (true, false) => Some(Line::Last(line)),
    })
}
