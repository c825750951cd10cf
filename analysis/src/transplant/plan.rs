//! A transplant: checked against the headers and tokenizers of both models, then solved, then read as a checkpoint.

use std::{collections::BTreeMap, sync::Arc};

use domain::{Item, Limits};
use weights::TensorSource;

use super::{
    Fill, Options, Report, Side, digits,
    matching::{Match, matched},
    solve::Problem,
};
use crate::{
    Error, Progress,
    computed::SourceTensor,
    kinship::Module,
    merge::{is_table, table_rows},
    reseated::{Reseated, Row, Table, Term, Zeros},
};

/// A table of the recipient with the donor's that its new rows are modelled on.
struct Pair {
    name: String,
    own: SourceTensor,
    donor: SourceTensor,
    /// Elements of a row of the donor's.
    width: usize,
    /// One number a token, which no sum of rows stands for: new tokens get 0, or the mean where that is asked for.
    vector: bool,
}

/// A checked transplant.
pub struct Transplant {
    recipient: Side,
    options: Options,
    tables: Vec<Pair>,
    /// By row of the result.
    rows: Vec<Match>,
    /// Rows of the donor's tables.
    donor_rows: u64,
    held: u64,
    warnings: Vec<Item>,
}

impl Transplant {
    /// Checks the tables and tokens of both models.
    ///
    /// # Errors
    /// Every fault at once: options out of range, a model without a table of tokens, no token in common, tables too
    /// large for the limits.
    pub fn new(recipient: Side, donor: &Side, options: &Options, limits: &Limits) -> Result<Self, Error> {
        let mut faults = options.faults(limits);
        let mut fault = |pointer: &str, message| faults.push(Item { pointer: pointer.to_owned(), message });
        let mut rows_of = |side: &Side, pointer: &str| {
            let rows = table_rows(&*side.source);
            if rows.is_none() {
                fault(pointer, format!("`{}` has no table with a row for every token", side.label));
            }
            rows.unwrap_or_default()
        };
        let rows = (rows_of(&recipient, "/recipient"), rows_of(donor, "/donor"));
        let wanted = u64::from(donor.tokenizer.vocabulary().next_row());
        let most = limits.vocabulary_rows;
        if wanted > most {
            fault(
                "/donor",
                format!("its tokenizer has {wanted} rows; at most {most} are made (`vocabulary_rows`)"),
            );
        }
        if !faults.is_empty() {
            return Err(Error::faults(faults));
        }
        let mut plan = Self {
            tables: pairs(&recipient, donor, rows),
            rows: matched(&recipient, donor, rows.0),
            recipient,
            options: *options,
            donor_rows: rows.1,
            held: limits.transplant_held,
            warnings: Vec::new(),
        };
        plan.warn(donor);
        let faults = plan.faults(donor);
        if faults.is_empty() { Ok(plan) } else { Err(Error::faults(faults)) }
    }

    fn faults(&self, donor: &Side) -> Vec<Item> {
        let fault = |pointer: &str, message: String| Item { pointer: pointer.to_owned(), message };
        let mut faults = Vec::new();
        if self.atoms().0.is_empty() {
            let message =
                format!("the tokenizers of `{}` and `{}` share no token", self.recipient.label, donor.label);
            faults.push(fault("/donor", message));
        }
        if self.tables.is_empty() {
            faults
                .push(fault("/donor", "its table of tokens has no counterpart in the recipient".to_owned()));
        }
        if self.options.fill != Fill::Omp {
            return faults;
        }
        let terms = (self.targets().len() * self.options.k) as u64;
        let needed = 2 * terms * self.tables.iter().filter(|pair| !pair.vector).count() as u64;
        let most = self.held / 2;
        if needed > most {
            let message = format!(
                "the coefficients of {terms} rows are {needed} numbers; at most {most} are held, half of `transplant_held`: \
                 lower `k`"
            );
            faults.push(fault("/k", message));
        }
        let (atoms, _) = self.atoms();
        for pair in self.tables.iter().filter(|pair| !pair.vector) {
            if self.problem(pair, &atoms).batch().is_none() {
                let message =
                    "solving one row needs more than half of `transplant_held`: lower `candidates` or `k`";
                faults.push(fault(&pair.name, message.to_owned()));
            }
        }
        faults
    }

    fn warn(&mut self, donor: &Side) {
        let mut warn =
            |pointer: &str, message| self.warnings.push(Item { pointer: pointer.to_owned(), message });
        let (ours, theirs) =
            (digits::grouping(&self.recipient.tokenizer), digits::grouping(&donor.tokenizer));
        if ours != theirs {
            let message = format!(
                "numbers are cut into {ours} digits at most in `{}`, {theirs} in `{}`: the result will probably calculate \
                 worse",
                self.recipient.label, donor.label
            );
            warn("/donor", message);
        }
        let beyond =
            self.rows.iter().skip(self.donor_rows as usize).filter(|row| **row == Match::New).count();
        if beyond > 0 {
            let made = match self.options.fill {
                Fill::Mean => "the mean",
                Fill::Omp | Fill::Zero => "zero",
            };
            let message = format!("{beyond} tokens of `{}` have no row in it and become {made}", donor.label);
            warn("/donor", message);
        }
        if self.options.candidates.is_some() && self.options.fill == Fill::Omp {
            warn(
                "/candidates",
                "not all shared tokens are looked at; the result is an approximation".to_owned(),
            );
        }
    }

