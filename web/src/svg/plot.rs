//! Bars and intervals: plots small enough to be read as text beside their table.

use super::label::shorten;

/// A bar along the horizontal, in shares of the plot's width.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    pub label: String,
    /// The value as people read it.
    pub text: String,
    pub y: f64,
    pub width: f64,
    /// The ends of an interval around the value, where there is one.
    pub whisker: Option<(f64, f64)>,
    pub title: String,
}

impl Bar {
    /// Where the text beside the bar begins, from the beginning of the bar.
    pub fn end(&self) -> f64 {
        self.width.max(self.whisker.map_or(0.0, |(_, high)| high)) + 7.0
    }
}

/// Bars below each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plot {
    pub width: f64,
    pub height: f64,
    /// Where bars begin.
    pub left: f64,
    /// Whether labels stand above their bars instead of before them.
    pub above: bool,
    pub bars: Vec<Bar>,
}

/// A value to draw.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Value {
    pub label: String,
    pub value: f64,
    pub text: String,
    pub interval: Option<(f64, f64)>,
}

/// The width of a plot, so that its longest bar and the text behind it fit a phone.
const WIDTH: f64 = 320.0;
/// Where less than this would be left for bars, labels stand above them.
const LEAST: f64 = 120.0;
/// The height of a bar with its label before it, and what a label above it takes.
const ROW: f64 = 26.0;
const LINE: f64 = 18.0;
/// Letters of a label before its bar and of one above it, and their width.
const LABEL: usize = 32;
const LABEL_ABOVE: usize = 90;
const LETTER: f64 = 7.6;

/// How values become lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    /// By the logarithm of one more than the value, for counts of many sizes.
    Log,
}

/// Lays bars out; the longest and its text fill the width.
pub fn bars(values: &[Value], scale: Scale) -> Plot {
    let length = |value: f64| match scale {
        Scale::Linear => value.max(0.0),
        Scale::Log => value.max(0.0).ln_1p(),
    };
    let ends = values.iter().flat_map(|value| [Some(value.value), value.interval.map(|(_, high)| high)]);
    let most = ends.flatten().map(length).fold(0.0, f64::max).max(1e-12);
    let letters = |text: &str| text.chars().count().min(LABEL) as f64 * LETTER;
    let widest = |of: fn(&Value) -> &str| values.iter().map(|value| letters(of(value))).fold(0.0, f64::max);
    let (labels, texts) = (widest(|value| &value.label) + 16.0, widest(|value| &value.text) + 10.0);
    let above = WIDTH - labels - texts < LEAST;
    let (left, row, top) = if above { (0.0, ROW + LINE, LINE) } else { (labels, ROW, 0.0) };
    let longest = (WIDTH - left - texts).max(LEAST);
    let across = |value: f64| length(value) / most * longest;
    let label = |value: &Value| shorten(&value.label, if above { LABEL_ABOVE } else { LABEL });
    let bar = |(at, value): (usize, &Value)| Bar {
        label: label(value),
        text: value.text.clone(),
        y: at as f64 * row + top,
        width: across(value.value).max(if value.value > 0.0 { 1.0 } else { 0.0 }),
        whisker: value.interval.map(|(low, high)| (across(low), across(high))),
        title: format!("{}: {}", value.label, value.text),
    };
    let bars: Vec<Bar> = values.iter().enumerate().map(bar).collect();
    let longer = bars.iter().map(|bar| bar.label.chars().count()).max().filter(|_| above);
    let width = (left + longest + texts).max(longer.unwrap_or_default() as f64 * LETTER);
    Plot { width, height: values.len() as f64 * row + 4.0, left, above, bars }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_and_its_text_fill_the_plot_and_none_leaves_it() {
        let value =
            |value: f64, interval| Value { label: "x".repeat(99), text: "2 562".to_owned(), value, interval };
        for scale in [Scale::Linear, Scale::Log] {
            let values =
                [value(0.0, None), value(3.0, Some((2.0, 9.0))), value(1e9, None), value(-1.0, None)];

            let plot = bars(&values, scale);

            let widths: Vec<f64> = plot.bars.iter().map(|bar| bar.width).collect();
            assert!(widths[2] > 200.0 && widths[0] == 0.0 && widths[3] == 0.0, "{widths:?}");
            assert!(plot.bars[2].end() + 5.0 * LETTER <= WIDTH && WIDTH <= plot.width);
            assert!(widths[1] >= 1.0 && plot.bars[1].whisker.unwrap().1 >= plot.bars[1].whisker.unwrap().0);
            assert!(
                plot.bars.iter().all(|bar| bar.y < plot.height && bar.label.chars().count() <= LABEL_ABOVE)
            );
        }
    }

    #[test]
    fn short_labels_stand_before_their_bars_and_long_ones_above_them() {
        let of = |label: &str| {
            let value = Value { label: label.to_owned(), value: 7.0, text: "7".to_owned(), interval: None };
            bars(&[value], Scale::Linear)
        };

        let (short, long) = (of("missing"), of("cc-by-nc-4.0 → apache-2.0"));

        assert!(!short.above && short.left > 50.0 && short.bars[0].y == 0.0);
        assert!(long.above && long.left == 0.0 && long.bars[0].y == LINE);
    }
}
