//! Where two models differ: rows are kinds of modules, columns are layers, dark is much changed.

use super::heat::{self, Distance};
use crate::view::{Fraction, TensorDiff, encoded, plural};

const LEFT: f64 = 92.0;
const TOP: f64 = 22.0;
const ROW: f64 = 26.0;
/// Columns drawn at most.
const MOST: usize = 256;

/// All tensors of one kind in one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    pub class: String,
    pub title: String,
    pub href: String,
    /// It is the one that the table is narrowed to.
    pub on: bool,
    pub module: String,
    pub layer: String,
    pub value: String,
}

/// The finished map.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map {
    pub width: f64,
    pub height: f64,
    pub cells: Vec<Cell>,
    /// Labels with their places.
    pub rows: Vec<(String, f64)>,
    pub columns: Vec<(String, f64)>,
    /// The largest value, which is darkest.
    pub largest: f64,
}

/// What a cell sums up.
#[derive(Default)]
struct Sum {
    tensors: u64,
    elements: u64,
    weighted: f64,
}

/// The map of all tensors with a measured change; `picked` is the module and the layer that the table is narrowed to,
/// `address` the page's own with a `?`.
pub fn layout(tensors: &[TensorDiff], (module, layer): (&str, &str), address: &str) -> Map {
    let mut rows: Vec<(u8, &str)> = tensors.iter().map(|t| (t.module_rank, t.module.as_str())).collect();
    let mut columns: Vec<(i64, &str)> = tensors.iter().map(|t| (t.layer_rank, t.layer.as_str())).collect();
    rows.sort_unstable();
    rows.dedup();
    columns.sort_unstable();
    columns.dedup();
    columns.truncate(MOST);
    let mut sums: Vec<Sum> = (0..rows.len() * columns.len()).map(|_| Sum::default()).collect();
    for tensor in tensors {
        let row = rows.binary_search(&(tensor.module_rank, tensor.module.as_str()));
        let column = columns.binary_search(&(tensor.layer_rank, tensor.layer.as_str()));
        let (Ok(row), Ok(column)) = (row, column) else { continue };
        let change = if tensor.identical { Some(0.0) } else { tensor.relative_l2 };
        let Some(change) = change else { continue };
        let sum = &mut sums[row * columns.len() + column];
        sum.tensors += 1;
        sum.elements += tensor.elements;
        sum.weighted += change * tensor.elements as f64;
    }
    let value = |sum: &Sum| sum.weighted / sum.elements.max(1) as f64;
    let largest = sums.iter().map(value).fold(0.0, f64::max);
    let wide = (980.0 / columns.len().max(1) as f64).clamp(14.0, 60.0);
    let mut map = Map {
        width: LEFT + wide * columns.len() as f64 + 2.0,
        height: TOP + ROW * rows.len() as f64 + 2.0,
        largest,
        ..Map::default()
    };
    map.rows.extend(
        rows.iter().enumerate().map(|(at, (_, label))| ((*label).to_owned(), TOP + ROW * at as f64 + 17.0)),
    );
    // Labels of narrow columns would touch.
    let every = if wide >= 24.0 { 1 } else { 4 };
    let labels = columns.iter().enumerate().filter(|(at, (rank, _))| *rank < 0 || at % every == 0);
    map.columns.extend(labels.map(|(at, (_, label))| {
        ((*label).chars().take(5).collect::<String>(), LEFT + wide * (at as f64 + 0.5))
    }));
    for (at, sum) in sums.iter().enumerate().filter(|(_, sum)| sum.tensors > 0) {
        let (row, column) = (at / columns.len(), at % columns.len());
        let (own, place) = (rows[row].1, columns[column].1);
        let text = Fraction(value(sum)).to_string();
        let on = own == module && place == layer;
        let narrowed = format!("{address}module={}&layer={}#tensors", encoded(own), encoded(place));
        map.cells.push(Cell {
            x: LEFT + wide * column as f64,
            y: TOP + ROW * row as f64,
            width: wide,
            height: ROW,
            // Shares of the largest, so that layers that all change a little are still told apart.
            class: match value(sum) {
                0.0 => "same".to_owned(),
                value => heat::class(value / largest, 1.0, Distance::No),
            },
            title: format!("{own}, layer {place}: {text} in {}", plural(sum.tensors, "tensor", "tensors")),
            href: if on { format!("{}#tensors", address.trim_end_matches(['?', '&'])) } else { narrowed },
            on,
            module: own.to_owned(),
            layer: place.to_owned(),
            value: text,
        });
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(module: &str, layer: i64, change: Option<f64>) -> TensorDiff {
        TensorDiff {
            name: format!("model.layers.{layer}.{module}"),
            module: module.to_owned(),
            module_rank: u8::from(module == "up"),
            layer: layer.to_string(),
            layer_rank: layer,
            elements: 100,
            relative_l2: change,
            identical: change == Some(0.0),
            ..TensorDiff::default()
        }
    }

    #[test]
    fn a_cell_is_as_dark_as_its_share_of_the_largest_change_and_leads_to_its_tensors() {
        let tensors = [
            tensor("q", 0, Some(0.0)),
            tensor("q", 1, Some(0.02)),
            tensor("up", 1, Some(0.01)),
            tensor("up", 0, None),
        ];

        let map = layout(&tensors, ("q", "1"), "/compare/a...b?");

        let classes: Vec<(&str, &str, &str)> =
            map.cells.iter().map(|c| (c.module.as_str(), c.layer.as_str(), c.class.as_str())).collect();
        assert_eq!(classes, [("q", "0", "same"), ("q", "1", "heat-10"), ("up", "1", "heat-5")]);
        assert_eq!(map.cells[2].href, "/compare/a...b?module=up&layer=1#tensors");
        assert_eq!((map.cells[1].on, map.cells[1].href.as_str()), (true, "/compare/a...b#tensors"));
        assert_eq!(map.rows.len(), 2);
    }
}
