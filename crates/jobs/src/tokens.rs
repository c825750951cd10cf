//! The tokens of operands, by which kinship matches the rows of embeddings and heads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use analysis::kinship::{Tokens, tokens_moved};
use domain::files::TOKENIZER;
use store::FileRow;
use weights::Vocabulary;

use crate::{
    Error, Registry,
    operand::{Companion, CompanionFrom},
};

const VOCAB: &str = "vocab.json";
const ADDED: &str = "added_tokens.json";

/// Pairs of tokenizers remembered; a pair costs two digests.
const REMEMBERED: usize = 10_000;

/// Which tokenizers give tokens other rows than which others; kept, since parsing them takes longer than an answer.
#[derive(Clone, Default)]
pub struct MovedTokens(Arc<Mutex<BTreeMap<(String, String), bool>>>);

impl MovedTokens {
    fn known(&self, pair: &(String, String)) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(pair).copied()
    }

    fn remember(&self, pair: (String, String), moved: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(pair, moved);
    }
}

/// Reads the tokenizers of one question, each once, and no more of them than the limit allows.
pub struct Tokenizers<'r> {
    registry: &'r Registry,
    read: BTreeMap<String, Option<Arc<Vocabulary>>>,
    bytes_left: u64,
}

impl<'r> Tokenizers<'r> {
    pub fn new(registry: &'r Registry) -> Self {
        let bytes_left = registry.limits.tokenizer_bytes.saturating_mul(8);
        Self { registry, read: BTreeMap::new(), bytes_left }
    }

    /// The tokens of a model with these files; none when there is no tokenizer that can be read.
    pub async fn of(&mut self, files: &[Companion]) -> Option<Arc<Vocabulary>> {
        let key = key(files)?;
        if let Some(known) = self.read.get(&key) {
            return known.clone();
        }
        let vocabulary = match self.parse(files).await {
            Ok(vocabulary) => vocabulary.map(Arc::new),
            Err(error) => {
                tracing::info!("a tokenizer is not used: {error}");
                None
            }
        };
        self.read.insert(key, vocabulary.clone());
        vocabulary
    }

    /// How the rows of a model with the files `other` lie to those of one with the files `base`.
    pub async fn relation(&mut self, base: &[Companion], other: &[Companion]) -> Result<Tokens, Error> {
        let told = |moved| if moved { Tokens::Moved } else { Tokens::Same };
        let (Some(a), Some(b)) = (key(base), key(other)) else { return Ok(Tokens::Unknown) };
        let pair = (a, b);
        if pair.0 == pair.1 {
            return Ok(Tokens::Same);
        }
        let lasting = [&pair.0, &pair.1].iter().all(|key| !key.contains(FILE));
        if let Some(known) = self.registry.moved.known(&pair).filter(|_| lasting) {
            return Ok(told(known));
        }
        let (Some(a), Some(b)) = (self.of(base).await, self.of(other).await) else {
            return Ok(Tokens::Unknown);
        };
        let moved = tokio::task::spawn_blocking(move || tokens_moved(&a, &b)).await?;
        if lasting {
            self.registry.moved.remember(pair, moved);
        }
        Ok(told(moved))
    }

    async fn parse(&mut self, files: &[Companion]) -> Result<Option<Vocabulary>, Error> {
        let limits = self.registry.limits;
        if let Some(text) = self.text(files, TOKENIZER).await? {
            return parsed(move || Vocabulary::tokenizer_json(text.as_bytes(), &limits)).await;
        }
        let Some(text) = self.text(files, VOCAB).await? else { return Ok(None) };
        let added = self.text(files, ADDED).await?;
        let added = move || added.as_ref().map(|text| text.as_bytes().to_vec());
        parsed(move || Vocabulary::vocab_json(text.as_bytes(), added().as_deref(), &limits)).await
    }

    async fn text(&mut self, files: &[Companion], name: &str) -> Result<Option<String>, Error> {
        let Some(file) = files.iter().find(|file| file.path == name) else { return Ok(None) };
        let most = self.bytes_left.min(self.registry.limits.tokenizer_bytes);
        let text = file.text(self.registry, most).await?;
        self.bytes_left = self.bytes_left.saturating_sub(text.len() as u64);
        Ok(Some(text))
    }
}

async fn parsed(
    parse: impl FnOnce() -> weights::Result<Vocabulary> + Send + 'static,
) -> Result<Option<Vocabulary>, Error> {
    Ok(Some(tokio::task::spawn_blocking(parse).await??))
}

/// Marks the name of a file on this machine or on a Hub, whose content may change.
const FILE: &str = "file:";

/// Names what a vocabulary is read from; none when there is nothing to read.
pub(crate) fn key(files: &[Companion]) -> Option<String> {
    let one = |name: &str| {
        files.iter().find(|file| file.path == name).map(|file| match &file.from {
            CompanionFrom::Blob(digest, _) => digest.to_string(),
            CompanionFrom::Text(text) => domain::Digest::of(text.as_bytes()).to_string(),
            CompanionFrom::File(at) => format!("{FILE}{}", at.display()),
            CompanionFrom::Hub(file) => format!("{FILE}{}", file.url()),
        })
    };
    one(TOKENIZER).or_else(|| Some(format!("{}+{}", one(VOCAB)?, one(ADDED).unwrap_or_default())))
}

/// The tokenizer files among those of a revision.
pub fn among(files: Vec<FileRow>) -> Vec<Companion> {
    let wanted = |file: &FileRow| [TOKENIZER, VOCAB, ADDED].contains(&file.path.as_str());
    files
        .into_iter()
        .filter(wanted)
        .map(|file| Companion { path: file.path, from: CompanionFrom::Blob(file.digest, file.size) })
        .collect()
}
