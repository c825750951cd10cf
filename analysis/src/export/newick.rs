//! Newick: the tree of primary parents that the model stands in. A branch has a length where the weights were compared: one
//! minus their cosine.

use super::pedigree::Pedigree;

pub(super) fn write(pedigree: &Pedigree) -> String {
    let mut parent: Vec<Option<usize>> = vec![None; pedigree.models.len()];
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); pedigree.models.len()];
    let mut length = vec![String::new(); pedigree.models.len()];
    let mut doubt = vec![""; pedigree.models.len()];
    for edge in pedigree.edges.iter().filter(|edge| edge.primary) {
        parent[edge.child] = Some(edge.parent);
        children[edge.parent].push(edge.child);
        let cosine = edge.cosine.filter(|cosine| cosine.is_finite());
        length[edge.child] =
            cosine.map(|cosine| format!(":{:.6}", (1.0 - cosine).max(0.0))).unwrap_or_default();
        if edge.is_contradicted() {
            doubt[edge.child] = "[contradicted by the weights]";
        }
    }
    let mut root = 0;
    while let Some(above) = parent.get(root).copied().flatten() {
        root = above;
    }
    let mut text = String::new();
    // Each model is met twice: before its children and after them.
    let mut waiting: Vec<(usize, bool)> = vec![(root, false)];
    if pedigree.models.is_empty() {
        waiting.clear();
    }
    while let Some((at, done)) = waiting.pop() {
        if !done && text.ends_with(|last: char| matches!(last, ')' | '\'' | ']') || last.is_ascii_digit()) {
            text.push(',');
        }
        if done || children[at].is_empty() {
            if done {
                text.push(')');
            }
            text.push_str(&label(&pedigree.models[at].name));
            if at != root {
                text.push_str(&length[at]);
            }
            text.push_str(doubt[at]);
        } else {
            text.push('(');
            waiting.push((at, true));
            waiting.extend(children[at].iter().rev().map(|&child| (child, false)));
        }
    }
    if pedigree.truncated {
        text.push_str("[cut at the limit]");
    }
    text.push_str(";\n");
    text
}

/// A quoted label; a quote in it is doubled.
fn label(name: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("'{}'", clean.replace('\'', "''"))
}
