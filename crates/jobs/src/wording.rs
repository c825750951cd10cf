//! The vocabularies of two models side by side: which tokens they share, and in which rows.

use std::sync::Arc;

use store::ModelRow;
use weights::Vocabulary;

use crate::{
    Error, Registry,
    tokens::{Tokenizers, among},
};

/// Tokens named as examples.
const NAMED: usize = 20;

/// Two vocabularies in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wording {
    /// Tokens of each.
    pub tokens: [usize; 2],
    /// Tokens of both in the same row.
    pub same: usize,
    /// Tokens of both in different rows.
    pub moved: usize,
    /// Tokens that only one has, by row: how many, and the first of them.
    pub only: [(usize, Vec<String>); 2],
}

/// Compares the vocabularies of two stored models; none where one of them has no tokenizer that can be read.
///
/// # Errors
/// When the database cannot be read.
pub async fn wording(registry: &Registry, models: [&ModelRow; 2]) -> Result<Option<Wording>, Error> {
    let mut tokens = Tokenizers::new(registry);
    let mut read: Vec<Arc<Vocabulary>> = Vec::new();
    for model in models {
        let Some(revision) = model.revision else { return Ok(None) };
        let files = among(registry.store.files(revision).await?);
        let Some(vocabulary) = tokens.of(&files).await else { return Ok(None) };
        read.push(vocabulary);
    }
    Ok(tokio::task::spawn_blocking(move || compared(&read[0], &read[1])).await.map(Some)?)
}

fn compared(a: &Vocabulary, b: &Vocabulary) -> Wording {
    let mut wording = Wording::default();
    for (place, this, that) in [(0, a, b), (1, b, a)] {
        let rows = this.rows();
        wording.tokens[place] = rows.len();
        for (row, token) in rows {
            match that.row(token) {
                None => {
                    wording.only[place].0 += 1;
                    if wording.only[place].1.len() < NAMED {
                        wording.only[place].1.push(token.chars().take(40).collect());
                    }
                }
                Some(other) if place == 0 && other == row => wording.same += 1,
                Some(_) if place == 0 => wording.moved += 1,
                Some(_) => {}
            }
        }
    }
    wording
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_the_same_moved_or_of_one_alone() {
        let a: Vocabulary = [("a", 0), ("b", 1), ("c", 2)].into_iter().collect();
        let b: Vocabulary = [("a", 0), ("c", 1), ("d", 2), ("e", 3)].into_iter().collect();

        let wording = compared(&a, &b);

        assert_eq!((wording.tokens, wording.same, wording.moved), ([3, 4], 1, 1));
        assert_eq!(wording.only[0], (1, vec!["b".to_owned()]));
        assert_eq!(wording.only[1], (2, vec!["d".to_owned(), "e".to_owned()]));
    }
}
