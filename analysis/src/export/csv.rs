//! CSV after RFC 4180: one line an edge, with a head.

use super::pedigree::Pedigree;

const HEAD: &str = "child,parent,relation,primary,evidence,confidence,verdict,child_licence,parent_licence,child_ghost,parent_ghost,truncated";

pub(super) fn write(pedigree: &Pedigree) -> String {
    let mut text = format!("{HEAD}\r\n");
    for edge in &pedigree.edges {
        let (child, parent) = (&pedigree.models[edge.child], &pedigree.models[edge.parent]);
        let licence = |licence: &Option<String>| cell(licence.as_deref().unwrap_or_default());
        let cells = [
            cell(&child.name),
            cell(&parent.name),
            edge.relation.to_string(),
            edge.primary.to_string(),
            edge.sources().join(" "),
            edge.confidence().to_string(),
            edge.verdict.map_or(String::new(), |verdict| verdict.as_str().to_owned()),
            licence(&child.licence),
            licence(&parent.licence),
            child.ghost.to_string(),
            parent.ghost.to_string(),
            pedigree.truncated.to_string(),
        ];
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

/// A text as a cell after RFC 4180. What a spreadsheet would take for a formula gets a quote before it.
pub fn cell(text: &str) -> String {
    let number = text.parse::<f64>().is_ok();
    let formula = !number && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
