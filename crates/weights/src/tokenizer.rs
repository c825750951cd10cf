//! The tokens of a tokenizer and the row each has in an embedding: `tokenizer.json`, or `vocab.json` with
//! `added_tokens.json`. Nothing else of a tokenizer is read.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
};

use domain::Limits;
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::{
    Error, Result,
    json::{self, Document, Reason},
};

/// Tokens by text, each with its row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary(HashMap<String, u32>);

impl Vocabulary {
    /// The vocabulary of a `tokenizer.json`: that of its model (BPE, WordPiece, word level or unigram), then the
    /// added tokens.
    ///
    /// # Errors
    /// `file_too_large` above the limit; `not_utf8`, `duplicate_key`, `missing_field` or `invalid_json`.
    pub fn tokenizer_json(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let reason = Reason::default();
        let (tokens, added) =
            json::parse(&document(bytes, "tokenizer.json", limits)?, &reason, Top(&reason))?;
        let mut vocabulary = Self(tokens);
        for token in added {
            vocabulary.0.entry(token.content).or_insert(token.id);
        }
        Ok(vocabulary)
    }

    /// The vocabulary of a `vocab.json`, and of the `added_tokens.json` beside it.
    ///
    /// # Errors
    /// As [`Self::tokenizer_json`].
    pub fn vocab_json(bytes: &[u8], added: Option<&[u8]>, limits: &Limits) -> Result<Self> {
        let reason = Reason::default();
        let tokens = json::parse(&document(bytes, "vocab.json", limits)?, &reason, Tokens(&reason))?;
        let mut vocabulary = Self(tokens);
        if let Some(added) = added {
            let document = document(added, "added_tokens.json", limits)?;
            for (token, row) in json::parse(&document, &reason, Tokens(&reason))? {
                vocabulary.0.entry(token).or_insert(row);
            }
        }
        Ok(vocabulary)
    }

    /// The row of a token.
    pub fn row(&self, token: &str) -> Option<u32> {
        self.0.get(token).copied()
    }

    /// The row after the last one that has a token.
    pub fn next_row(&self) -> u32 {
        self.0.values().max().map_or(0, |row| row.saturating_add(1))
    }

    pub(crate) fn insert(&mut self, token: &str, row: u32) {
        self.0.insert(token.to_owned(), row);
    }

    /// Every token with its row, in no order.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(token, row)| (token.as_str(), *row))
    }

    /// One token of every row that has any, in the order of the rows.
    pub fn rows(&self) -> Vec<(u32, &str)> {
        let mut rows: Vec<(u32, &str)> = self.0.iter().map(|(token, row)| (*row, token.as_str())).collect();
        rows.sort_unstable();
        rows.dedup_by_key(|(row, _)| *row);
        rows
    }
}

impl<S: Into<String>> FromIterator<(S, u32)> for Vocabulary {
    fn from_iter<I: IntoIterator<Item = (S, u32)>>(tokens: I) -> Self {
        Self(tokens.into_iter().map(|(token, row)| (token.into(), row)).collect())
    }
}

fn document<'a>(bytes: &'a [u8], file: &'static str, limits: &Limits) -> Result<Document<'a>> {
    let (size, limit) = (bytes.len() as u64, limits.tokenizer_bytes);
    if size > limit {
        return Err(Error::TooLarge { file: file.to_owned(), size, limit });
    }
    Ok(Document { bytes, file, fallback: "invalid_json" })
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

/// All of a `tokenizer.json`: the tokens of its model, and those added.
struct Top<'r>(&'r Reason);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = (HashMap<String, u32>, Vec<Added>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = (HashMap<String, u32>, Vec<Added>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a model")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut model, mut added) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "model" => json::set_once(self.0, &mut model, &key, map.next_value_seed(Model(self.0))?)?,
                "added_tokens" => json::set_once(self.0, &mut added, &key, map.next_value()?)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((json::required(self.0, model, "model", "the tokenizer")?, added.unwrap_or_default()))
    }
}

struct Model<'r>(&'r Reason);

impl<'de> DeserializeSeed<'de> for Model<'_> {
    type Value = HashMap<String, u32>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Model<'_> {
    type Value = HashMap<String, u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a vocab")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut vocab = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "vocab" {
                json::set_once(self.0, &mut vocab, &key, map.next_value_seed(Tokens(self.0))?)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        json::required(self.0, vocab, "vocab", "the tokenizer's model")
    }
}

/// Tokens with their rows, or in the order of their rows with a score each.
struct Tokens<'r>(&'r Reason);

impl<'de> DeserializeSeed<'de> for Tokens<'_> {
    type Value = HashMap<String, u32>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tokens<'_> {
    type Value = HashMap<String, u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tokens with their rows, or a list of tokens with scores")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tokens = HashMap::new();
        while let Some((token, row)) = map.next_entry::<String, u32>()? {
            match tokens.entry(token) {
                Entry::Vacant(place) => {
                    place.insert(row);
                }
                Entry::Occupied(place) => return Err(json::repeated(self.0, place.key())),
            }
        }
        Ok(tokens)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut tokens = HashMap::new();
        let mut row = 0;
        while let Some((token, _)) = seq.next_element::<(String, f64)>()? {
            tokens.entry(token).or_insert(row);
            row += 1;
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use domain::Fault as _;

    use super::*;

    fn tokens(of: &[(&str, u32)]) -> Vocabulary {
        of.iter().copied().collect()
    }

    #[test]
    fn every_form_of_a_vocabulary_gives_its_tokens_their_rows() {
        let limits = Limits::default();
        let bpe = br#"{"version": "1.0", "added_tokens": [{"id": 2, "content": "</s>", "special": true}, {"id": 0, "content": "a"}],
            "model": {"type": "BPE", "merges": [["a", "b"]], "vocab": {"a": 0, "b\u0063": 1}}}"#;
        let unigram = br#"{"model": {"type": "Unigram", "vocab": [["a", -1.5], ["bc", 0]]}}"#;

        assert_eq!(
            Vocabulary::tokenizer_json(bpe, &limits).unwrap(),
            tokens(&[("a", 0), ("bc", 1), ("</s>", 2)])
        );
        assert_eq!(Vocabulary::tokenizer_json(unigram, &limits).unwrap(), tokens(&[("a", 0), ("bc", 1)]));
        let added = br#"{"</s>": 7}"#;
        let two = Vocabulary::vocab_json(br#"{"b": 1, "a": 0}"#, Some(added), &limits).unwrap();
        assert_eq!(two.rows(), [(0, "a"), (1, "b"), (7, "</s>")]);
        assert_eq!((two.row("b"), two.row("c")), (Some(1), None));
    }

    #[test]
    fn a_tokenizer_that_two_readers_would_read_differently_is_refused() {
        let limits = Limits { tokenizer_bytes: 100, ..Limits::default() };
        let long = format!(r#"{{"model": {{"vocab": {{"{}": 0}}}}}}"#, "a".repeat(100));

        for (text, code) in [
            (r#"{"model": {"vocab": {"a": 0, "b": 1, "a": 2}}}"#, "duplicate_key"),
            (r#"{"model": {}, "model": {}}"#, "missing_field"),
            (r#"{"added_tokens": []}"#, "missing_field"),
            (r#"{"model": {"vocab": {"a": -1}}}"#, "invalid_json"),
            (r#"[]"#, "invalid_json"),
            (&long, "file_too_large"),
        ] {
            let error = Vocabulary::tokenizer_json(text.as_bytes(), &limits).unwrap_err();
            assert_eq!(error.code(), code, "{text}: {error}");
        }
    }
}
