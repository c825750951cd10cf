//! Licence conflicts over a whole registry: counts by verdict and by pair of licences, and the edges themselves.

use std::collections::HashMap;

use domain::Relation;
use serde::Serialize;

use super::{
    path::{Claimed, tensions},
    rules::{Judgement, Rule, Verdict, judge},
};
use crate::lineage::Forest;

/// Edges of one verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VerdictCount {
    pub verdict: Verdict,
    pub edges: u64,
}

/// Edges from one licence to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairCount {
    pub parent: String,
    pub child: String,
    pub rule: Rule,
    pub edges: u64,
}

/// One edge in conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    pub child: String,
    pub parent: String,
    pub relation: Relation,
    pub child_licence: String,
    pub parent_licence: String,
    pub rule: Rule,
}

/// Licences over all edges between models that are here themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LicenceSurvey {
    pub edges: u64,
    /// Edges left out because one end is only a name.
    pub outside: u64,
    pub verdicts: Vec<VerdictCount>,
    /// Pairs in conflict, most edges first.
    pub pairs: Vec<PairCount>,
    /// Edges in conflict, by child, then parent; at most as many as asked for.
    pub conflicts: Vec<Conflict>,
    /// Models of which two parents each want their own licence carried on.
    pub tensions: u64,
    /// Whether conflicts or pairs were left out.
    pub truncated: bool,
}

/// An edge in conflict by the numbers of its ends.
type Found = (i64, i64, Relation, Rule);

/// Judges every edge; lists at most `most` conflicts and pairs.
pub fn survey(forest: &Forest, most: usize) -> LicenceSurvey {
    let mut counts = HashMap::<Verdict, u64>::new();
    let mut pairs = HashMap::<(&str, &str), (Rule, u64)>::new();
    let (mut outside, mut edges, mut tense) = (0, 0, 0);
    let mut found: Vec<Found> = Vec::new();
    let mut descents = forest.descents();
    descents.sort_by_key(|(child, ..)| *child);
    for family in descents.chunk_by(|a, b| a.0 == b.0) {
        let mut parents = Vec::new();
        for &(child, parent, relation) in family {
            let (Some(child), Some(parent)) = (forest.node(child), forest.node(parent)) else { continue };
            if child.ghost || parent.ghost {
                outside += 1;
                continue;
            }
            edges += 1;
            let Judgement { verdict, rule } = judge(parent.license, child.license);
            *counts.entry(verdict).or_default() += 1;
            parents.push(Claimed { parent: parent.name, licence: parent.license });
            if verdict == Verdict::Conflict {
                let pair = [parent, child].map(|model| model.license.unwrap_or_default());
                pairs.entry((pair[0], pair[1])).or_insert((rule, 0)).1 += 1;
                found.push((child.id, parent.id, relation, rule));
            }
        }
        tense += u64::from(!tensions(&parents).is_empty());
    }
    drop(descents);
    let name = |id: i64| forest.node(id).map_or("", |node| node.name);
    let licence = |id: i64| forest.node(id).and_then(|node| node.license).unwrap_or_default().to_owned();
    found.sort_unstable_by(|a, b| (name(a.0), name(a.1)).cmp(&(name(b.0), name(b.1))));
    let mut pairs: Vec<PairCount> = pairs
        .into_iter()
        .map(|((parent, child), (rule, edges))| PairCount {
            parent: parent.to_owned(),
            child: child.to_owned(),
            rule,
            edges,
        })
        .collect();
    pairs.sort_unstable_by(|a, b| {
        b.edges.cmp(&a.edges).then_with(|| (&a.parent, &a.child).cmp(&(&b.parent, &b.child)))
    });
    let truncated = found.len() > most || pairs.len() > most;
    pairs.truncate(most);
    let conflict = |(child, parent, relation, rule): Found| Conflict {
        child: name(child).to_owned(),
        parent: name(parent).to_owned(),
        relation,
        child_licence: licence(child),
        parent_licence: licence(parent),
        rule,
    };
    LicenceSurvey {
        edges,
        outside,
        verdicts: Verdict::ALL
            .map(|verdict| VerdictCount { verdict, edges: counts.get(&verdict).copied().unwrap_or_default() })
            .to_vec(),
        pairs,
        // What is held of a report is what it lists.
        conflicts: found.iter().take(most).copied().map(conflict).collect(),
        tensions: tense,
        truncated,
    }
}
