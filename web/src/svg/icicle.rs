//! A family as an icicle: generations from left to right, the height of a box is the number of models in it. What is
//! too low to be seen is a hatched strip with its count; what can be seen and not be hit is no link, and the table has it.

use std::collections::BTreeMap;

use super::{label::shorten, shape};
use crate::view::{Count, Family, FamilySlice, Name, plural};

pub const WIDTH: f64 = 1080.0;
/// The height of a large family.
const HEIGHT: f64 = 960.0;
/// The least height of a box that can be hit.
const TARGET: f64 = 24.0;
/// The least height of a box that can be seen.
const SEEN: f64 = 2.0;
/// How many boxes one generation has at most.
pub const BOXES: u64 = (HEIGHT / SEEN) as u64;
/// Generations shown below the first.
pub const LEVELS: usize = 7;
/// A box needs this height for a label.
const LINE: f64 = 16.0;
/// And this width.
const NARROW: f64 = 90.0;
const LOWEST: f64 = 110.0;

/// What tells the relation of a box that has no room for its symbol, for every relation but fine-tunes, which are
/// plain: word, width of the pattern, and path of its lines, all of which the lowest box shows.
pub const PATTERNS: [(&str, u8, &str); 6] = [
    ("adapter", 12, "M6 0V6"),
    ("quantized", 4, "M2 0V6"),
    ("merge", 6, "M-1 1L1-1M0 6L6 0M5 7L7 5"),
    ("transfer", 16, "M6 0V6M9 0V6"),
    ("conversion", 6, "M0 3H6"),
    ("distil", 12, "M6 0V6M0 3H12"),
];

/// A model with everything below it.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    pub class: String,
    pub label: String,
    pub title: String,
    pub href: String,
}

/// A row of the table that says the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: Name,
    pub href: String,
    pub depth: usize,
    pub relation: &'static str,
    pub size: u64,
    /// Models that are only counted.
    pub small: u64,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Icicle {
    pub height: f64,
    pub bars: Vec<Bar>,
    pub strips: Vec<Bar>,
    pub rows: Vec<Row>,
}

impl Icicle {
    /// Changes the addresses that lead to another part of the family.
    pub fn carry(&mut self, with: impl Fn(&str) -> String) {
        let bars = self.bars.iter_mut().chain(&mut self.strips).map(|bar| &mut bar.href);
        for href in bars.chain(self.rows.iter_mut().map(|row| &mut row.href)) {
            if href.ends_with("/icicle") || href.ends_with("/children") {
                *href = with(href);
            }
        }
    }
}

/// Rows of the table.
const ROWS: usize = 200;

/// The smallest branch that gets a box of its own, in models.
pub fn least(size: u64) -> u64 {
    size.div_ceil(BOXES).max(1)
}

/// Where the models without children of one parent stand that would be too low to be hit as boxes: they share their strip
/// as tiles over the free width to its right. By place in the list: left edge, upper edge, width and height.
fn tiles(slices: &[FamilySlice], (column, scale): (f64, f64)) -> BTreeMap<usize, [f64; 4]> {
    let mut placed = BTreeMap::new();
    let mut from = 0;
    while from < slices.len() {
        let first = &slices[from];
        let beside = |(at, slice): &(usize, &FamilySlice)| {
            slice.size == 1 && slice.depth == first.depth && slice.start == first.start + *at as u64
        };
        let count = slices[from..].iter().enumerate().take_while(beside).count();
        let (left, high) = (first.depth as f64 * column, count as f64 * scale);
        let rows = (high / TARGET).floor();
        let across = (count as f64 / rows).ceil();
        let (wide, low) = ((WIDTH - left) / across, high / rows);
        if count > 1 && scale < TARGET && rows >= 1.0 && wide >= TARGET {
            for at in 0..count {
                let (row, place) = ((at as f64 / across).floor(), at as f64 % across);
                let y = first.start as f64 * scale + row * low;
                placed.insert(from + at, [left + place * wide, y, wide, low]);
            }
        }
        from += count.max(1);
    }
    placed
}

