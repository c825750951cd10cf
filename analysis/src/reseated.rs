//! A checkpoint whose tables of tokens have other rows: own ones in another order, sums of rows of any model, zeros.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use kernels::Dtype;
use rayon::prelude::*;
use weights::{TensorInfo, TensorSource};

use crate::computed::{self, BLOCK, Computed, SourceTensor, read_f64, refused};

/// What one row of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// A row of the table as it is stored.
    Own(u32),
    /// The sum of these terms.
    Sum {
        first: u32,
        count: u32,
    },
    Zero,
    /// The mean of the others; [`Zeros`] says of which.
    Mean,
}

/// Whether rows of zeros count in the mean that stands for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zeros {
    Counted,
    LeftOut,
}

/// A row of a donor, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Term {
    pub donor: u32,
    pub row: u32,
    pub weight: f64,
}

/// The rows of one tensor.
pub(crate) struct Table {
    pub rows: Vec<Row>,
    pub terms: Arc<Vec<Term>>,
    /// Tables that terms are rows of, as wide as this one.
    pub donors: Vec<SourceTensor>,
    pub zeros: Zeros,
}

impl Table {
    /// Whether it is the stored one, of `stored` rows.
    pub fn is_identity(&self, stored: u64) -> bool {
        self.rows.len() as u64 == stored && self.rows.iter().zip(0..).all(|(row, at)| *row == Row::Own(at))
    }

    /// Whether a row is one that some table stores in this number format.
    fn is_stored(&self, row: Row, dtype: Dtype) -> bool {
        match row {
            Row::Own(_) | Row::Zero => true,
            Row::Mean => false,
            Row::Sum { first, count } => match &self.terms[first as usize..(first + count) as usize] {
                [Term { donor, weight, .. }] if *weight == 1.0 => {
                    let SourceTensor { source, index, .. } = &self.donors[*donor as usize];
                    source.tensors()[*index].dtype == dtype && !computed::is_unrounded(&**source, *index)
                }
                _ => false,
            },
        }
    }
}

struct Seated {
    table: Table,
    /// Elements of a row.
    width: usize,
    /// Whether rows hold numbers that the table's number format may not have.
    unrounded: bool,
    mean: OnceLock<Arc<Vec<f64>>>,
}

/// `source` with some tables replaced. Sums and means are rounded to the table's number format in bytes only: as
/// numbers they are read as they were computed, so that a merge rounds once.
pub(crate) struct Reseated {
    source: Arc<dyn TensorSource>,
    infos: Vec<TensorInfo>,
    tables: BTreeMap<usize, Seated>,
}

impl Reseated {
    /// `tables` by position of the tensor; all have one axis or more.
    pub fn new(source: Arc<dyn TensorSource>, tables: BTreeMap<usize, Table>) -> Self {
        let mut infos = source.tensors().to_vec();
        let mut seated = BTreeMap::new();
        for (index, table) in tables {
            let info = &mut infos[index];
            let width = info.shape.iter().skip(1).product::<u64>() as usize;
            if let Some(axis) = info.shape.first_mut() {
                *axis = table.rows.len() as u64;
            }
            let (dtype, rows) = (info.dtype, &table.rows);
            let unrounded = computed::is_unrounded(&*source, index)
                || !rows.iter().all(|row| table.is_stored(*row, dtype));
            seated.insert(index, Seated { table, width: width.max(1), unrounded, mean: OnceLock::new() });
        }
        Self { source, infos, tables: seated }
    }

    /// The mean that stands for rows without values of their own.
    fn mean(&self, index: usize, seated: &Seated) -> Result<Arc<Vec<f64>>, weights::Error> {
        if let Some(known) = seated.mean.get() {
            return Ok(Arc::clone(known));
        }
        let (width, rows) = (seated.width, &seated.table.rows);
        let real: Vec<usize> =
            (0..rows.len()).filter(|at| ![Row::Mean, Row::Zero].contains(&rows[*at])).collect();
        let step = (BLOCK / width).max(1);
        let part = |places: &[usize]| {
            let (mut sum, mut row) = (vec![0.0; width], vec![0.0; width]);
            for at in places {
                self.row(index, seated, (*at, 0), &mut row)?;
                sum.iter_mut().zip(&row).for_each(|(sum, value)| *sum += value);
            }
            Ok(sum)
        };
        let mut mean = vec![0.0; width];
        // A window of blocks at a time: their sums are held until they are added in order.
        for window in real.chunks(step * rayon::current_num_threads().max(1) * 4) {
            let parts: Vec<Vec<f64>> =
                window.par_chunks(step).map(part).collect::<Result<_, weights::Error>>()?;
            for part in parts {
                mean.iter_mut().zip(part).for_each(|(mean, value)| *mean += value);
            }
        }
        // Rows of zeros count without being read.
        let zeros = match seated.table.zeros {
            Zeros::Counted => rows.iter().filter(|row| **row == Row::Zero).count(),
            Zeros::LeftOut => 0,
        };
        let count = (real.len() + zeros).max(1) as f64;
        mean.iter_mut().for_each(|value| *value /= count);
        // Whoever comes second has found the same.
        drop(seated.mean.set(Arc::new(mean)));
        Ok(seated.mean.get().map(Arc::clone).unwrap_or_default())
    }

