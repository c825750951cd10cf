//! One shape per relation, so that colour never stands alone.

use domain::Relation;

/// SVG path of the mark of a relation, centred on the origin; `None` is the root's star.
pub fn mark(relation: Option<Relation>) -> &'static str {
    match relation {
        None => "M0-10L2.6-2.6 10 0 2.6 2.6 0 10-2.6 2.6-10 0-2.6-2.6Z",
        Some(Relation::Finetune) => "M-8 0a8 8 0 1 0 16 0a8 8 0 1 0-16 0Z",
        Some(Relation::Adapter) => "M0-9.5L9.5 0 0 9.5-9.5 0Z",
        Some(Relation::Quantized) => "M-7.5-7.5H7.5V7.5H-7.5Z",
        Some(Relation::Merge) => "M0-9L9.5 7.5H-9.5Z",
        Some(Relation::Transfer) => "M-8.5-8H1L9 0 1 8H-8.5Z",
        Some(Relation::Conversion) => {
            "M-8 0a8 8 0 1 0 16 0a8 8 0 1 0-16 0ZM-4.5 0a4.5 4.5 0 1 1 9 0a4.5 4.5 0 1 1-9 0Z"
        }
        Some(Relation::Distil) => "M0 9L9.5-7.5H-9.5Z",
    }
}

/// The legend: mark and word of every relation, the root first.
pub fn legend() -> Vec<(&'static str, &'static str)> {
    let relations = Relation::ALL.map(|relation| (mark(Some(relation)), relation.as_str()));
    std::iter::once((mark(None), "root")).chain(relations).collect()
}

/// Word and letter of every relation, the root first.
pub fn symbols() -> Vec<(&'static str, &'static str)> {
    let relations = Relation::ALL.map(|relation| (relation.as_str(), symbol(Some(relation))));
    std::iter::once(("root", symbol(None))).chain(relations).collect()
}

/// The mark of a relation as a letter of a text.
pub fn symbol(relation: Option<Relation>) -> &'static str {
    match relation {
        None => "✦",
        Some(Relation::Finetune) => "●",
        Some(Relation::Adapter) => "◆",
        Some(Relation::Quantized) => "■",
        Some(Relation::Merge) => "▲",
        Some(Relation::Transfer) => "▶",
        Some(Relation::Conversion) => "◌",
        Some(Relation::Distil) => "▼",
    }
}
