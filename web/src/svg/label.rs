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
        let (org, name) = (clip(node.name.org(), most), clip(node.name.short(), most));
        let bold = if focused.is_some() { 1.12 } else { 1.0 };
        let width = (bold * width(&name)).max(0.8 * width(&org));
        Self { org, name, width }
    }
}

/// About how wide a label is set, erring to the wide side.
pub(super) fn width(label: &str) -> f64 {
    label.chars().map(|c| if c.is_uppercase() || matches!(c, 'm' | 'w' | '_') { 10.4 } else { 7.9 }).sum()
}

fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// What stands for children that are only counted.
pub(super) fn more_text(count: u64, relation: Option<Relation>) -> String {
    let kind = relation.map_or("", |relation| match relation {
        Relation::Finetune => " fine-tunes",
        Relation::Adapter => " adapters",
        Relation::Quantized => " quantised",
        Relation::Merge => " merges",
        Relation::Transfer => " transfers",
    });
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