    /// Reads elements of one row from `within`, for as long as `out` is.
    fn row(
        &self,
        index: usize,
        seated: &Seated,
        (row, within): (usize, usize),
        out: &mut [f64],
    ) -> Result<(), weights::Error> {
        let width = seated.width as u64;
        match seated.table.rows[row] {
            Row::Own(own) => read_f64(&*self.source, index, u64::from(own) * width + within as u64, out)?,
            Row::Zero => out.fill(0.0),
            Row::Mean => {
                let mean = self.mean(index, seated)?;
                out.copy_from_slice(&mean[within..within + out.len()]);
            }
            Row::Sum { first, count } => {
                let terms = &seated.table.terms[first as usize..(first + count) as usize];
                out.fill(0.0);
                let mut values = vec![0.0; out.len()];
                for Term { donor, row, weight } in terms {
                    let SourceTensor { source, index, .. } = &seated.table.donors[*donor as usize];
                    read_f64(&**source, *index, u64::from(*row) * width + within as u64, &mut values)?;
                    out.iter_mut().zip(&values).for_each(|(out, value)| *out += weight * value);
                }
            }
        }
        Ok(())
    }

    fn read(&self, index: usize, start: u64, out: &mut [f64]) -> Result<(), weights::Error> {
        let Some(seated) = self.tables.get(&index) else { return read_f64(&*self.source, index, start, out) };
        let (width, rows) = (seated.width, &seated.table.rows);
        let mut done = 0;
        while done < out.len() {
            let at = start as usize + done;
            let (row, within) = (at / width, at % width);
            let left = out.len() - done;
            // Own rows that follow each other here and there are read at once.
            let run = match rows[row] {
                Row::Own(first) => {
                    let follows = |step: &usize| {
                        rows.get(row + step)
                            .is_some_and(|next| *next == Row::Own(first.saturating_add(*step as u32)))
                    };
                    1 + (1..(within + left).div_ceil(width)).take_while(follows).count()
                }
                _ => 1,
            };
            let len = (run * width - within).min(left);
            self.row(index, seated, (row, within), &mut out[done..done + len])?;
            done += len;
        }
        Ok(())
    }
}

impl Computed for Reseated {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn ready(&self, index: usize) -> Result<(), weights::Error> {
        match self.tables.get(&index) {
            Some(seated) if seated.table.rows.contains(&Row::Mean) => self.mean(index, seated).map(drop),
            Some(_) => Ok(()),
            None => self.source.ready(index),
        }
    }

    fn fill(&self, index: usize, start: u64, out: &mut [f64]) -> Result<u64, weights::Error> {
        self.read(index, start, out).map(|()| 0)
    }

    fn copied(&self, index: usize, offset: u64, out: &mut [u8]) -> Option<Result<(), weights::Error>> {
        (!self.tables.contains_key(&index)).then(|| self.source.read_bytes(index, offset, out))
    }
}

impl TensorSource for Reseated {
    weights::forward!(source; account, cautions, metadata);

    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn ready(&self, index: usize) -> Result<(), weights::Error> {
        Computed::ready(self, index)
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        computed::read_bytes(self, index, offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        if !self.tables.contains_key(&index) {
            return self.source.read_f32(index, start, out);
        }
        let elements = self.infos[index].elements();
        if start.checked_add(out.len() as u64).is_none_or(|end| end > elements) {
            let name = &self.infos[index].name;
            return Err(refused(format!("a range past the end of tensor `{name}` was asked for")));
        }
        let mut values = vec![0.0; out.len().min(BLOCK)];
        for (at, out) in out.chunks_mut(BLOCK).enumerate() {
            let values = &mut values[..out.len()];
            self.read(index, start + (at * BLOCK) as u64, values)?;
            out.iter_mut().zip(values).for_each(|(out, value)| *out = *value as f32);
        }
        Ok(())
    }

    fn view(&self, index: usize, offset: u64, len: usize) -> Option<&[u8]> {
        if self.tables.contains_key(&index) { None } else { self.source.view(index, offset, len) }
    }

    fn read_unrounded(
        &self,
        index: usize,
        start: u64,
        out: &mut [f64],
    ) -> Option<Result<(), weights::Error>> {
        match self.tables.get(&index) {
            Some(seated) => seated.unrounded.then(|| self.read(index, start, out)),
            None => self.source.read_unrounded(index, start, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Telling, hears};

    #[test]
    fn what_a_model_says_is_heard_under_another_tokenizer() {
        hears(&Reseated::new(Telling::shared(), BTreeMap::new()));
    }
}
