//! Embeddings and heads whose vocabularies differ: rows matched by token, each read where it stands.

use std::{collections::BTreeMap, sync::Arc};

use weights::{TensorInfo, TensorSource, Vocabulary};

use super::{Named, RowRule};

/// Rows of one token in several checkpoints, the reference first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// All of them, in place.
    Whole(RowRule),
    /// Row `rows[s][i]` of source `s` is that of the i-th token that all share.
    Rows(RowRule, Vec<Vec<u64>>),
}

/// One tensor's rows and tokenizer in one checkpoint.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) rows: u64,
    pub(super) tokens: Option<&'a Vocabulary>,
    pub(super) label: &'a str,
}

/// Matches the rows of one tensor in all `sides`, the reference first.
///
/// # Errors
/// Why they cannot be matched.
pub(super) fn match_rows(sides: &[Side<'_>]) -> Result<Match, String> {
    let Some((reference, others)) = sides.split_first() else { return Ok(Match::Whole(RowRule::Position)) };
    let in_place = others.iter().all(|other| other.rows == reference.rows);
    let unknown = sides.iter().find(|side| side.tokens.is_none());
    let (Some(own), None) = (reference.tokens, unknown) else {
        let label = unknown.map_or(reference.label, |side| side.label);
        return if in_place { Ok(Match::Whole(RowRule::Position)) } else { Err(unknown_tokens(label)) };
    };
    let known: Vec<&Vocabulary> = others.iter().filter_map(|other| other.tokens).collect();
    if in_place && known.iter().all(|tokens| !moved(own, tokens)) {
        return Ok(Match::Whole(RowRule::SameTokens));
    }
    let mut rows = vec![Vec::new(); sides.len()];
    let mut here = Vec::with_capacity(known.len());
    for (row, token) in own.rows().into_iter().take_while(|(row, _)| u64::from(*row) < reference.rows) {
        here.clear();
        let found = known
            .iter()
            .zip(others)
            .filter_map(|(tokens, other)| tokens.row(token).map(u64::from).filter(|row| *row < other.rows));
        here.extend(found);
        if here.len() == others.len() {
            rows[0].push(u64::from(row));
            rows[1..].iter_mut().zip(&here).for_each(|(rows, row)| rows.push(*row));
        }
    }
    if rows[0].is_empty() {
        return Err("the tokenizers share no token".into());
    }
    let prefix = rows.iter().all(|rows| rows.iter().zip(0..).all(|(row, at)| *row == at));
    Ok(Match::Rows(if prefix { RowRule::SharedPrefix } else { RowRule::Token }, rows))
}

/// Why rows are not matched.
pub(super) fn unknown_tokens(label: &str) -> String {
    format!("the tokenizer of `{label}` is not known, so its rows cannot be matched by token")
}

/// Whether a row of one vocabulary cannot be taken for the same row of the other: a token that both have stands
/// elsewhere, or they share less than half of their tokens.
pub fn moved(a: &Vocabulary, b: &Vocabulary) -> bool {
    if std::ptr::eq(a, b) || a == b {
        return false;
    }
    let rows = a.rows();
    let mut shared = 0;
    for (row, token) in &rows {
        match b.row(token) {
            Some(other) if other != *row => return true,
            Some(_) => shared += 1,
            None => {}
        }
    }
    shared * 2 < rows.len()
}

/// A checkpoint some of whose tensors are reduced to rows in an order of our own.
struct Reordered {
    source: Arc<dyn TensorSource>,
    infos: Vec<TensorInfo>,
    /// By position of the tensor.
    rows: BTreeMap<usize, Rows>,
}

struct Rows {
    /// First row here and first row there of every stretch that is consecutive in both.
    runs: Vec<(u64, u64)>,
    /// Elements of one row.
    width: u64,
    bytes_per_row: u64,
}

/// `model` with the tensors at these positions reduced to these rows.
pub(super) fn reordered(model: &Named, of: &BTreeMap<usize, Vec<u64>>) -> Named {
    if of.is_empty() {
        return model.clone();
    }
    let mut infos = model.source.tensors().to_vec();
    let mut rows = BTreeMap::new();
    for (&index, wanted) in of {
        let info = &mut infos[index];
        let width = info.shape.iter().skip(1).product();
        if let Some(axis) = info.shape.first_mut() {
            *axis = wanted.len() as u64;
        }
        rows.insert(index, Rows { runs: runs(wanted), width, bytes_per_row: width * info.dtype.bits() / 8 });
    }
    let source = Arc::new(Reordered { source: Arc::clone(&model.source), infos, rows });
    Named { source, ..model.clone() }
}

fn runs(rows: &[u64]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (at, &row) in (0..).zip(rows) {
        if runs.last().is_none_or(|(first, there)| there + (at - first) != row) {
            runs.push((at, row));
        }
    }
    runs
}

impl Rows {
    /// Calls `read` with every consecutive stretch of `len` units from `start`: where it begins in the tensor, and
    /// which part of the request it is. A row has `per_row` units.
    fn stretches<E>(
        &self,
        (start, len): (u64, usize),
        per_row: u64,
        mut read: impl FnMut(u64, std::ops::Range<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut done, per_row) = (0, per_row.max(1));
        while done < len {
            let at = start + done as u64;
            let run = self.runs.partition_point(|(first, _)| first * per_row <= at);
            let (first, there) = self.runs.get(run.saturating_sub(1)).copied().unwrap_or_default();
            let end = self.runs.get(run).map_or(u64::MAX, |(next, _)| next * per_row);
            let part = (end - at).min((len - done) as u64) as usize;
            read(there * per_row + (at - first * per_row), done..done + part)?;
            done += part;
        }
        Ok(())
    }

    /// Where a request of bytes begins in the tensor, if it lies in one stretch.
    fn in_place(&self, offset: u64, len: usize) -> Option<u64> {
        let mut begin = None;
        let one = self.stretches((offset, len), self.bytes_per_row, |from, part| {
            begin = Some(from);
            if part.len() == len { Ok(()) } else { Err(()) }
        });
        one.ok().and(begin)
    }
}

impl TensorSource for Reordered {
    weights::forward!(source; ready, account, cautions, metadata);

    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        let Some(rows) = self.rows.get(&index) else { return self.source.read_bytes(index, offset, out) };
        rows.stretches((offset, out.len()), rows.bytes_per_row, |from, part| {
            self.source.read_bytes(index, from, &mut out[part])
        })
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        let Some(rows) = self.rows.get(&index) else { return self.source.read_f32(index, start, out) };
        rows.stretches((start, out.len()), rows.width, |from, part| {
            self.source.read_f32(index, from, &mut out[part])
        })
    }

    fn view(&self, index: usize, offset: u64, len: usize) -> Option<&[u8]> {
        let offset = match self.rows.get(&index) {
            Some(rows) => rows.in_place(offset, len)?,
            None => offset,
        };
        self.source.view(index, offset, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Telling, hears};

    #[test]
    fn what_a_model_says_is_heard_where_its_rows_are_matched() {
        let model = Named { label: "a".to_owned(), source: Telling::shared(), tokens: None };

        hears(&*reordered(&model, &BTreeMap::from([(0, vec![1])])).source);
    }
}
