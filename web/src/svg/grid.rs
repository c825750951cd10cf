//! Where the tensors of a model stand in a picture of it: a row a kind of module, a column a layer.

use crate::view::encoded;

const LEFT: f64 = 92.0;
const TOP: f64 = 22.0;
const ROW: f64 = 26.0;
/// A column this wide holds a number.
const NUMBERS: f64 = 38.0;
/// Columns drawn at most.
const MOST: usize = 256;

/// A kind of module and a layer, each with its rank.
pub type Key<'a> = ((u8, &'a str), (i64, &'a str));

/// All tensors of one kind in one layer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    pub class: String,
    /// Everything that is known of it, in words; they hold what stands in it, so that it can be called by that.
    pub title: String,
    pub href: String,
    /// It is the one that a table is narrowed to.
    pub on: bool,
    /// The value where there is room for it, and the middle of its line.
    pub text: String,
    pub middle: (f64, f64),
}

/// A finished picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Picture {
    pub width: f64,
    pub height: f64,
    pub cells: Vec<Cell>,
    /// Labels with their places.
    pub rows: Vec<(String, f64)>,
    pub columns: Vec<(String, f64)>,
}

/// Where the tensors of a module and a layer are listed; `address` ends with its `?` or `&`.
pub fn tensors_at(address: &str, (module, layer): (&str, &str)) -> String {
    format!("{address}module={}&layer={}#tensors", encoded(module), encoded(layer))
}

/// A module and its layer in words: what stands in no numbered layer is told by its module alone.
pub fn told((module, layer): (&str, &str)) -> String {
    let numbered = layer.starts_with(|first: char| first.is_ascii_digit());
    match (module.is_empty(), numbered) {
        (true, _) => format!("layer {layer}"),
        (false, true) => format!("{module}, layer {layer}"),
        (false, false) => module.to_owned(),
    }
}

/// The rows and columns that there are.
pub struct Grid<'a> {
    rows: Vec<(u8, &'a str)>,
    columns: Vec<(i64, &'a str)>,
    /// Width of a column.
    wide: f64,
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

    /// Whether a cell has room for a number.
    pub fn holds_numbers(&self) -> bool {
        self.wide >= NUMBERS
    }

    /// The picture with these cells in it.
    pub fn picture(&self, cells: Vec<Cell>) -> Picture {
        let width = LEFT + self.wide * self.columns.len() as f64 + 2.0;
        let height = TOP + ROW * self.rows.len() as f64 + 2.0;
        Picture { width, height, cells, rows: self.row_labels(), columns: self.column_labels() }
    }

    /// The number of a cell, row by row; none beyond the last column drawn.
    pub fn number(&self, (row, column): Key<'_>) -> Option<usize> {
        let row = self.rows.binary_search(&row).ok()?;
        Some(row * self.columns.len() + self.columns.binary_search(&column).ok()?)
    }

    /// Module and layer of a numbered cell.
    pub fn names(&self, number: usize) -> (&'a str, &'a str) {
        (self.rows[number / self.columns.len()].1, self.columns[number % self.columns.len()].1)
    }

    /// A numbered cell in its place, with nothing in it.
    pub fn cell(&self, number: usize) -> Cell {
        let (row, column) = (number / self.columns.len(), number % self.columns.len());
        let (x, y) = (LEFT + self.wide * column as f64, TOP + ROW * row as f64);
        let middle = (x + self.wide / 2.0, y + 17.0);
        Cell { x, y, width: self.wide, height: ROW, middle, ..Cell::default() }
    }

    /// Labels of the rows, with the place of each from above.
    fn row_labels(&self) -> Vec<(String, f64)> {
        let label =
            |(at, (_, label)): (usize, &(u8, &str))| ((*label).to_owned(), TOP + ROW * at as f64 + 17.0);
        self.rows.iter().enumerate().map(label).collect()
    }

    /// Labels of the columns, with the middle of each; those of narrow ones would touch, so that some are left out.
    fn column_labels(&self) -> Vec<(String, f64)> {
        let every = if self.wide >= 24.0 { 1 } else { 4 };
        let labels = self.columns.iter().enumerate().filter(|(at, (rank, _))| *rank < 0 || at % every == 0);
        labels
            .map(|(at, (_, label))| (label.chars().take(5).collect(), LEFT + self.wide * (at as f64 + 0.5)))
            .collect()
    }
}
