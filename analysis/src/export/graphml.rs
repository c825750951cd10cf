//! GraphML with typed attributes on models and edges.

use std::fmt::Write as _;

use super::pedigree::Pedigree;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">
  <key id="focus" for="graph" attr.name="focus" attr.type="string"/>
  <key id="truncated" for="graph" attr.name="truncated" attr.type="boolean"/>
  <key id="ghost" for="node" attr.name="ghost" attr.type="boolean"/>
  <key id="licence" for="node" attr.name="licence" attr.type="string"/>
  <key id="task" for="node" attr.name="task" attr.type="string"/>
  <key id="downloads" for="node" attr.name="downloads" attr.type="long"/>
  <key id="created" for="node" attr.name="created_at" attr.type="long"/>
  <key id="relation" for="edge" attr.name="relation" attr.type="string"/>
  <key id="primary" for="edge" attr.name="primary" attr.type="boolean"/>
  <key id="evidence" for="edge" attr.name="evidence" attr.type="string"/>
  <key id="confidence" for="edge" attr.name="confidence" attr.type="double"/>
  <key id="verdict" for="edge" attr.name="verdict" attr.type="string"/>
"#;

pub(super) fn write(pedigree: &Pedigree) -> String {
    let mut text = String::from(HEAD);
    text.push_str("  <graph id=\"lineage\" edgedefault=\"directed\">\n");
    let focus = pedigree.models.first().map_or("", |model| model.name.as_str());
    let _ = writeln!(text, "    <data key=\"focus\">{}</data>", escaped(focus));
    let _ = writeln!(text, "    <data key=\"truncated\">{}</data>", pedigree.truncated);
    for model in &pedigree.models {
        let _ = write!(
            text,
            "    <node id=\"{}\"><data key=\"ghost\">{}</data>",
            escaped(&model.name),
            model.ghost
        );
        for (key, value) in [("licence", &model.licence), ("task", &model.task)] {
            if let Some(value) = value {
                let _ = write!(text, "<data key=\"{key}\">{}</data>", escaped(value));
            }
        }
        for (key, value) in [("downloads", model.downloads), ("created", model.created_at)] {
            if let Some(value) = value {
                let _ = write!(text, "<data key=\"{key}\">{value}</data>");
            }
        }
        text.push_str("</node>\n");
    }
    for edge in &pedigree.edges {
        let [parent, child] = [edge.parent, edge.child].map(|at| escaped(&pedigree.models[at].name));
        let verdict = edge
            .verdict
            .map_or(String::new(), |verdict| format!("<data key=\"verdict\">{}</data>", verdict.as_str()));
        let _ = writeln!(
            text,
            "    <edge source=\"{parent}\" target=\"{child}\"><data key=\"relation\">{}</data><data \
             key=\"primary\">{}</data><data key=\"evidence\">{}</data><data key=\"confidence\">{}</data>{verdict}</edge>",
            edge.relation,
            edge.primary,
            edge.sources().join(","),
            edge.confidence()
        );
    }
    text.push_str("  </graph>\n</graphml>\n");
    text
}

/// Text for content and attributes; characters that XML 1.0 has no way to write become spaces.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => out.push(' '),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
