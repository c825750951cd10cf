//! Where the tensors of a model stand in a picture of it: a row a kind of module, a column a layer.

const LEFT: f64 = 92.0;
const TOP: f64 = 22.0;
pub const ROW: f64 = 26.0;
/// A column this wide holds a number.
pub const NUMBERS: f64 = 38.0;
/// Columns drawn at most.
const MOST: usize = 256;

/// A kind of module and a layer, each with its rank.
pub type Key<'a> = ((u8, &'a str), (i64, &'a str));

/// The rows and columns that there are.
pub struct Grid<'a> {
    rows: Vec<(u8, &'a str)>,
    columns: Vec<(i64, &'a str)>,
    /// Width of a column.
    pub wide: f64,
}

impl<'a> Grid<'a> {
    pub fn of(keys: impl Iterator<Item = Key<'a>>) -> Self {
        let (mut rows, mut columns): (Vec<_>, Vec<_>) = keys.unzip();
        rows.sort_unstable();
        rows.dedup();
        columns.sort_unstable();
        columns.dedup();
        columns.truncate(MOST);
        let wide = (980.0 / columns.len().max(1) as f64).clamp(14.0, 60.0);
        Self { rows, columns, wide }
    }

    pub fn cells(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    pub fn size(&self) -> (f64, f64) {
        (LEFT + self.wide * self.columns.len() as f64 + 2.0, TOP + ROW * self.rows.len() as f64 + 2.0)
    }

    /// The number of a cell, row by row; none beyond the last column drawn.
    pub fn number(&self, (row, column): Key<'_>) -> Option<usize> {
        let row = self.rows.binary_search(&row).ok()?;
        Some(row * self.columns.len() + self.columns.binary_search(&column).ok()?)
    }

    /// Module and layer of a numbered cell, and its upper left corner.
    pub fn cell(&self, number: usize) -> ((&'a str, &'a str), (f64, f64)) {
        let (row, column) = (number / self.columns.len(), number % self.columns.len());
        let corner = (LEFT + self.wide * column as f64, TOP + ROW * row as f64);
        ((self.rows[row].1, self.columns[column].1), corner)
    }

    /// Where the number of a cell stands.
    pub fn middle(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (x + self.wide / 2.0, y + 17.0)
    }

    /// Labels of the rows, with the place of each from above.
    pub fn row_labels(&self) -> Vec<(String, f64)> {
        let label =
            |(at, (_, label)): (usize, &(u8, &str))| ((*label).to_owned(), TOP + ROW * at as f64 + 17.0);
        self.rows.iter().enumerate().map(label).collect()
    }

    /// Labels of the columns, with the middle of each; those of narrow ones would touch, so that some are left out.
    pub fn column_labels(&self) -> Vec<(String, f64)> {
        let every = if self.wide >= 24.0 { 1 } else { 4 };
        let labels = self.columns.iter().enumerate().filter(|(at, (rank, _))| *rank < 0 || at % every == 0);
        labels
            .map(|(at, (_, label))| (label.chars().take(5).collect(), LEFT + self.wide * (at as f64 + 0.5)))
            .collect()
    }
}
