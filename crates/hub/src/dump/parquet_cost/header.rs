//! Page headers in Thrift's compact protocol, as far as their sizes go; the `parquet` crate keeps those to
//! itself. Reference: `PageHeader` in parquet.thrift, and Thrift's compact protocol specification.

use std::io::{BufReader, Read};

use parquet::errors::{ParquetError, Result};

/// Deepest nesting of a header; real ones have three levels.
const DEPTH: u32 = 16;
/// Longest header; statistics may hold long texts.
const HEADER_BYTES: u64 = 16 << 20;

/// What a header says about its page.
pub(super) struct PageHeader {
    pub header_bytes: u64,
    pub is_dictionary: bool,
    pub unpacked_bytes: u64,
    pub packed_bytes: u64,
}

/// Reads the header at the beginning of `input`.
pub(super) fn read(input: impl Read) -> Result<PageHeader> {
    let mut thrift = Thrift { input: BufReader::with_capacity(512, input.take(HEADER_BYTES)), read: 0 };
    let (mut kind, mut unpacked, mut packed) = (None, None, None);
    let mut last = 0;
    while let Some((field, form)) = thrift.field(last)? {
        match (field, form) {
            (1, 5) => kind = Some(thrift.number()?),
            (2, 5) => unpacked = Some(thrift.size()?),
            (3, 5) => packed = Some(thrift.size()?),
            _ => thrift.skip(form, 0)?,
        }
        last = field;
    }
    match (kind, unpacked, packed) {
        (Some(kind), Some(unpacked_bytes), Some(packed_bytes)) => Ok(PageHeader {
            header_bytes: thrift.read,
            is_dictionary: kind == 2,
            unpacked_bytes,
            packed_bytes,
        }),
        _ => Err(broken()),
    }
}

fn broken() -> ParquetError {
    ParquetError::General("a page header cannot be read".to_owned())
}

struct Thrift<R> {
    input: R,
    read: u64,
}

impl<R: Read> Thrift<R> {
    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte).map_err(|_| broken())?;
        self.read += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken())
    }

    fn number(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn size(&mut self) -> Result<u64> {
        u64::try_from(self.number()?).map_err(|_| broken())
    }

    /// The id and form of the next field; `None` at the end of the struct.
    fn field(&mut self, last: i64) -> Result<Option<(i64, u8)>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        let id = match byte >> 4 {
            0 => self.number()?,
            step => last.saturating_add(i64::from(step)),
        };
        Ok(Some((id, byte & 0x0f)))
    }

    fn skip(&mut self, form: u8, depth: u32) -> Result<()> {
        if depth > DEPTH {
            return Err(broken());
        }
        match form {
            1 | 2 => {}
            3 => self.pass(1)?,
            4..=6 => {
                self.varint()?;
            }
            7 => self.pass(8)?,
            8 => {
                let length = self.varint()?;
                self.pass(length)?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                for _ in 0..count {
                    self.element(head & 0x0f, depth)?;
                }
            }
            11 => {
                let count = self.varint()?;
                let forms = if count > 0 { self.byte()? } else { 0 };
                for _ in 0..count {
                    self.element(forms >> 4, depth)?;
                    self.element(forms & 0x0f, depth)?;
                }
            }
            12 => {
                let mut last = 0;
                while let Some((field, form)) = self.field(last)? {
                    self.skip(form, depth + 1)?;
                    last = field;
                }
            }
            _ => return Err(broken()),
        }
        Ok(())
    }

    /// Inside a collection a truth value takes a byte; in a field it is the form itself.
    fn element(&mut self, form: u8, depth: u32) -> Result<()> {
        if matches!(form, 1 | 2) { self.pass(1) } else { self.skip(form, depth + 1) }
    }

    fn pass(&mut self, count: u64) -> Result<()> {
        let passed = std::io::copy(&mut (&mut self.input).take(count), &mut std::io::sink())?;
        self.read += passed;
        if passed == count { Ok(()) } else { Err(broken()) }
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn sizes_are_read_and_the_rest_is_passed_over() {
        // type 0, unpacked 300, packed 10, crc as i32, data_page_header { 7, statistics { "ab" } }.
        let bytes = [
            0x15, 0, 0x15, 0xd8, 4, 0x15, 20, 0x15, 9, 0x1c, 0x15, 14, 0x4c, 0x18, 2, b'a', b'b', 0, 0, 0, 99,
        ];

        let page = read(&bytes[..]).unwrap();

        assert_eq!((page.header_bytes, page.unpacked_bytes, page.packed_bytes), (20, 300, 10));
        assert!(!page.is_dictionary);
    }

    #[test]
    fn nonsense_is_an_error_and_no_endless_walk() {
        for bytes in [&[][..], &[0], &[0x15], &[0xff; 40], &[0x1c; 64], &[0x19, 0xf1, 0xff, 0xff, 0xff, 0x7f]]
        {
            assert!(read(bytes).is_err());
        }
    }
}
