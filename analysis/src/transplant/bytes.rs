//! What a token stands for as bytes, whichever way its tokenizer writes them.

use std::sync::LazyLock;

use serde_json::Value;

/// How a tokenizer writes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// A printable character a byte, as GPT-2 has them.
    ByteLevel,
    /// Text with `▁` for a space, and `<0x0A>` for a byte.
    Pieces,
    /// Text as it is.
    Text,
}

/// The byte of every character of the byte-level alphabet: printable ones stand for themselves, the others follow
/// from U+0100 on.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = vec![0; 0x100 + 68];
    let mut next = 0x100;
    for byte in 0..=255_u8 {
        let place = if printable(byte) { usize::from(byte) } else { next };
        next += usize::from(!printable(byte));
        bytes[place] = byte;
    }
    bytes
});

/// The byte that a character of the byte-level alphabet stands for.
fn byte_of(letter: char) -> Option<u8> {
    let place = u32::from(letter) as usize;
    let byte = *BYTES.get(place)?;
    (place >= 0x100 || usize::from(byte) == place && printable(byte)).then_some(byte)
}

const fn printable(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF)
}

impl Alphabet {
    /// The alphabet of a tokenizer.json.
    pub(super) fn of(document: &Value) -> Self {
        let parts = ["pre_tokenizer", "decoder", "normalizer"].map(|part| &document[part]);
        let any = |wanted: &dyn Fn(&Value) -> bool| parts.iter().any(|part| found(part, wanted));
        let kind = |name: &'static str| move |node: &Value| node["type"] == name;
        if any(&kind("ByteLevel")) {
            Self::ByteLevel
        } else if any(&kind("Metaspace")) || any(&kind("ByteFallback")) || any(&|node| node["content"] == "▁")
        {
            Self::Pieces
        } else {
            Self::Text
        }
    }

    /// The bytes of an ordinary token.
    pub(super) fn bytes(self, token: &str) -> Vec<u8> {
        match self {
            Self::Text => token.as_bytes().to_vec(),
            // A token outside the alphabet was written by hand, as text.
            Self::ByteLevel => token
                .chars()
                .map(byte_of)
                .collect::<Option<Vec<u8>>>()
                .unwrap_or_else(|| token.as_bytes().to_vec()),
            Self::Pieces => match fallback(token) {
                Some(byte) => vec![byte],
                None => token.replace('▁', " ").into_bytes(),
            },
        }
    }

    /// Whether a token stands for one byte that another token may stand for as well.
    pub(super) fn is_fallback(self, token: &str) -> bool {
        self == Self::Pieces && fallback(token).is_some()
    }
}

/// The byte of `<0x0A>`.
fn fallback(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (hex.len() == 2).then(|| u8::from_str_radix(hex, 16).ok()).flatten()
}

/// Whether a part of a document, or a part of it, is wanted.
pub(super) fn found(node: &Value, wanted: &dyn Fn(&Value) -> bool) -> bool {
    match node {
        Value::Object(fields) => wanted(node) || fields.values().any(|inner| found(inner, wanted)),
        Value::Array(items) => items.iter().any(|inner| found(inner, wanted)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_text_has_the_same_bytes_in_every_alphabet() {
        let umlaut = " schön".as_bytes();

        assert_eq!(Alphabet::ByteLevel.bytes("ĠschÃ¶n"), umlaut);
        assert_eq!(Alphabet::Pieces.bytes("▁schön"), umlaut);
        assert_eq!(Alphabet::Text.bytes(" schön"), umlaut);
        assert_eq!([Alphabet::ByteLevel.bytes("Ċ"), Alphabet::Pieces.bytes("<0x0A>")], [b"\n", b"\n"]);
        assert_eq!(Alphabet::ByteLevel.bytes("Ā"), [0]);
        assert_eq!(Alphabet::ByteLevel.bytes("日"), "日".as_bytes());
    }

    #[test]
    fn every_byte_has_one_letter() {
        let letters: Vec<char> =
            (0..0x144).filter_map(char::from_u32).filter(|c| byte_of(*c).is_some()).collect();

        let mut bytes: Vec<u8> = letters.iter().filter_map(|letter| byte_of(*letter)).collect();
        bytes.sort_unstable();

        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
    }

    #[test]
    fn the_alphabet_is_told_by_the_steps_of_the_tokenizer() {
        let of = |document| Alphabet::of(&document);

        let nested = json!({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}]}});
        assert_eq!(of(nested), Alphabet::ByteLevel);
        assert_eq!(of(json!({"decoder": {"type": "Metaspace"}})), Alphabet::Pieces);
        let replaced = json!({"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}});
        assert_eq!(of(replaced), Alphabet::Pieces);
        assert_eq!(of(json!({"pre_tokenizer": {"type": "Whitespace"}})), Alphabet::Text);
    }
}