    /// Rows of shared tokens in the donor, and in the recipient.
    fn atoms(&self) -> (Vec<u32>, Vec<u32>) {
        let shared = |(row, found): (u32, &Match)| match found {
            Match::Shared(own) if u64::from(row) < self.donor_rows => Some((row, *own)),
            _ => None,
        };
        (0..).zip(&self.rows).filter_map(shared).unzip()
    }

    /// Rows of new tokens in the donor.
    fn targets(&self) -> Vec<u32> {
        let new = |(row, found): (u32, &Match)| {
            (*found == Match::New && u64::from(row) < self.donor_rows).then_some(row)
        };
        (0..).zip(&self.rows).filter_map(new).collect()
    }

    fn problem<'a>(&self, pair: &'a Pair, atoms: &'a [u32]) -> Problem<'a> {
        Problem {
            table: &pair.donor,
            atoms,
            width: pair.width,
            most: self.options.k.min(pair.width),
            candidates: self.options.candidates,
            held: self.held / 2,
        }
    }

    /// What is done, told before it is.
    pub fn report(&self) -> Report {
        let count = |wanted: fn(&Match) -> bool| self.rows.iter().filter(|row| wanted(row)).count();
        Report {
            rows: self.rows.len() as u64,
            shared: count(|row| matches!(row, Match::Shared(_))),
            new: count(|row| *row == Match::New),
            tables: self.tables.iter().map(|pair| pair.name.clone()).collect(),
            warnings: self.warnings.clone(),
        }
    }

    /// Rows to put together, in all tables: what `progress` of [`Self::solve`] adds up to.
    pub fn work(&self) -> u64 {
        let tables = self.tables.iter().filter(|pair| !pair.vector && self.options.fill == Fill::Omp).count();
        (tables * self.targets().len()) as u64
    }

    /// Puts the rows of new tokens together; the result has the recipient's tensors with tables for the donor's
    /// tokens, computed while it is read.
    ///
    /// # Errors
    /// A read that fails, or `progress` asking to stop.
    pub fn solve(&self, progress: Progress<'_>) -> Result<Arc<dyn TensorSource>, Error> {
        let ((atoms, own), targets) = (self.atoms(), self.targets());
        let mut tables = BTreeMap::new();
        for pair in &self.tables {
            let problem = self.problem(pair, &atoms);
            let solved = match (self.options.fill, problem.batch()) {
                (Fill::Omp, Some(batch)) if !pair.vector => problem.solve(&targets, batch, progress)?,
                _ => Vec::new(),
            };
            let mut solutions = targets.iter().zip(solved).peekable();
            let mut terms = Vec::new();
            let mut rows = Vec::with_capacity(self.rows.len());
            for (row, found) in (0..).zip(&self.rows) {
                rows.push(match found {
                    Match::Shared(own) => Row::Own(*own),
                    Match::New if self.options.fill == Fill::Mean => Row::Mean,
                    Match::New => match solutions.next_if(|(target, _)| **target == row) {
                        Some((_, solution)) => {
                            let (first, count) = (terms.len() as u32, solution.len() as u32);
                            terms.extend(solution.iter().map(|(atom, weight)| Term {
                                donor: 0,
                                row: own[*atom as usize],
                                weight: *weight,
                            }));
                            Row::Sum { first, count }
                        }
                        None => Row::Zero,
                    },
                    Match::Nothing => Row::Zero,
                });
            }
            let table =
                Table { rows, terms: Arc::new(terms), donors: vec![pair.own.clone()], zeros: Zeros::LeftOut };
            tables.insert(pair.own.index, table);
        }
        Ok(Arc::new(Reseated::new(Arc::clone(&self.recipient.source), tables)))
    }
}

/// Every table of the recipient with the donor's of the same use; the donor's embedding for a head that it ties to it.
fn pairs(recipient: &Side, donor: &Side, rows: (u64, u64)) -> Vec<Pair> {
    let tables = |side: &Side, rows: u64| -> Vec<(Module, SourceTensor)> {
        let infos = side.source.tensors().iter().enumerate();
        infos
            .filter(|(_, info)| {
                is_table(&info.name) && info.dtype.is_float() && info.shape.first() == Some(&rows)
            })
            .map(|(index, info)| {
                let stored =
                    SourceTensor { label: side.label.clone(), source: Arc::clone(&side.source), index };
                (Module::of(&info.name), stored)
            })
            .collect()
    };
    let info = |stored: &SourceTensor| stored.source.tensors()[stored.index].clone();
    let theirs = tables(donor, rows.1);
    let with =
        |kind: Module| theirs.iter().find(|(known, stored)| *known == kind && info(stored).shape.len() == 2);
    let pair = |(kind, own): (Module, SourceTensor)| {
        let here = info(&own);
        let (_, found) = with(kind).or_else(|| with(Module::Embed))?;
        let width = info(found).shape.get(1).copied().unwrap_or_default() as usize;
        (width > 0).then(|| Pair {
            name: here.name,
            donor: found.clone(),
            own,
            width,
            vector: here.shape.len() < 2,
        })
    };
    tables(recipient, rows.0).into_iter().filter_map(pair).collect()
}
