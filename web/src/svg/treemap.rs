//! Tiles whose areas are given, as near to squares as they get (Bruls, Huizing, van Wijk: "Squarified treemaps", 2000).

/// A tile.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tile {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// One tile for each weight, in their order, that together fill the frame; weights are taken as at least a little.
pub fn squarify(weights: &[f64], (width, height): (f64, f64)) -> Vec<Tile> {
    let total: f64 = weights.iter().map(|weight| weight.max(1e-9)).sum();
    let areas: Vec<f64> = weights.iter().map(|weight| weight.max(1e-9) / total * width * height).collect();
    let mut order: Vec<usize> = (0..areas.len()).collect();
    order.sort_by(|a, b| areas[*b].total_cmp(&areas[*a]).then(a.cmp(b)));
    let mut tiles = vec![Tile::default(); areas.len()];
    let mut free = Tile { x: 0.0, y: 0.0, width, height };
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let side = free.width.min(free.height).max(1e-9);
        let row = row_of(rest, &areas, side);
        let (now, later) = rest.split_at(row);
        let area: f64 = now.iter().map(|at| areas[*at]).sum();
        let thick = area / side;
        let mut along = 0.0;
        for &at in now {
            let long = areas[at] / thick;
            tiles[at] = if free.width >= free.height {
                Tile { x: free.x, y: free.y + along, width: thick, height: long }
            } else {
                Tile { x: free.x + along, y: free.y, width: long, height: thick }
            };
            along += long;
        }
        if free.width >= free.height {
            free.x += thick;
            free.width = (free.width - thick).max(0.0);
        } else {
            free.y += thick;
            free.height = (free.height - thick).max(0.0);
        }
        rest = later;
    }
    tiles
}

/// How many of the next tiles make the squarest row along a side.
fn row_of(rest: &[usize], areas: &[f64], side: f64) -> usize {
    let worst = |sum: f64, largest: f64, smallest: f64| {
        let (side, sum) = (side * side, sum * sum);
        (side * largest / sum).max(sum / (side * smallest))
    };
    let (mut sum, largest, mut best) = (0.0, areas[rest[0]], f64::INFINITY);
    for (count, at) in rest.iter().enumerate() {
        sum += areas[*at];
        let here = worst(sum, largest, areas[*at]);
        if here > best {
            return count;
        }
        best = here;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fill_the_frame_with_their_share_and_do_not_overlap() {
        for count in [1_u32, 2, 7, 150] {
            let weights: Vec<f64> = (0..count).map(|at| f64::from(at * 7 % 11 + 1)).collect();
            let total: f64 = weights.iter().sum();

            let tiles = squarify(&weights, (900.0, 500.0));

            assert_eq!(tiles, squarify(&weights, (900.0, 500.0)));
            for (tile, weight) in tiles.iter().zip(&weights) {
                assert!((tile.width * tile.height - weight / total * 450_000.0).abs() < 1e-3);
                assert!(tile.x >= 0.0 && tile.x + tile.width <= 900.001 && tile.y + tile.height <= 500.001);
            }
            for (at, a) in tiles.iter().enumerate() {
                for b in &tiles[at + 1..] {
                    let across = (a.x + a.width).min(b.x + b.width) - a.x.max(b.x);
                    let down = (a.y + a.height).min(b.y + b.height) - a.y.max(b.y);
                    assert!(across < 1e-6 || down < 1e-6, "{a:?} {b:?}");
                }
            }
        }
    }
}
