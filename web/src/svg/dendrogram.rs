//! How models come together, as a drawing: one row a model, joins to the right, the nearest first.

use crate::view::{Join, Name, told};

const ROW: f64 = 24.0;
const LABELS: f64 = 260.0;
const TREE: f64 = 360.0;
const LABEL: usize = 34;
/// Room for a value.
const VALUE: f64 = 44.0;

/// A line with what it joins in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Bracket {
    pub path: String,
    pub title: String,
    /// Its value and where that stands; none where a later line would run through it.
    pub value: Option<(String, f64, f64)>,
    /// Its right end, and how far it reaches from above to below.
    x: f64,
    reach: (f64, f64),
}

/// The drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Dendrogram {
    pub width: f64,
    pub height: f64,
    /// Name as shown, address, and place from above.
    pub labels: Vec<(String, String, f64)>,
    pub brackets: Vec<Bracket>,
    /// The line of the threshold, from above to below.
    pub cut: Option<f64>,
}

/// Draws joins of models that stand in their order; none where there is nothing to draw.
pub fn draw(models: &[Name], joins: &[Join]) -> Option<Dendrogram> {
    if models.len() < 3 || joins.len() + 1 != models.len() {
        return None;
    }
    let mut places: Vec<(f64, f64)> =
        (0..models.len()).map(|row| (LABELS, ROW * (row as f64 + 0.5))).collect();
    let mut brackets = Vec::new();
    for join in joins {
        let [a, b] = join.parts;
        let (&(ax, ay), &(bx, by)) = (places.get(a)?, places.get(b)?);
        let x = (LABELS + 8.0 + join.height.clamp(0.0, 1.0) * (TREE - 16.0)).max(ax).max(bx);
        let path = format!("M{ax:.1} {ay:.1}H{x:.1}V{by:.1}H{bx:.1}");
        let middle = (ay + by) / 2.0;
        let value = Some((told(join.value), x + 4.0, middle - 4.0));
        let reach = (ay.min(by), ay.max(by));
        brackets.push(Bracket { path, title: join.text.clone(), value, x, reach });
        places.push((x, middle));
    }
    for at in 0..brackets.len() {
        let (before, later) = brackets.split_at_mut(at + 1);
        let Some(bracket) = before.last_mut() else { continue };
        let (x, middle) = (bracket.x, (bracket.reach.0 + bracket.reach.1) / 2.0);
        let crosses = |line: &Bracket| {
            line.x > x && line.x < x + VALUE && line.reach.0 < middle && line.reach.1 > middle - 14.0
        };
        bracket.value = bracket.value.take().filter(|_| !later.iter().any(crosses));
    }
    let label = |name: &Name| match name.0.chars().count() {
        count if count <= LABEL => name.0.clone(),
        count => {
            name.0.chars().skip(count - LABEL + 1).fold("…".to_owned(), |text, c| text + &c.to_string())
        }
    };
    let labels = models.iter().enumerate().map(|(row, name)| {
        let y = ROW * (row as f64 + 0.5);
        (label(name), name.href(), y)
    });
    Some(Dendrogram {
        width: LABELS + TREE + VALUE,
        height: ROW * models.len() as f64,
        labels: labels.collect(),
        brackets,
        cut: None,
    })
}

impl Dendrogram {
    /// With the line that parts the joins before it, which are near enough, from those behind.
    #[must_use]
    pub fn with_cut(self, joins: &[Join], near: impl Fn(&Join) -> bool) -> Self {
        let place = |join: &Join| LABELS + 8.0 + join.height.clamp(0.0, 1.0) * (TREE - 16.0);
        let before = joins.iter().filter(|join| near(join)).map(place).fold(LABELS, f64::max);
        let behind = joins.iter().filter(|join| !near(join)).map(place).fold(LABELS + TREE, f64::min);
        Self { cut: Some((before + behind) / 2.0), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_joins_lie_further_right_and_every_model_has_a_row() {
        let models: Vec<Name> = ["o/a", "o/b", "o/c"].map(Name::from).to_vec();
        let join = |parts, height| Join { parts, height, ..Join::default() };
        let joins = [(join([0, 1], 0.2), 0.874), (join([3, 2], 0.9), 0.2)];

        let drawn = draw(&models, &joins.map(|(join, value)| Join { value, ..join })).unwrap();

        assert_eq!(drawn.labels.iter().map(|(_, _, y)| *y).collect::<Vec<_>>(), [12.0, 36.0, 60.0]);
        assert_eq!(drawn.brackets[0].path, "M260.0 12.0H336.8V36.0H260.0");
        assert!(drawn.brackets[1].path.starts_with("M336.8 24.0H577.6"), "{}", drawn.brackets[1].path);
        assert_eq!(draw(&models[..2], &[]), None);
        let values: Vec<_> = drawn.brackets.iter().filter_map(|bracket| bracket.value.clone()).collect();
        assert_eq!(values, [("0.874".to_owned(), 340.8, 20.0), ("0.200".to_owned(), 581.6, 38.0)]);
        let cut = drawn.with_cut(&[join([0, 1], 0.2), join([3, 2], 0.9)], |join| join.height < 0.5).cut;
        assert!(cut.is_some_and(|cut| cut > 336.8 && cut < 577.6), "{cut:?}");
    }
}
