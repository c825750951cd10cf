//! Which token of one tokenizer is which of another: ordinary ones by their bytes, special ones by role or by text.

use std::collections::{BTreeMap, HashMap};

use weights::Tokenizer;

use super::{Side, bytes::Alphabet};

/// The texts of the tokens that have a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    pub eos: Option<String>,
    pub bos: Option<String>,
    pub unk: Option<String>,
    pub pad: Option<String>,
}

impl Roles {
    /// In the order in which a token of several roles is matched: above all a text has to end.
    fn all(&self) -> [&Option<String>; 4] {
        [&self.eos, &self.bos, &self.unk, &self.pad]
    }
}

/// A token of the donor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// The recipient's row.
    Shared(u32),
    /// The recipient has no such token.
    New,
    /// No token has this row.
    Nothing,
}

/// The tokens of a tokenizer by what they stand for.
struct Meanings<'a> {
    alphabet: Alphabet,
    /// Special tokens by text.
    special: HashMap<&'a str, u32>,
    /// Texts of other added tokens, which are written as they are.
    plain: HashMap<&'a str, u32>,
    tokenizer: &'a Tokenizer,
}

impl<'a> Meanings<'a> {
    fn of(tokenizer: &'a Tokenizer) -> Self {
        let (mut special, mut plain) = (HashMap::new(), HashMap::new());
        for token in tokenizer.added() {
            let Some(text) = token.get("content").and_then(serde_json::Value::as_str) else { continue };
            let Some(row) = tokenizer.vocabulary().row(text) else { continue };
            let is_special = token.get("special") == Some(&serde_json::Value::Bool(true));
            let texts = if is_special { &mut special } else { &mut plain };
            texts.insert(text, row);
        }
        Self { alphabet: Alphabet::of(tokenizer.document()), special, plain, tokenizer }
    }

    fn bytes(&self, token: &str) -> Vec<u8> {
        if self.plain.contains_key(token) { token.as_bytes().to_vec() } else { self.alphabet.bytes(token) }
    }

    /// Rows below `rows` of ordinary tokens, by their bytes; of several that stand for the same, one that is
    /// written as text, and of these the first.
    fn by_bytes(&self, rows: u64) -> HashMap<Vec<u8>, u32> {
        let mut tokens: Vec<(bool, u32, &str)> = self
            .tokenizer
            .vocabulary()
            .tokens()
            .filter(|(token, row)| u64::from(*row) < rows && !self.special.contains_key(token))
            .map(|(token, row)| (self.alphabet.is_fallback(token), row, token))
            .collect();
        tokens.sort_unstable();
        let mut found = HashMap::with_capacity(tokens.len());
        for (_, row, token) in tokens {
            found.entry(self.bytes(token)).or_insert(row);
        }
        found
    }
}

/// By row of the donor, what becomes of its token; `rows` are those of the recipient's tables.
pub(super) fn matched(recipient: &Side, donor: &Side, rows: u64) -> Vec<Match> {
    let (here, there) = (Meanings::of(&recipient.tokenizer), Meanings::of(&donor.tokenizer));
    let known = here.by_bytes(rows);
    let own = recipient.tokenizer.vocabulary();
    let in_table = |row: &u32| u64::from(*row) < rows;
    let mut roles: BTreeMap<&str, u32> = BTreeMap::new();
    for (theirs, ours) in donor.roles.all().into_iter().zip(recipient.roles.all()) {
        let row = ours.as_deref().and_then(|text| own.row(text)).filter(in_table);
        if let (Some(text), Some(row)) = (theirs, row) {
            roles.entry(text).or_insert(row);
        }
    }
    let mut found = vec![Match::Nothing; donor.tokenizer.vocabulary().next_row() as usize];
    for (row, token) in donor.tokenizer.vocabulary().rows() {
        let by_text = || match there.special.contains_key(token) {
            true => here.special.get(token).copied().filter(in_table),
            false => known.get(&there.bytes(token)).copied(),
        };
        found[row as usize] = match roles.get(token).copied().or_else(by_text) {
            Some(ours) => Match::Shared(ours),
            None => Match::New,
        };
    }
    found
}
