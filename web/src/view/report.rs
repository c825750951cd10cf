//! Reports over the whole registry as plots with their tables.

use super::{Name, plural};

/// A report on the list of them.
#[derive(Debug, Clone, Default)]
pub struct ReportCard {
    /// The word in the address.
    pub id: &'static str,
    pub title: &'static str,
    /// The question it answers.
    pub question: &'static str,
}

/// A bar of a plot.
#[derive(Debug, Clone, Default)]
pub struct ReportBar {
    pub label: String,
    pub value: f64,
    /// The value as people read it.
    pub text: String,
    /// The ends of a 95 % interval, where there is one.
    pub interval: Option<(f64, f64)>,
}

/// How bars are as long as their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bars {
    #[default]
    Linear,
    /// By the logarithm of one more than the value.
    Log,
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub enum ReportCell {
    Text(String),
    Number(String),
    Model(Name),
}

/// A plot with its table.
#[derive(Debug, Clone, Default)]
pub struct ReportSection {
    pub title: String,
    /// What it shows, in a sentence or two.
    pub text: String,
    /// How the numbers are computed.
    pub formula: &'static str,
    pub bars: Vec<ReportBar>,
    pub scale: Bars,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<ReportCell>>,
}

/// Rows of a table that are seen at once; those of a longer one unfold.
const ROWS: (usize, usize) = (20, 30);

impl ReportSection {
    /// The rows in one table, or in two whose second unfolds.
    pub(crate) fn tables(&self) -> Vec<(String, &[Vec<ReportCell>])> {
        let (first, most) = ROWS;
        let whole = "Table".to_owned();
        match self.rows.len() {
            0 => Vec::new(),
            count if count <= most => vec![(whole, &self.rows)],
            count => {
                let more = plural((count - first) as u64, "more row", "more rows");
                vec![(whole, &self.rows[..first]), (more, &self.rows[first..])]
            }
        }
    }
}

/// A finished report.
#[derive(Debug, Clone, Default)]
pub struct ReportPage {
    pub card: ReportCard,
    /// The registry has changed since it was made, and it is being made again.
    pub stale: bool,
    pub sections: Vec<ReportSection>,
}

/// What there is of a report.
#[derive(Debug, Clone)]
pub enum ReportAnswer {
    Ready(Box<ReportPage>),
    /// The first one is being made.
    Pending(ReportCard),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_table_shows_its_first_rows_and_folds_the_others() {
        let lengths = |count: usize| -> Vec<usize> {
            let section = ReportSection { rows: vec![Vec::new(); count], ..ReportSection::default() };
            section.tables().iter().map(|(_, rows)| rows.len()).collect()
        };

        assert!(lengths(0).is_empty());
        assert_eq!(lengths(30), [30]);
        assert_eq!(lengths(31), [20, 11]);
    }
}
