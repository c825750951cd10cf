//! Rows of embeddings and heads by the fine-tune's tokens; a token that a base lacks has a row of zeros there.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use weights::{TensorSource, Vocabulary};

use crate::{computed::read_f64, kinship::Named};

/// How the rows of one tensor were matched by token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlignedRows {
    pub tensor: String,
    /// Rows of the result.
    pub rows: u64,
    /// Of these, rows that the target base has.
    pub in_target_base: u64,
    /// Of these, rows that the source base has.
    pub in_source_base: u64,
}

/// Stands for a row that is not there.
const NONE: u32 = u32::MAX;

/// A tensor of one model, read in the rows of the result.
pub(super) struct Place {
    pub(super) index: usize,
    /// By row of the result; none where the rows are the model's own.
    pub(super) rows: Option<Arc<Vec<u32>>>,
    /// Elements of a row.
    pub(super) width: u64,
}

impl Place {
    pub(super) fn whole(index: usize) -> Self {
        Self { index, rows: None, width: 1 }
    }

    /// Reads elements `start..start + out.len()` of the result's layout.
    pub(super) fn read(
        &self,
        source: &dyn TensorSource,
        start: u64,
        out: &mut [f64],
    ) -> Result<(), weights::Error> {
        let Some(rows) = self.rows.as_deref() else { return read_f64(source, self.index, start, out) };
        let width = self.width.max(1);
        let mut done = 0;
        while done < out.len() {
            let at = start + done as u64;
            let (row, within) = (at / width, at % width);
            let from = rows.get(row as usize).copied().unwrap_or(NONE);
            // Rows that follow each other here and there are read at once.
            let follows = |step: &u64| {
                let next = rows.get((row + step) as usize).copied().unwrap_or(NONE);
                if from == NONE { next == NONE } else { u64::from(next) == u64::from(from) + step }
            };
            let left = (out.len() - done) as u64;
            let most = (within + left).div_ceil(width);
            let run = 1 + (1..most).take_while(follows).count() as u64;
            let len = (run * width - within).min(left) as usize;
            let part = &mut out[done..done + len];
            match from {
                NONE => part.fill(0.0),
                from => read_f64(source, self.index, u64::from(from) * width + within, part)?,
            }
            done += len;
        }
        Ok(())
    }

    /// Rows of the result that the model has.
    pub(super) fn held(&self) -> u64 {
        self.rows.as_deref().map_or(0, |rows| rows.iter().filter(|row| **row != NONE).count() as u64)
    }
}

/// One model's rows of a tensor.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) model: &'a Named,
    pub(super) rows: u64,
}

/// The rows of the bases in the order of the tuned model's; `None` when all stand where the tuned model's do.
///
/// # Errors
/// Why they cannot be matched.
pub(super) fn align<const N: usize>(
    tuned: Side<'_>,
    bases: [Side<'_>; N],
) -> Result<Option<[Arc<Vec<u32>>; N]>, String> {
    let same_count = bases.iter().all(|base| base.rows == tuned.rows);
    let unknown = std::iter::once(&tuned).chain(&bases).find(|side| side.model.tokens.is_none());
    let Some(own) = tuned.model.tokens.as_deref().filter(|_| unknown.is_none()) else {
        let label = unknown.map_or("", |side| &side.model.label);
        return if same_count {
            Ok(None)
        } else {
            Err(format!("the tokenizer of `{label}` is not known, so rows cannot be matched by token"))
        };
    };
    let own: Vec<(u32, &str)> =
        own.rows().into_iter().take_while(|(row, _)| u64::from(*row) < tuned.rows).collect();
    let known = bases.map(|base| base.model.tokens.as_deref().map(|tokens| (tokens, base.rows)));
    let in_place = |(tokens, rows): &(&Vocabulary, u64)| {
        own.iter().all(|(row, token)| tokens.row(token) == Some(*row) && u64::from(*row) < *rows)
    };
    if same_count && known.iter().flatten().all(in_place) {
        return Ok(None);
    }
    let found = known.map(|known| {
        Arc::new(known.map_or_else(Vec::new, |(tokens, rows)| matched((&own, tuned.rows), tokens, rows)))
    });
    match found.iter().any(|rows| rows.iter().all(|row| *row == NONE)) {
        true => Err("the tokenizers share no token".to_owned()),
        false => Ok(Some(found)),
    }
}

/// The row of another model for each row of the tuned one: that of its token; without a token, the same row where
/// the other has none for it either.
fn matched((own, count): (&[(u32, &str)], u64), tokens: &Vocabulary, rows: u64) -> Vec<u32> {
    let taken: BTreeSet<u32> = tokens.rows().into_iter().map(|(row, _)| row).collect();
    let spare = |row: u32| if u64::from(row) < rows && !taken.contains(&row) { row } else { NONE };
    let mut found: Vec<u32> = (0..count).map(|row| spare(row as u32)).collect();
    for (row, token) in own {
        let there = tokens.row(token).filter(|there| u64::from(*there) < rows);
        if let Some(place) = found.get_mut(*row as usize) {
            *place = there.unwrap_or(NONE);
        }
    }
    found
}
