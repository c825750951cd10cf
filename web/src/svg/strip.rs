//! The kinship of two models in each layer by kind of module: dark is close, hatched has no value.

use super::{
    grid::{self, Cell, Grid, Key, Picture, tensors_at},
    heat::{self, Distance},
};
use crate::view::{Strip, StripCell, plural};

/// The finished strip.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drawn {
    pub picture: Picture,
    pub hatched: bool,
    /// Whether some values are below zero.
    pub opposed: bool,
}

fn key(cell: &StripCell) -> Key<'_> {
    ((cell.module_rank, &cell.module), (cell.layer_rank, &cell.layer))
}

/// Draws the strip of a measure.
pub fn draw(strip: &Strip, distance: Distance) -> Drawn {
    let grid = Grid::of(strip.cells.iter().map(key));
    let largest = strip.cells.iter().filter_map(|cell| cell.value).fold(0.0, f64::max);
    let compare = format!("{}?", strip.pair[0].compare(&strip.pair[1]));
    let mut cells = Vec::new();
    for cell in &strip.cells {
        let Some(number) = grid.number(key(cell)) else { continue };
        let class = match cell.value {
            Some(value) => heat::class(value, largest, distance),
            None => "none".to_owned(),
        };
        let short = |value: f64| match value.abs() {
            size if size < 0.005 => "0.00".to_owned(),
            size if size < 10.0 => format!("{value:.2}"),
            _ => format!("{value:.0}"),
        };
        let text = cell.value.filter(|_| grid.holds_numbers()).map(short).unwrap_or_default();
        let (title, href) = (title(cell, &text), tensors_at(&compare, grid.names(number)));
        cells.push(Cell { class, title, href, text, ..grid.cell(number) });
    }
    Drawn {
        picture: grid.picture(cells),
        hatched: strip.cells.iter().any(|cell| cell.value.is_none()),
        opposed: strip.cells.iter().filter_map(|cell| cell.value).any(heat::opposed),
    }
}

/// A cell in words.
fn title(cell: &StripCell, written: &str) -> String {
    let value = if written.is_empty() { cell.text() } else { written.to_owned() };
    let mut title = format!("{}: {value}", grid::told((&cell.module, &cell.layer)));
    if cell.error.is_some() {
        title = format!("{title} {}", cell.error_text());
    }
    if cell.tensors > 0 {
        title = format!("{title} in {}", plural(cell.tensors, "tensor", "tensors"));
    }
    if cell.left_out > 0 && cell.tensors > 0 {
        title = format!("{title}, {} left out", cell.left_out);
    }
    match &cell.reason {
        Some(reason) => format!("{title}; {}", reason.replace('`', "")),
        None => title,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Name;

    fn cell(module: &str, layer: i64, value: Option<f64>) -> StripCell {
        StripCell {
            module: module.to_owned(),
            module_rank: u8::from(module == "up"),
            layer: layer.to_string(),
            layer_rank: layer,
            tensors: u64::from(value.is_some()),
            left_out: u64::from(value.is_none()),
            value,
            error: value.map(|_| 0.01),
            reason: value.is_none().then(|| "`a` lacks it".to_owned()),
            ..StripCell::default()
        }
    }

    fn strip(cells: Vec<StripCell>) -> Strip {
        Strip { pair: [Name::from("o/a"), Name::from("o/b")], cells, ..Strip::default() }
    }

    #[test]
    fn every_cell_says_its_value_or_why_there_is_none_and_leads_to_its_tensors() {
        let drawn = draw(
            &strip(vec![cell("up", 1, Some(-0.5)), cell("q", 0, Some(0.2)), cell("q", 1, None)]),
            Distance::No,
        );

        let seen: Vec<_> = drawn.picture.cells.iter().map(|c| (c.class.as_str(), c.text.as_str())).collect();
        assert_eq!(seen, [("heat-n5", "-0.50"), ("heat-2", "0.20"), ("none", "")]);
        assert_eq!(drawn.picture.cells[1].title, "q, layer 0: 0.20 ± 0.010 in 1 tensor");
        assert_eq!(drawn.picture.cells[2].title, "q, layer 1: n/a; a lacks it");
        assert_eq!(drawn.picture.cells[0].href, "/compare/o/a...o/b?module=up&layer=1#tensors");
        assert!(
            drawn.picture.cells[1].x < drawn.picture.cells[2].x
                && drawn.picture.cells[1].y < drawn.picture.cells[0].y
        );
        assert!(drawn.hatched && drawn.opposed);
    }

    #[test]
    fn numbers_are_written_where_columns_are_wide_enough() {
        let many = draw(&strip((0..80).map(|layer| cell("q", layer, Some(2.0))).collect()), Distance::Yes);

        assert!(many.picture.cells.iter().all(|cell| cell.text.is_empty() && cell.class == "heat-0"));
        assert_eq!(many.picture.cells[0].title, "q, layer 0: 2.000 ± 0.010 in 1 tensor");
        assert_eq!((many.picture.columns.len(), many.picture.cells.len()), (20, 80));
        assert!(!many.hatched && !many.opposed);
    }
}
