//! What is written in a tree: the names of models, cut to fit, what a tooltip says, and how large a mark is.

use domain::Relation;

use crate::view::{Count, LineageNode, Name};

/// The two lines of a node's name.
pub(super) struct Label {
    pub org: String,
    pub name: String,
    pub width: f64,
}

impl Label {
    /// At most `most` characters a line; a node in focus, which has a place, is set bold.
    pub fn of(node: &LineageNode, most: usize, focused: Option<usize>) -> Self {
        let (org, name) = (shorten(node.name.org(), most), shorten(node.name.short(), most));
        let bold = if focused.is_some() { 1.12 } else { 1.0 };
        let width = (bold * width(&name)).max(0.8 * width(&org));
        Self { org, name, width }
    }
}

/// About how wide a label is set, erring to the wide side.
pub(super) fn width(label: &str) -> f64 {
    label.chars().map(|c| if c.is_uppercase() || matches!(c, 'm' | 'w' | '_') { 10.4 } else { 7.9 }).sum()
}

/// A text of at most so many characters; of a longer one the beginning and the end stay, where names differ.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let end = most.saturating_sub(1) * 2 / 5;
    let begin = most.saturating_sub(1) - end;
    text.chars().take(begin).chain(['…']).chain(text.chars().skip(count - end)).collect()
}

/// A name in at most so many lines of so many characters, broken behind `-`, `_` and spaces; what does not fit is shortened.
pub(crate) fn wrapped(name: &str, (room, most): (usize, usize)) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in name.split_inclusive(['-', '_', ' ']) {
        let long = |line: &String| line.chars().count() + piece.chars().count() > room;
        let open = lines.len() < most;
        match lines.last_mut() {
            Some(line) if line.is_empty() || !open || !long(line) => line.push_str(piece),
            _ => lines.push(piece.to_owned()),
        }
    }
    lines.iter().map(|line| shorten(line, room)).collect()
}

/// What stands for children that are only counted.
pub(super) fn more_text(count: u64, relation: Option<Relation>) -> String {
    let kind = match relation {
        None => String::new(),
        Some(Relation::Quantized) => " quantized".to_owned(),
        Some(Relation::Distil) => " distilled".to_owned(),
        Some(relation) if count == 1 => format!(" {relation}"),
        Some(relation) => format!(" {relation}s"),
    };
    format!("+{} more{kind}", Count(count))
}

/// The id of a model's node: its name; one without an organisation could be the id of something else on the page.
pub(super) fn id(name: &Name) -> String {
    if name.org().is_empty() { format!("model/{name}") } else { name.0.clone() }
}

/// How large a mark is drawn: from 0.8 without downloads to 1.4 with a million and more.
pub(super) fn scale(downloads: Option<u64>) -> f64 {
    let Some(downloads) = downloads else { return 1.0 };
    let scale = 0.8 + 0.1 * (downloads as f64 + 1.0).log10();
    (scale.min(1.4) * 100.0).round() / 100.0
}

/// From a mark of the usual size to its label.
const MARGIN: f64 = 17.0;

/// Where the label of a node begins: behind its mark, however large that is drawn.
pub(super) fn label_x(node: &LineageNode) -> f64 {
    (MARGIN * scale(node.downloads).max(1.0)).round()
}

/// The tooltip of a node: how it descends, its licence, what is known of the edge above it.
pub(super) fn title(nodes: &[LineageNode], at: usize) -> String {
    let node = &nodes[at];
    let relation = node.relation.map_or("root", |relation| relation.as_str());
    let ghost = if node.ghost { ", only known by name" } else { "" };
    let known = match node.grounds() {
        grounds if node.relation.is_some() && node.beside.is_none() && !grounds.is_empty() => {
            format!("; {grounds}")
        }
        _ => String::new(),
    };
    let downloads = node.downloads.map(|count| format!(", {} downloads", Count(count))).unwrap_or_default();
    let advised = if node.advised { "; an advisory is in force about it" } else { "" };
    let beside = match node.beside.and_then(|child| Some((child, nodes.get(child)?))) {
        Some((child, of)) => {
            let edge = nodes[child].further.iter().find(|further| further.node == at);
            let told = edge.map(|edge| format!(": {}", edge.told())).unwrap_or_default();
            format!("; a further parent of {}{told}", of.name)
        }
        None => String::new(),
    };
    let licence = node.licence_class().meaning;
    format!("{} ({relation}, {licence}{downloads}{ghost}{known}{beside}{advised})", node.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_at_their_end_stay_different_when_they_are_shortened() {
        let names = ["Kosmos-EVAA-immersive-mix-v45-8B", "Kosmos-EVAA-immersive-mix-v45.1-8B"];

        let short = names.map(|name| shorten(name, 26));

        assert_eq!(short, ["Kosmos-EVAA-imm…mix-v45-8B", "Kosmos-EVAA-imm…x-v45.1-8B"]);
        assert_eq!([shorten("short", 5), shorten("longer", 1)], ["short", "…"]);
    }

    #[test]
    fn a_name_is_broken_over_lines_before_it_is_shortened() {
        assert_eq!(wrapped("gemma-2-9b-it", (8, 3)), ["gemma-2-", "9b-it"]);
        assert_eq!(wrapped("gemma-2-9b-it", (8, 1)), ["gemma…it"]);
        assert_eq!(wrapped("Llama-3.1-8B-Instruct", (9, 2)), ["Llama-", "3.1-8…uct"]);
    }

    #[test]
    fn what_is_only_counted_is_told_in_the_words_of_relations() {
        assert_eq!(more_text(1, Some(Relation::Merge)), "+1 more merge");
        assert_eq!(more_text(2, Some(Relation::Finetune)), "+2 more finetunes");
        assert_eq!(more_text(2, Some(Relation::Quantized)), "+2 more quantized");
        assert_eq!(more_text(1, None), "+1 more");
    }
}
