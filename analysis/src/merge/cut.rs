//! Tables of tokens with different numbers of rows, and their cut to the rows that all models have.

use std::{collections::BTreeMap, sync::Arc};

use weights::{TensorInfo, TensorSource, Vocabulary};

use super::{Inputs, MergeConfig, Tokens, is_table, table_rows};
use crate::computed::refused;

/// How many rows the tables of tokens have that go into a merge, where they are not equally many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnevenRows {
    /// By model, in the order of the recipe.
    pub rows: Vec<(String, u64)>,
    pub fewest: u64,
}

impl UnevenRows {
    /// Of the models whose tables the result has; none where they have equally many rows.
    pub fn of(config: &MergeConfig, inputs: &Inputs) -> Option<Self> {
        let rows = |label: String| {
            let rows = table_rows(&*inputs.get(&label)?.source)?;
            Some((label, rows))
        };
        let rows: Vec<(String, u64)> = config.table_refs().into_iter().filter_map(rows).collect();
        let fewest = rows.iter().map(|(_, rows)| *rows).min()?;
        rows.iter().any(|(_, rows)| *rows != fewest).then_some(Self { rows, fewest })
    }

    /// "3 rows in `o/a`, 5 in `o/b`"
    pub fn told(&self) -> String {
        let mut models: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (label, rows) in &self.rows {
            models.entry(*rows).or_default().push(format!("`{label}`"));
        }
        let mut told: Vec<String> =
            models.iter().map(|(rows, models)| format!("{rows} in {}", models.join(", "))).collect();
        if let Some(first) = told.first_mut() {
            *first = first.replacen(" in ", " rows in ", 1);
        }
        told.join(", ")
    }

    /// The first of the rows that all have which is not the same token in the tokenizers of all models.
    ///
    /// A model that `tokens` lacks is left out.
    pub fn difference(&self, tokens: &Tokens) -> Option<Difference> {
        let read = |(label, _): &(String, u64)| Some((label.clone(), Arc::clone(tokens.get(label)?)));
        let read: Vec<(String, Arc<Vocabulary>)> = self.rows.iter().filter_map(read).collect();
        let (first, others) = read.split_first()?;
        let below = |vocabulary: &Vocabulary| -> BTreeMap<u32, String> {
            let rows = vocabulary.rows().into_iter().filter(|(row, _)| u64::from(*row) < self.fewest);
            rows.map(|(row, token)| (row, token.to_owned())).collect()
        };
        let ours = below(&first.1);
        let differing = |(label, vocabulary): &(String, Arc<Vocabulary>)| {
            let theirs = below(vocabulary);
            let row =
                *ours.keys().chain(theirs.keys()).filter(|row| ours.get(row) != theirs.get(row)).min()?;
            let texts =
                [(first.0.clone(), ours.get(&row).cloned()), (label.clone(), theirs.get(&row).cloned())];
            Some(Difference { row, texts })
        };
        others.iter().filter_map(differing).min_by_key(|difference| difference.row)
    }

    /// `inputs` with their tables cut to the fewest rows, and the names of the tables of the models cut.
    pub fn cut(&self, inputs: &Inputs) -> (Inputs, Vec<String>) {
        let (mut cut, mut names) = (inputs.clone(), std::collections::BTreeSet::new());
        for (label, rows) in self.rows.iter().filter(|(_, rows)| *rows > self.fewest) {
            let Some(input) = cut.get_mut(label) else { continue };
            let tables = input.source.tensors().iter().filter(|info| is_cut(info, *rows));
            names.extend(tables.map(|info| info.name.clone()));
            input.source = Arc::new(Cut::new(Arc::clone(&input.source), (*rows, self.fewest)));
        }
        (cut, names.into_iter().collect())
    }
}

/// A row that is not the same token in two models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub row: u32,
    /// Model and token; none for a row without one.
    pub texts: [(String, Option<String>); 2],
}

impl Difference {
    /// "token 7 is `a` in `o/a` and `b` in `o/b`"
    pub fn told(&self) -> String {
        let [(a, ours), (b, theirs)] = &self.texts;
        let text = |text: &Option<String>| match text {
            Some(text) => {
                let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
                format!("`{shown}`")
            }
            None => "nothing".to_owned(),
        };
        format!("token {} is {} in `{a}` and {} in `{b}`", self.row, text(ours), text(theirs))
    }
}

fn is_cut(info: &TensorInfo, rows: u64) -> bool {
    is_table(&info.name) && info.dtype.is_float() && info.shape.first() == Some(&rows)
}

/// A checkpoint whose tables of tokens are cut to their first rows.
struct Cut {
    source: Arc<dyn TensorSource>,
    infos: Vec<TensorInfo>,
}

impl Cut {
    /// Those of `from` rows get `to`.
    fn new(source: Arc<dyn TensorSource>, (from, to): (u64, u64)) -> Self {
        let mut infos = source.tensors().to_vec();
        for info in infos.iter_mut().filter(|info| is_cut(info, from)) {
            info.shape[0] = to;
        }
        Self { source, infos }
    }

    /// Whether a range of a tensor is left.
    fn holds(&self, index: usize, end: Option<u64>, size: impl Fn(&TensorInfo) -> u64) -> bool {
        self.infos.get(index).zip(end).is_some_and(|(info, end)| end <= size(info))
    }
}

fn beyond() -> weights::Error {
    refused("a range past the rows that are left of a table was asked for".to_owned())
}

impl TensorSource for Cut {
    weights::forward!(source; ready, account, cautions, metadata);

    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        match self.holds(index, offset.checked_add(out.len() as u64), TensorInfo::bytes) {
            true => self.source.read_bytes(index, offset, out),
            false => Err(beyond()),
        }
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        match self.holds(index, start.checked_add(out.len() as u64), TensorInfo::elements) {
            true => self.source.read_f32(index, start, out),
            false => Err(beyond()),
        }
    }

    fn view(&self, index: usize, offset: u64, len: usize) -> Option<&[u8]> {
        let left = self.holds(index, offset.checked_add(len as u64), TensorInfo::bytes);
        self.source.view(index, offset, len).filter(|_| left)
    }

    fn read_unrounded(
        &self,
        index: usize,
        start: u64,
        out: &mut [f64],
    ) -> Option<Result<(), weights::Error>> {
        match self.holds(index, start.checked_add(out.len() as u64), TensorInfo::elements) {
            true => self.source.read_unrounded(index, start, out),
            false => Some(Err(beyond())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Telling, hears};

    #[test]
    fn what_a_model_says_is_heard_of_its_cut() {
        hears(&Cut::new(Telling::shared(), (2, 1)));
    }
}
