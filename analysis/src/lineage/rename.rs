//! Which names are former names of parents the Hub resolved under their present ones.

use domain::{RepoId, distance};

/// Names compared letter by letter on either side; lists this long come from no person.
const COMPARED: usize = 64;

/// Likeness, in thousandths, below which a name is none of a parent that goes by its present name elsewhere.
const ALIKE: usize = 600;

/// A name that the Hub resolved no parent under.
pub(super) struct Unknown<'a> {
    pub id: &'a RepoId,
    /// A card has it, which the Hub reads: whatever it names, the Hub resolved.
    pub carded: bool,
}

/// A parent the Hub resolved and the source being read does not name.
pub(super) struct Resolved<'a> {
    pub id: &'a RepoId,
    /// Another source already names it as the Hub does.
    pub confirmed: bool,
}

/// The positions in `unknown` of the names most like `resolved` parents, at most one for each.
pub(super) fn former(unknown: &[Unknown<'_>], resolved: &[Resolved<'_>]) -> Vec<usize> {
    let mut pairs = Vec::new();
    for (name, Unknown { id, carded }) in unknown.iter().take(COMPARED).enumerate() {
        for (parent, known) in resolved.iter().take(COMPARED).enumerate() {
            let likeness = likeness(id, known.id);
            if (*carded && !known.confirmed) || likeness >= ALIKE {
                pairs.push((likeness, name, parent));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let (mut names, mut parents) = (Vec::new(), Vec::new());
    for (_, name, parent) in pairs {
        if !names.contains(&name) && !parents.contains(&parent) {
            names.push(name);
            parents.push(parent);
        }
    }
    names
}

/// How alike two ids are, in thousandths: a repository often keeps its name when its owner is renamed.
fn likeness(a: &RepoId, b: &RepoId) -> usize {
    let [a, b] = [a, b].map(|id| id.name().to_ascii_lowercase());
    let longest = a.len().max(b.len());
    1_000 - 1_000 * distance(&a, &b) / longest.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(unknown: &[&str], resolved: &[(&str, bool)]) -> Vec<usize> {
        let id = |name: &str| RepoId::parse(name).unwrap();
        let unknown: Vec<RepoId> = unknown.iter().map(|name| id(name)).collect();
        let resolved: Vec<(RepoId, bool)> = resolved.iter().map(|&(name, sure)| (id(name), sure)).collect();
        let resolved: Vec<Resolved<'_>> =
            resolved.iter().map(|(id, confirmed)| Resolved { id, confirmed: *confirmed }).collect();
        let unknown: Vec<Unknown<'_>> = unknown.iter().map(|id| Unknown { id, carded: true }).collect();
        let mut positions = former(&unknown, &resolved);
        positions.sort_unstable();
        positions
    }

    #[test]
    fn each_parent_takes_the_name_most_like_its_own() {
        let unknown = ["x/other", "THUDM/glm-4", "meta/Meta-Llama-3.1-8B"];

        assert_eq!(found(&unknown, &[("meta/Llama-3.1-8B", false), ("zai-org/GLM-4", false)]), [1, 2]);
        assert_eq!(found(&unknown, &[("y/quite-different", false)]).len(), 1);
        assert!(found(&unknown, &[]).is_empty());
    }

    #[test]
    fn a_parent_named_elsewhere_hides_only_what_is_like_it() {
        let unknown = ["x/other", "meta/Meta-Llama-3.1-8B"];

        assert_eq!(found(&unknown, &[("meta/Llama-3.1-8B", true), ("y/quite-different", true)]), [1]);
    }
}