/// Lays a family out; the first slice is its root.
pub fn layout(family: &Family) -> Icicle {
    let size = family.size.max(1) as f64;
    let height = (size * 26.0).clamp(LOWEST, HEIGHT);
    let scale = height / size;
    let deepest = family.slices.iter().map(|slice| slice.depth + usize::from(slice.small.1 > 0)).max();
    let column = WIDTH / (deepest.unwrap_or(0).min(LEVELS + 1) + 1) as f64;
    let mut icicle = Icicle { height, ..Icicle::default() };
    let tiles = tiles(&family.slices, (column, scale));
    for (at, slice) in family.slices.iter().enumerate() {
        let place = |depth: usize, start: u64, models: u64| {
            (depth as f64 * column, start as f64 * scale, models as f64 * scale)
        };
        let (x, y, high) = place(slice.depth, slice.start, slice.size);
        let [x, y, wide, high] = tiles.get(&at).copied().unwrap_or([x, y, column, high]);
        let label = label(slice, (wide, high));
        let relation = slice.relation.map_or("root", |relation| relation.as_str());
        let below = slice.size - 1;
        let href = match (at, below) {
            (0, _) | (_, 0) => slice.name.href(),
            _ => slice.name.below("icicle"),
        };
        icicle.bars.push(Bar {
            x,
            y,
            width: wide,
            height: high,
            class: class(slice, &label),
            label,
            title: format!("{} ({relation}, {} below)", slice.name, plural(below, "model", "models")),
            href: if high < TARGET { String::new() } else { href.clone() },
        });
        if icicle.rows.len() < ROWS {
            icicle.rows.push(Row {
                name: slice.name.clone(),
                href,
                depth: slice.depth,
                relation,
                size: slice.size,
                small: slice.small.1,
            });
        }
        let (branches, models, start) = slice.small;
        let (x, y, high) = place(slice.depth + 1, start, models);
        if models > 0 && high >= 1.0 && slice.depth <= LEVELS {
            let text = format!("{} more", Count(models));
            icicle.strips.push(Bar {
                x,
                y,
                width: column,
                height: high,
                class: "strip".to_owned(),
                label: if high >= LINE { fitted(&text, column) } else { String::new() },
                title: format!("{text}, in {} of {}", plural(branches, "branch", "branches"), slice.name),
                // Too low to be hit; the table has it too.
                href: if high < TARGET { String::new() } else { slice.name.below("children") },
            });
        }
    }
    icicle
}

fn class(slice: &FamilySlice, label: &str) -> String {
    let relation = slice.relation.map_or("root", |relation| relation.as_str());
    let (low, ghost) = (if label.is_empty() { " low" } else { "" }, if slice.ghost { " ghost" } else { "" });
    format!("bar rel-{relation}{low}{ghost}")
}

fn label(slice: &FamilySlice, (width, height): (f64, f64)) -> String {
    if height < LINE || width < NARROW {
        return String::new();
    }
    let name = format!("{} {}", shape::symbol(slice.relation), slice.name.short());
    let counted = format!("{name} · {}", Count(slice.size));
    match slice.size > 1 && counted.chars().count() <= room(width) {
        true => counted,
        false => fitted(&name, width),
    }
}

/// Characters that a box holds.
fn room(width: f64) -> usize {
    ((width - 10.0) / 7.1).max(0.0) as usize
}

/// A text cut to the width of a box, or nothing where little would be left.
fn fitted(text: &str, width: f64) -> String {
    let room = room(width);
    match text.chars().count() {
        count if count <= room => text.to_owned(),
        _ if room < 4 => String::new(),
        _ => shorten(text, room),
    }
}

#[cfg(test)]
mod tests {
    use domain::Relation;

    use super::*;

    /// A root with a hundred thousand models below, in two branches and many small ones.
    fn family() -> Family {
        let slice = |name: &str, (depth, start, size): (usize, u64, u64), small| FamilySlice {
            name: Name::from(name),
            depth,
            start,
            size,
            small,
            ..FamilySlice::default()
        };
        let slices = vec![
            slice("o/root", (0, 0, 100_000), (30_000, 39_999, 60_000)),
            slice("o/large", (1, 0, 50_000), (49_999, 49_999, 0)),
            slice("o/small", (1, 50_000, 10_000), (9_999, 9_999, 50_000)),
        ];
        Family { name: Name::from("o/root"), size: 100_000, slices, ..Family::default() }
    }

