//! One JSON object a line, one line an edge.

use serde_json::json;

use super::pedigree::Pedigree;

pub(super) fn write(pedigree: &Pedigree) -> String {
    let mut text = String::new();
    for edge in &pedigree.edges {
        let (child, parent) = (&pedigree.models[edge.child], &pedigree.models[edge.parent]);
        let line = json!({
            "child": child.name,
            "parent": parent.name,
            "relation": edge.relation,
            "source": edge.sources(),
            "confidence": edge.confidence(),
            "verdict": edge.verdict.map(|verdict| verdict.as_str()),
            "child_revision": child.version(),
            "parent_revision": parent.version(),
        });
        text.push_str(&line.to_string());
        text.push('\n');
    }
    if pedigree.truncated {
        text.push_str(&json!({ "truncated": true }).to_string());
        text.push('\n');
    }
    text
}
