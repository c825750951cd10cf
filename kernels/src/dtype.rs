//! Number formats as safetensors names them.

use std::fmt;

/// A storage format of one tensor element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dtype {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F4,
    F6E2M3,
    F6E3M2,
    F8E4M3,
    F8E5M2,
    F8E8M0,
    F16,
    Bf16,
    F32,
    F64,
    C64,
    /// A format this program does not know: kept and copied, never computed with.
    Opaque(Opaque),
}

/// A number format known only by the word a header names it with, and the bytes one tensor takes in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opaque {
    /// ASCII, filled up with zeros.
    word: [u8; Opaque::LONGEST],
    bytes: u64,
}

impl Opaque {
    /// Longest word, bytes.
    pub const LONGEST: usize = 24;

    fn new(name: &str, bytes: u64) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || name.len() > Self::LONGEST || !name.bytes().all(plain) {
            return None;
        }
        let mut word = [0; Self::LONGEST];
        word[..name.len()].copy_from_slice(name.as_bytes());
        Some(Self { word, bytes })
    }

    fn name(&self) -> &str {
        let end = self.word.iter().position(|&byte| byte == 0).unwrap_or(Self::LONGEST);
        std::str::from_utf8(&self.word[..end]).unwrap_or("?")
    }
}

/// Every known dtype with its safetensors name and width in bits.
const TABLE: [(Dtype, &str, u64); 20] = [
    (Dtype::Bool, "BOOL", 8),
    (Dtype::U8, "U8", 8),
    (Dtype::I8, "I8", 8),
    (Dtype::U16, "U16", 16),
    (Dtype::I16, "I16", 16),
    (Dtype::U32, "U32", 32),
    (Dtype::I32, "I32", 32),
    (Dtype::U64, "U64", 64),
    (Dtype::I64, "I64", 64),
    (Dtype::F4, "F4", 4),
    (Dtype::F6E2M3, "F6_E2M3", 6),
    (Dtype::F6E3M2, "F6_E3M2", 6),
    (Dtype::F8E4M3, "F8_E4M3", 8),
    (Dtype::F8E5M2, "F8_E5M2", 8),
    (Dtype::F8E8M0, "F8_E8M0", 8),
    (Dtype::F16, "F16", 16),
    (Dtype::Bf16, "BF16", 16),
    (Dtype::F32, "F32", 32),
    (Dtype::F64, "F64", 64),
    (Dtype::C64, "C64", 64),
];

impl Dtype {
    /// The dtype of a safetensors header word.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// The dtype of a header word that [`Self::from_name`] does not know, for a tensor of `bytes` bytes; `None` when
    /// it cannot be a dtype: 1 to [`Opaque::LONGEST`] ASCII letters, digits and `_` are.
    pub fn opaque(name: &str, bytes: u64) -> Option<Self> {
        Opaque::new(name, bytes).map(Self::Opaque)
    }

    /// The safetensors header word, e.g. `BF16`.
    pub fn name(&self) -> &str {
        match self {
            Self::Opaque(opaque) => opaque.name(),
            known => TABLE.iter().find(|row| row.0 == *known).map_or("?", |row| row.1),
        }
    }

    /// Width of one element in bits; 8 where it is not known.
    pub fn bits(self) -> u64 {
        TABLE.iter().find(|row| row.0 == self).map_or(8, |row| row.2)
    }

    /// Bytes that a tensor of `elements` elements takes.
    pub fn bytes(self, elements: u64) -> u64 {
        match self {
            Self::Opaque(opaque) => opaque.bytes,
            known => (elements * known.bits()).div_ceil(8),
        }
    }

    /// Whether the kernels can read and write it as numbers (f8, f16, bf16, f32, f64).
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F8E4M3 | Self::F8E5M2 | Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
