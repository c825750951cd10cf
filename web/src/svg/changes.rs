//! Where two models differ: rows are kinds of modules, columns are layers, dark is much changed.

use super::{
    grid::{self, Cell, Grid, Key, Picture, tensors_at},
    heat::{self, Distance},
};
use crate::view::{Fraction, TensorDiff, plural};

/// A cell as a line of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub module: String,
    pub layer: String,
    pub value: String,
    pub href: String,
}

/// The finished map.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map {
    pub picture: Picture,
    /// The cells in their order.
    pub lines: Vec<Line>,
    /// The largest value, which is darkest, in words.
    pub largest: String,
}

/// What a cell sums up.
#[derive(Default)]
struct Sum {
    tensors: u64,
    elements: u64,
    weighted: f64,
}

/// A change as a part of a hundred, as it stands in a cell; empty where there are too many hundreds.
fn percent(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value < 0.0995 => format!("{:.1}%", 100.0 * value),
        value if value < 9.995 => format!("{:.0}%", 100.0 * value),
        _ => String::new(),
    }
}

/// The same with the number as tables of tensors write it.
fn told(value: f64) -> String {
    match percent(value) {
        percent if percent.ends_with('%') => format!("{percent} ({})", Fraction(value)),
        _ => Fraction(value).to_string(),
    }
}

/// The map of all tensors with a measured change; `picked` is the module and the layer that the table is narrowed to,
/// `address` the page's own with a `?`.
pub fn layout(tensors: &[TensorDiff], (module, layer): (&str, &str), address: &str) -> Map {
    fn key(tensor: &TensorDiff) -> Key<'_> {
        ((tensor.module_rank, &tensor.module), (tensor.layer_rank, &tensor.layer))
    }
    let grid = Grid::of(tensors.iter().map(key));
    let mut sums: Vec<Sum> = (0..grid.cells()).map(|_| Sum::default()).collect();
    for tensor in tensors {
        let change = if tensor.identical { Some(0.0) } else { tensor.relative_l2 };
        let (Some(number), Some(change)) = (grid.number(key(tensor)), change) else { continue };
        let sum = &mut sums[number];
        sum.tensors += 1;
        sum.elements += tensor.elements;
        sum.weighted += change * tensor.elements as f64;
    }
    let value = |sum: &Sum| sum.weighted / sum.elements.max(1) as f64;
    let largest = sums.iter().map(value).fold(0.0, f64::max);
    let (mut cells, mut lines) = (Vec::new(), Vec::new());
    for (at, sum) in sums.iter().enumerate().filter(|(_, sum)| sum.tensors > 0) {
        let (own, place) = grid.names(at);
        let text = told(value(sum));
        let on = own == module && place == layer;
        let written = if grid.holds_numbers() { percent(value(sum)) } else { String::new() };
        let href = match on {
            true => format!("{}#tensors", address.trim_end_matches(['?', '&'])),
            false => tensors_at(address, (own, place)),
        };
        cells.push(Cell {
            // Shares of the largest, so that layers that all change a little are still told apart.
            class: match value(sum) {
                0.0 => "same".to_owned(),
                value => heat::class(value / largest, 1.0, Distance::No),
            },
            title: format!(
                "{}: {text} in {}",
                grid::told((own, place)),
                plural(sum.tensors, "tensor", "tensors")
            ),
            href: href.clone(),
            on,
            text: written,
            ..grid.cell(at)
        });
        lines.push(Line { module: own.to_owned(), layer: place.to_owned(), value: text, href });
    }
    Map { picture: grid.picture(cells), lines, largest: told(largest) }
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

        let cells = map.picture.cells.iter();
        let classes: Vec<(&str, &str, &str)> = cells
            .zip(&map.lines)
            .map(|(c, l)| (l.module.as_str(), l.layer.as_str(), c.class.as_str()))
            .collect();
        assert_eq!(classes, [("q", "0", "same"), ("q", "1", "heat-10"), ("up", "1", "heat-5")]);
        assert_eq!(map.picture.cells[1].title, "q, layer 1: 2.0% (0.0200) in 1 tensor");
        assert_eq!((map.largest.as_str(), map.lines[2].value.as_str()), ("2.0% (0.0200)", "1.0% (0.0100)"));
        assert_eq!(map.picture.cells[2].href, "/compare/a...b?module=up&layer=1#tensors");
        assert_eq!(
            (map.picture.cells[1].on, map.picture.cells[1].href.as_str()),
            (true, "/compare/a...b#tensors")
        );
        assert_eq!(map.picture.rows.len(), 2);
    }
}
