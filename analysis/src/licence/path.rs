//! A model's licence against those of all its ancestors, with the way each obligation takes down to it.

use std::collections::HashMap;

use domain::{
    Relation,
    licence::{Family, Obligation, lookup},
};
use serde::Serialize;

use super::rules::{Judgement, Rule, Verdict, judge};
use crate::lineage::{Forest, Reach, Shown, ends};

/// A parent's licence beside the model's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    pub parent: String,
    pub ghost: bool,
    pub relation: Relation,
    pub licence: Option<String>,
    pub verdict: Verdict,
    pub rule: Rule,
    pub reason: &'static str,
}

/// What an ancestor's licence asks, and what became of it on the way down.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Carried {
    pub ancestor: String,
    pub licence: String,
    pub family: Family,
    pub obligations: Vec<Obligation>,
    pub verdict: Verdict,
    pub rule: Rule,
    pub reason: &'static str,
    /// A shortest way from the ancestor down to the model, both included; of more than 64 models the first and the last 32.
    pub path: Vec<String>,
    /// Models left out between the two halves.
    pub path_hidden: usize,
    /// The first model on it whose licence drops what the ancestor's asks.
    pub dropped_by: Option<String>,
}

/// Two ancestors whose licences each have to be the child's licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tension {
    pub parents: [String; 2],
    pub licences: [String; 2],
}

/// Everything to be said of a model's licence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LicencePath {
    pub model: String,
    pub licence: Option<String>,
    pub spdx: Option<&'static str>,
    /// The id leaves open which version or variant SPDX would name.
    pub approximate: bool,
    pub family: Family,
    pub obligations: Vec<Obligation>,
    pub parents: Vec<Judged>,
    /// Ancestors with a licence, nearest first.
    pub ancestors: Vec<Carried>,
    /// How many of the ancestors are in conflict.
    pub conflicts: usize,
    /// How many of them no rule decides about, since a licence is not known.
    pub undetermined: usize,
    pub tensions: Vec<Tension>,
    /// Ancestors that state no licence.
    pub unstated: usize,
    /// Whether the cap left ancestors out.
    pub truncated: bool,
}

/// Judges a model against at most `cap` ancestors over all edges, merges included. `None` for an unknown model.
pub fn licence_path(forest: &Forest, id: i64, cap: usize) -> Option<LicencePath> {
    let node = forest.node(id)?;
    let own = node.license;
    let parents: Vec<Judged> = forest
        .parents(id)
        .into_iter()
        .filter_map(|link| {
            let parent = forest.node(link.id)?;
            let Judgement { verdict, rule } = judge(parent.license, own);
            Some(Judged {
                parent: parent.name.to_owned(),
                ghost: parent.ghost,
                relation: link.relation,
                licence: parent.license.map(str::to_owned),
                verdict,
                rule,
                reason: rule.sentence(),
            })
        })
        .collect();
    let around = forest.neighbourhood(id, Reach { up: usize::MAX, down: 0, cap });
    let mut below: HashMap<usize, usize> = HashMap::new();
    // Nearest first: the child a model is first met under lies on a shortest way.
    for step in &around.edges {
        below.entry(step.parent).or_insert(step.child);
    }
    let named = |at: usize| forest.node(around.models[at]);
    let (mut ancestors, mut unstated) = (Vec::new(), 0);
    for at in 1..around.models.len() {
        let Some(ancestor) = named(at) else { continue };
        let Some(licence) = ancestor.license else {
            unstated += 1;
            continue;
        };
        let mut way: Vec<Shown<'_>> = vec![ancestor];
        let mut place = at;
        while let Some(&next) = below.get(&place) {
            way.extend(named(next));
            place = next;
            if place == 0 {
                break;
            }
        }
        ancestors.push(carried(licence, &way, own));
    }
    let count = |verdict| ancestors.iter().filter(|carried| carried.verdict == verdict).count();
    let licence = own.and_then(lookup);
    Some(LicencePath {
        model: node.name.to_owned(),
        licence: node.license.map(str::to_owned),
        spdx: licence.and_then(|licence| licence.spdx),
        approximate: licence.is_some_and(|licence| licence.approximate),
        family: licence.map_or(Family::Undetermined, |licence| licence.family),
        obligations: licence.map_or_else(Vec::new, |licence| licence.obligations.to_vec()),
        tensions: tensions(
            &parents
                .iter()
                .map(|judged| Claimed { parent: &judged.parent, licence: judged.licence.as_deref() })
                .collect::<Vec<_>>(),
        ),
        parents,
        conflicts: count(Verdict::Conflict),
        undetermined: count(Verdict::Undetermined),
        ancestors,
        unstated,
        truncated: around.truncated,
    })
}

fn carried(licence: &str, way: &[Shown<'_>], own: Option<&str>) -> Carried {
    let Judgement { verdict, rule } = judge(Some(licence), own);
    let drops = |node: &&Shown<'_>| judge(Some(licence), node.license).verdict == Verdict::Conflict;
    let known = lookup(licence);
    let (told, path_hidden) = ends(way);
    Carried {
        ancestor: way[0].name.to_owned(),
        family: known.map_or(Family::Undetermined, |licence| licence.family),
        obligations: known.map_or_else(Vec::new, |licence| licence.obligations.to_vec()),
        verdict,
        rule,
        reason: rule.sentence(),
        path: told.map(|node| node.name.to_owned()).collect(),
        path_hidden,
        dropped_by: way[1..].iter().find(drops).map(|node| node.name.to_owned()),
        licence: licence.to_owned(),
    }
}

/// A parent by name with its licence.
pub(super) struct Claimed<'a> {
    pub parent: &'a str,
    pub licence: Option<&'a str>,
}

