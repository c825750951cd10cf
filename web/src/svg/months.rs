//! Counts month by month as columns, small enough for a phone.

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub x: f64,
    pub y: f64,
    pub height: f64,
    pub title: String,
}

/// Columns beside each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Columns {
    pub width: f64,
    pub height: f64,
    /// Where columns stand.
    pub floor: f64,
    /// Of each column.
    pub column: f64,
    pub columns: Vec<Column>,
    /// The first month, and the last where it is another one.
    pub span: String,
}

/// The width of the picture, which fits a phone.
const WIDTH: f64 = 320.0;
/// The height that the largest count fills, and what is below it for the names of the ends.
const FULL: f64 = 56.0;
const BELOW: f64 = 20.0;
/// The widest place of a column; one month alone would fill the picture else.
const PLACE: f64 = 24.0;

/// Fewer months or children than these are told sooner than drawn.
const FEW: (usize, u64) = (3, 20);
/// What the names of the ends take.
const ENDS: f64 = 130.0;

/// Lays columns out; the largest count fills the height. None for a few.
pub fn columns(months: &[(String, u64)]) -> Option<Columns> {
    let most = months.iter().map(|(_, count)| *count).max()?;
    let all = months.iter().fold(0_u64, |all, (_, count)| all.saturating_add(*count));
    if months.len() < FEW.0 || all < FEW.1 {
        return None;
    }
    let place = (WIDTH / months.len() as f64).min(PLACE);
    let column = |(at, (month, count)): (usize, &(String, u64))| {
        let height = *count as f64 / most as f64 * FULL;
        let height = if *count > 0 { height.max(1.5) } else { 0.0 };
        Column { x: at as f64 * place, y: FULL - height, height, title: format!("{month}: {count}") }
    };
    let columns = months.iter().enumerate().map(column).filter(|column| column.height > 0.0).collect();
    let mut ends: Vec<&str> =
        months.first().into_iter().chain(months.last()).map(|end| end.0.as_str()).collect();
    ends.dedup();
    Some(Columns {
        width: (place * months.len() as f64).clamp(ENDS, WIDTH),
        height: FULL + BELOW,
        floor: FULL,
        column: if place > 4.0 { place - 1.0 } else { place },
        columns,
        span: ends.join(" – "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_within_the_picture_and_the_largest_fills_it() {
        for count in [3_u64, 7, 240] {
            let months: Vec<(String, u64)> =
                (0..count).map(|at| (format!("m{at}"), (count - 1 - at) * 100_000)).collect();

            let drawn = columns(&months).unwrap();

            assert_eq!(drawn.columns[0].height, FULL);
            let inside = |column: &Column| {
                column.x + drawn.column <= drawn.width
                    && column.y >= 0.0
                    && column.y + column.height <= drawn.floor + 1e-9
            };
            assert!(drawn.columns.iter().all(inside), "{drawn:?}");
            assert!(drawn.width <= WIDTH && drawn.span.contains('–'));
        }
    }

    #[test]
    fn a_month_without_children_has_no_column_and_one_child_is_seen_beside_thousands() {
        let months = [("a".to_owned(), 1), ("b".to_owned(), 0), ("c".to_owned(), 30_000)];

        let drawn = columns(&months).unwrap();

        assert_eq!(
            drawn.columns.iter().map(|column| column.title.as_str()).collect::<Vec<_>>(),
            ["a: 1", "c: 30000"]
        );
        assert!(drawn.columns[0].height >= 1.0);
    }

    #[test]
    fn a_few_children_or_months_are_not_drawn() {
        let months = |counts: &[u64]| -> Vec<(String, u64)> {
            counts.iter().enumerate().map(|(at, count)| (format!("m{at}"), *count)).collect()
        };

        assert_eq!(columns(&months(&[])), None);
        assert_eq!(columns(&months(&[0, 0, 0])), None);
        assert_eq!(columns(&months(&[30, 9])), None);
        assert_eq!(columns(&months(&[9, 9, 1])), None);
        assert!(columns(&months(&[9, 9, 2])).is_some());
    }
}