    #[test]
    fn boxes_and_strips_of_a_generation_fill_their_parent_without_overlap() {
        let icicle = layout(&family());

        let mut column: Vec<&Bar> =
            icicle.bars.iter().chain(&icicle.strips).filter(|bar| bar.x == icicle.bars[1].x).collect();
        column.sort_by(|a, b| a.y.total_cmp(&b.y));
        assert_eq!(column.len(), 3);
        assert!(column.windows(2).all(|pair| (pair[0].y + pair[0].height - pair[1].y).abs() < 1e-6));
        assert!(icicle.bars.iter().all(|bar| bar.y + bar.height <= icicle.height + 1e-6));
        assert!(icicle.strips.iter().any(|strip| strip.label.contains("more")));
    }

    #[test]
    fn what_is_clicked_comes_nearer_and_a_leaf_opens_its_page() {
        let mut family = family();
        family.slices.push(FamilySlice {
            name: Name::from("o/leaf"),
            depth: 1,
            size: 1,
            ..FamilySlice::default()
        });

        let icicle = layout(&family);

        assert_eq!(icicle.bars[1].href, "/o/large/icicle");
        assert_eq!(icicle.rows[3].href, "/o/leaf");
        assert_eq!(icicle.strips[0].href, "/o/root/children");
    }

    #[test]
    fn a_box_can_be_seen_and_what_cannot_be_hit_is_no_link() {
        for size in [40, 41, 458, 639, 640, 641, 100_000, 2_000_000] {
            assert!(least(size) as f64 * HEIGHT / size as f64 >= SEEN, "{size}");
        }
        assert_eq!(least(458), 1, "every model of a family of some hundreds has a box");
        let mut family = family();
        family.slices[2].small = (1_000, 1_000, 50_000);

        let icicle = layout(&family);

        let strips: Vec<(bool, bool)> =
            icicle.strips.iter().map(|strip| (strip.height < TARGET, strip.href.is_empty())).collect();
        assert!(strips.contains(&(true, true)) && strips.contains(&(false, false)), "{strips:?}");
        assert!(strips.iter().all(|(low, bare)| low == bare));
        assert!(icicle.bars.iter().all(|bar| (bar.height < TARGET) == bar.href.is_empty()));
    }

    #[test]
    fn the_models_below_a_wide_star_are_tiles_that_can_be_hit() {
        for leaves in [50_u64, 430, 479] {
            let slice = |(depth, start, size): (usize, u64, u64)| FamilySlice {
                name: Name(format!("o/m-{depth}-{start}")),
                relation: Some(Relation::Quantized).filter(|_| depth > 0),
                depth,
                start,
                size,
                ..FamilySlice::default()
            };
            let slices = std::iter::once(slice((0, 0, leaves + 1)))
                .chain((0..leaves).map(|at| slice((1, at, 1))))
                .collect();
            let family = Family { size: leaves + 1, slices, ..Family::default() };

            let icicle = layout(&family);

            let tiles = &icicle.bars[1..];
            assert!(
                tiles.iter().all(|bar| bar.width >= TARGET && bar.height >= TARGET && !bar.href.is_empty())
            );
            let inside =
                |bar: &Bar| bar.x + bar.width <= WIDTH + 1e-6 && bar.y + bar.height <= icicle.height + 1e-6;
            assert!(tiles.iter().all(inside));
            let apart = |a: &Bar, b: &Bar| {
                a.x + a.width <= b.x + 1e-6
                    || b.x + b.width <= a.x + 1e-6
                    || a.y + a.height <= b.y + 1e-6
                    || b.y + b.height <= a.y + 1e-6
            };
            assert!(
                tiles.iter().enumerate().all(|(at, a)| tiles[..at].iter().all(|b| apart(a, b))),
                "{leaves}"
            );
            assert!(tiles.iter().all(|bar| bar.label.is_empty() == bar.class.ends_with(" low")));
        }
    }

    #[test]
    fn the_relation_of_a_box_is_told_by_its_symbol_or_by_a_pattern() {
        let mut family = family();
        family.slices[2] =
            FamilySlice { size: 100, relation: Some(Relation::Merge), ..family.slices[2].clone() };

        let icicle = layout(&family);

        let told: Vec<(&str, bool)> =
            icicle.bars.iter().map(|bar| (bar.class.as_str(), bar.label.is_empty())).collect();
        assert_eq!(told, [("bar rel-root", false), ("bar rel-root", false), ("bar rel-merge low", true)]);
        let patterned: Vec<&str> = PATTERNS.iter().map(|(word, ..)| *word).collect();
        let relations = Relation::ALL.map(Relation::as_str);
        assert_eq!(patterned, relations[1..]);
    }
}