/// Pairs of parents of which each wants its own licence carried on; one pair for each two licences.
pub(super) fn tensions(parents: &[Claimed<'_>]) -> Vec<Tension> {
    let demanding: Vec<(&str, String)> = parents
        .iter()
        .filter_map(|parent| {
            let licence = lookup(parent.licence?)?;
            let demands = licence.asks(Obligation::ShareAlike) || licence.asks(Obligation::OwnTerms);
            demands.then(|| (parent.parent, licence.id.to_owned()))
        })
        .collect();
    let mut found: Vec<Tension> = Vec::new();
    for (at, (one, first)) in demanding.iter().enumerate() {
        for (other, second) in &demanding[at + 1..] {
            let mut pair = [(first.clone(), *one), (second.clone(), *other)];
            pair.sort();
            let licences = [pair[0].0.clone(), pair[1].0.clone()];
            if first != second && !found.iter().any(|tension| tension.licences == licences) {
                found.push(Tension { parents: [pair[0].1.to_owned(), pair[1].1.to_owned()], licences });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use domain::EdgeStatus;

    use super::*;
    use crate::lineage::{ForestEdge, Node};

    fn forest(licences: &[Option<&str>], edges: &[(i64, i64)]) -> Forest {
        let nodes = (1..).zip(licences).map(|(id, licence)| Node {
            id,
            name: format!("org/m{id}"),
            created_at: Some(id),
            ghost: false,
            downloads: None,
            license: licence.map(str::to_owned),
            size: None,
        });
        let edges = (1..).zip(edges).map(|(id, &(child, parent))| ForestEdge {
            id,
            child,
            parent,
            relation: Relation::Merge,
            status: EdgeStatus::Accepted,
        });
        Forest::build(nodes, edges)
    }

    #[test]
    fn an_obligation_dropped_on_the_way_is_found_with_who_dropped_it() {
        let forest = forest(&[Some("llama3"), Some("mit"), Some("apache-2.0")], &[(2, 1), (3, 2)]);

        let path = licence_path(&forest, 3, 100).unwrap();

        assert_eq!(path.parents[0].verdict, Verdict::Compatible);
        assert_eq!(path.conflicts, 1);
        let root = &path.ancestors[1];
        assert_eq!(root.path, ["org/m1", "org/m2", "org/m3"]);
        assert_eq!((root.rule, root.dropped_by.as_deref()), (Rule::OwnTerms, Some("org/m2")));
    }

    #[test]
    fn of_a_long_way_both_ends_are_named_and_who_drops_is_found_all_the_same() {
        let mut licences = vec![Some("apache-2.0"); 100];
        (licences[0], licences[90]) = (Some("cc-by-nc-4.0"), Some("cc-by-nc-4.0"));
        licences[1..90].fill(Some("cc-by-nc-4.0"));
        let edges: Vec<(i64, i64)> = (1..100).map(|at| (at + 1, at)).collect();
        let forest = forest(&licences, &edges);

        let path = licence_path(&forest, 100, 1_000).unwrap();

        let (near, far) = (&path.ancestors[0], &path.ancestors[98]);
        assert_eq!((near.path.len(), near.path_hidden), (2, 0));
        assert_eq!((far.path.len(), far.path_hidden), (64, 36));
        assert_eq!(
            [0, 31, 32, 63].map(|at| far.path[at].as_str()),
            ["org/m1", "org/m32", "org/m69", "org/m100"]
        );
        assert_eq!(far.dropped_by.as_deref(), Some("org/m92"));
    }

    #[test]
    fn what_no_rule_decides_about_is_counted_with_who_dropped_what_was_asked() {
        let forest = forest(&[Some("llama3"), Some("apache-2.0"), Some("other")], &[(2, 1), (3, 2)]);

        let path = licence_path(&forest, 3, 100).unwrap();

        assert_eq!((path.conflicts, path.undetermined, path.ancestors.len()), (0, 2, 2));
        assert_eq!(path.ancestors[1].dropped_by.as_deref(), Some("org/m2"));
    }

    #[test]
    fn parents_that_each_want_their_own_licence_are_a_tension() {
        let forest = forest(
            &[Some("llama3"), Some("gemma"), Some("llama3"), Some("mit"), None],
            &[(5, 1), (5, 2), (5, 3), (5, 4)],
        );

        let path = licence_path(&forest, 5, 100).unwrap();

        assert_eq!(path.tensions.len(), 1);
        assert_eq!(path.tensions[0].licences, ["gemma", "llama3"]);
        assert!(path.parents.iter().all(|parent| parent.verdict == Verdict::Missing));
    }

    #[test]
    fn ancestors_beyond_the_cap_are_said_to_be_missing() {
        let forest = forest(&[Some("mit"), Some("mit"), Some("mit")], &[(2, 1), (3, 2)]);

        let path = licence_path(&forest, 3, 2).unwrap();

        assert_eq!(path.ancestors.len(), 1);
        assert!(path.truncated);
    }
}
