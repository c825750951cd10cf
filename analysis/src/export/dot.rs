//! Graphviz DOT. Every id and text is a quoted string, so no name can end one.

use std::fmt::Write as _;

use super::pedigree::Pedigree;

pub(super) fn write(pedigree: &Pedigree) -> String {
    let mut text = String::from("digraph lineage {\n  rankdir=TB;\n  node [shape=box];\n");
    if pedigree.truncated {
        text.push_str("  graph [truncated=true, label=\"cut at the limit\"];\n");
    }
    for (at, model) in pedigree.models.iter().enumerate() {
        let style = match (at, model.ghost) {
            (0, false) => ", style=bold",
            (0, true) => ", style=\"bold,dashed\"",
            (_, true) => ", style=dashed",
            _ => "",
        };
        let licence = model.licence.as_deref().unwrap_or_default();
        let _ = writeln!(
            text,
            "  {} [ghost={}, licence={}{style}];",
            quoted(&model.name),
            model.ghost,
            quoted(licence)
        );
    }
    for edge in &pedigree.edges {
        let [parent, child] = [edge.parent, edge.child].map(|at| quoted(&pedigree.models[at].name));
        let style = if edge.primary { "" } else { ", style=dotted" };
        let verdict = edge.verdict.map_or(String::new(), |verdict| format!(", verdict={}", verdict.as_str()));
        let colour = if edge.is_contradicted() { ", color=red" } else { "" };
        let _ = writeln!(
            text,
            "  {parent} -> {child} [label={}, relation={}, evidence={}, confidence={}{verdict}{colour}{style}];",
            quoted(edge.relation.as_str()),
            quoted(edge.relation.as_str()),
            quoted(&edge.sources().join(",")),
            edge.confidence()
        );
    }
    text.push_str("}\n");
    text
}

/// A quoted string: only `"` and `\` mean something in one; control characters become spaces.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
