//! Papers that a card links to on arXiv.

/// Most papers tagged of one card.
const MOST: usize = 100;

/// What stands before the number of a paper in a link.
const PLACES: [&str; 5] =
    ["arxiv.org/abs/", "arxiv.org/pdf/", "arxiv.org/html/", "huggingface.co/papers/", "hf.co/papers/"];

/// `arxiv:` tags of the papers that a text links to, in their order, without versions.
pub fn papers(text: &str) -> Vec<String> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for place in PLACES {
        let ends = text.match_indices(place).map(|(at, _)| at + place.len());
        found.extend(ends.filter_map(|at| Some((at, number(&text[at..])?))));
    }
    found.sort_unstable();
    let mut tags: Vec<String> = Vec::new();
    for tag in found.into_iter().map(|(_, number)| format!("arxiv:{number}")) {
        if tags.len() < MOST && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// The number that a text begins with, as `2403.04652`: four digits, and four or five after a point.
fn number(text: &str) -> Option<String> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (month, rest) = (digits(text), text.get(4..)?.strip_prefix('.')?);
    let paper = digits(rest);
    (month == 4 && (4..=5).contains(&paper)).then(|| text[..5 + paper].to_owned())
}

#[cfg(test)]
mod tests {
    use super::papers;

    #[test]
    fn links_to_papers_are_tags_without_versions() {
        let text = "[a](https://arxiv.org/pdf/2403.04652v2.pdf) http://arxiv.org/abs/1910.01108, \
            https://huggingface.co/papers/2403.04652 https://arxiv.org/abs/hep-th/9901001 \
            arxiv.org/abs/2403.1 arxiv.org/abs/24é3.04652 arxiv.org/abs/2403.123456";

        assert_eq!(papers(text), ["arxiv:2403.04652", "arxiv:1910.01108"]);
    }
}
