//! What decoding a row group would take, counted before it is decoded.
//!
//! A few hundred bytes of Parquet may stand for gigabytes: a page may unpack to any size, a run of equal
//! levels may claim a billion list items in a row, and each item may repeat one long dictionary entry.

mod header;
mod levels;

use std::{fs::File, io::Read, os::unix::fs::FileExt as _};

use domain::Limits;
use parquet::{
    basic::{Compression, Encoding, Type as Physical},
    column::page::Page,
    errors::{ParquetError, Result},
    file::{metadata::ColumnChunkMetaData, reader::RowGroupReader},
};

use self::levels::Run;

/// How many bytes a codec packs into one at most, of those whose decoders ignore the size that a page's header names.
fn ratio(codec: Compression) -> Option<u64> {
    match codec {
        Compression::GZIP(_) => Some(1_032),
        Compression::BROTLI(_) => Some(u64::MAX),
        Compression::LZ4 => Some(255),
        _ => None,
    }
}

/// Refuses a row group whose pages or rows would unpack to more than the limits; `wanted` tells the columns
/// that will be decoded by their top-level names.
pub(super) fn check(
    file: &File,
    group: &dyn RowGroupReader,
    wanted: impl Fn(&str) -> bool,
    limits: &Limits,
) -> Result<()> {
    let mut pages = 0;
    for (index, column) in group.metadata().columns().iter().enumerate() {
        if !column.column_path().parts().first().is_some_and(|name| wanted(name)) {
            continue;
        }
        pages += largest_page(file, column, limits.dump_page_bytes)?;
        if pages > limits.dump_page_bytes {
            return Err(too_much(format!(
                "the pages of its columns unpack to {pages} bytes at a time; at most {} are accepted",
                limits.dump_page_bytes
            )));
        }
        if column.column_descr().max_rep_level() > 0 {
            check_rows(group, index, limits)?;
        }
    }
    Ok(())
}

fn too_much(what: String) -> ParquetError {
    ParquetError::General(format!("{what}; write smaller pages and rows"))
}

/// The unpacked size of a column's dictionary and of its largest page, which are held together.
fn largest_page(file: &File, column: &ColumnChunkMetaData, max: u64) -> Result<u64> {
    let (start, length) = column.byte_range();
    let (mut at, end) = (start, start.saturating_add(length));
    let (mut dictionary, mut data) = (0, 0);
    while at < end {
        let page = header::read(Window { file, at, left: end - at })?;
        at += page.header_bytes;
        let mut size = page.unpacked_bytes.max(page.packed_bytes);
        let codec = column.compression();
        let may_lie = ratio(codec).is_some_and(|ratio| page.packed_bytes.saturating_mul(ratio) > max);
        if may_lie && size <= max {
            size = size.max(unpacked(codec, Window { file, at, left: page.packed_bytes }, max)?);
        }
        let kept = if page.is_dictionary { &mut dictionary } else { &mut data };
        *kept = size.max(*kept);
        at += page.packed_bytes;
    }
    Ok(dictionary + data)
}

/// The unpacked size, counted no further than just above `max`.
fn unpacked(codec: Compression, packed: Window<'_>, max: u64) -> Result<u64> {
    match codec {
        Compression::BROTLI(_) => counted(brotli_decompressor::Decompressor::new(packed, 1 << 16), max),
        // What is no frame of its own is read as Hadoop's, which keeps to the size it is given.
        Compression::LZ4 => Ok(counted(lz4_flex::frame::FrameDecoder::new(packed), max).unwrap_or_default()),
        _ => counted(flate2::read::MultiGzDecoder::new(packed), max),
    }
}

fn counted(mut unpacked: impl Read, max: u64) -> Result<u64> {
    let (mut buffer, mut size) = (vec![0; 1 << 16], 0);
    while size <= max {
        match unpacked.read(&mut buffer)? {
            0 => break,
            n => size += n as u64,
        }
    }
    Ok(size)
}

/// Counts the items of each row of a list column and the longest each may be.
fn check_rows(group: &dyn RowGroupReader, index: usize, limits: &Limits) -> Result<()> {
    let chunk = group.metadata().column(index);
    let descriptor = chunk.column_descr();
    let mut run = Run::new(descriptor.max_rep_level());
    let mut longest = 8;
    for page in group.get_column_page_reader(index)? {
        let page = page?;
        let values = u64::from(page.num_values());
        match &page {
            Page::DictionaryPage { buf, .. } if descriptor.physical_type() == Physical::BYTE_ARRAY => {
                longest = longest.max(longest_entry(buf));
            }
            Page::DictionaryPage { .. } => {}
            Page::DataPage { buf, rep_level_encoding, .. } => match buf.split_at_checked(4) {
                Some((length, rest)) if *rep_level_encoding == Encoding::RLE => {
                    let length = length.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
                    run.read(rest.get(..length).unwrap_or(rest), values);
                }
                _ => run.extend(values),
            },
            Page::DataPageV2 { buf, rep_levels_byte_len, .. } => {
                run.read(buf.get(..*rep_levels_byte_len as usize).unwrap_or(buf), values);
            }
        }
        // Front-coded texts may each repeat all of the page.
        if page.encoding() == Encoding::DELTA_BYTE_ARRAY {
            longest = longest.max(page.buffer().len() as u64);
        }
        let (items, most) = (run.longest(), limits.dump_row_values);
        if items > most {
            let name = chunk.column_path().string();
            return Err(too_much(format!(
                "a row holds {items} items of `{name}`; at most {most} are accepted"
            )));
        }
        if items.saturating_mul(longest) > limits.dump_page_bytes {
            return Err(too_much(format!(
                "a row may hold {items} items of `{}` with {longest} bytes each; at most {} bytes are accepted",
                chunk.column_path().string(),
                limits.dump_page_bytes
            )));
        }
    }
    Ok(())
}

/// The longest of the texts of a dictionary: each stands after its length.
fn longest_entry(mut entries: &[u8]) -> u64 {
    let mut longest = 0;
    while let Some((length, rest)) = entries.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length);
        longest = longest.max(u64::from(length));
        entries = rest.get(length as usize..).unwrap_or_default();
    }
    longest
}

/// A part of a file, read by position.
struct Window<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.file.read_at(&mut buffer[..room], self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use parquet::basic::{BrotliLevel, Compression, GzipLevel};

    use super::{Window, unpacked};

    /// A mebibyte of zeros.
    const ZEROS_IN_BROTLI: [u8; 13] = [91, 255, 255, 15, 64, 2, 32, 30, 11, 36, 247, 254, 1];

    #[test]
    fn packed_bytes_are_counted_and_not_kept() {
        let plain = vec![0; 1 << 20];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).unwrap();
        for (codec, packed) in [
            (Compression::GZIP(GzipLevel::default()), gzip.finish().unwrap()),
            (Compression::LZ4, lz4.finish().unwrap()),
            (Compression::BROTLI(BrotliLevel::default()), ZEROS_IN_BROTLI.to_vec()),
        ] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&packed).unwrap();
            let window = || Window { file: &file, at: 0, left: packed.len() as u64 };

            assert_eq!(unpacked(codec, window(), 1 << 30).unwrap(), 1 << 20, "{codec:?}");
            assert!((1_001..1 << 17).contains(&unpacked(codec, window(), 1_000).unwrap()), "{codec:?}");
        }
    }
}
