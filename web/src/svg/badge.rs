//! A small sign for other people's pages: what a model descends from, and how well that is known.

/// A sign of two boxes, in pixels.
#[derive(Debug)]
pub struct Badge {
    pub left: &'static str,
    pub right: String,
    pub title: String,
    pub class: &'static str,
    pub width: u32,
    /// Where the second box begins, and how wide it is.
    pub at: u32,
    pub rest: u32,
    /// The middles of both texts.
    pub middles: (u32, u32),
}

/// Characters of a name.
const MOST: usize = 60;

/// Draws a sign with a text; `class` colours its second box.
pub fn draw(left: &'static str, (right, class): (&str, &'static str)) -> Badge {
    let right = super::label::shorten(right, MOST);
    let width = |text: &str| {
        // About what sans-serif letters of 11 pixels take.
        let letter =
            |c: char| if c.is_ascii_uppercase() || matches!(c, 'm' | 'w' | 'M' | 'W') { 80 } else { 65 };
        text.chars().map(letter).sum::<u32>() / 10 + 12
    };
    let (at, rest) = (width(left), width(&right));
    Badge {
        title: format!("{left} {right}"),
        left,
        right,
        class,
        width: at + rest,
        at,
        rest,
        middles: (at / 2, at + rest / 2),
    }
}
