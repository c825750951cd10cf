//! Licence conflicts over a whole registry: counts by verdict and by pair of licences, and the edges themselves.

use std::collections::{BTreeMap, HashMap};

use domain::Relation;
use serde::Serialize;

use super::{
    path::{Judged, tensions},
    rules::{Judgement, Rule, Verdict, judge},
};
use crate::lineage::{Forest, Node};

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

/// Judges every edge; lists at most `most` conflicts and pairs.
pub fn survey(forest: &Forest, most: usize) -> LicenceSurvey {
    let (mut counts, mut pairs) =
        (HashMap::<Verdict, u64>::new(), BTreeMap::<(String, String), (Rule, u64)>::new());
    let (mut outside, mut edges) = (0, 0);
    let mut conflicts = Vec::new();
    let mut merged: BTreeMap<i64, Vec<Judged>> = BTreeMap::new();
    for (child, parent, relation) in forest.descents() {
        let (Some(child), Some(parent)) = (forest.node(child), forest.node(parent)) else { continue };
        if child.ghost || parent.ghost {
            outside += 1;
            continue;
        }
        edges += 1;
        let Judgement { verdict, rule } = judge(parent.license.as_deref(), child.license.as_deref());
        *counts.entry(verdict).or_default() += 1;
        merged.entry(child.id).or_default().push(judged(parent, relation, (verdict, rule)));
        if verdict == Verdict::Conflict {
            let [theirs, own] = [parent, child].map(|node| node.license.clone().unwrap_or_default());
            pairs.entry((theirs.clone(), own.clone())).or_insert((rule, 0)).1 += 1;
            conflicts.push(Conflict {
                child: child.name.clone(),
                parent: parent.name.clone(),
                relation,
                child_licence: own,
                parent_licence: theirs,
                rule,
            });
        }
    }
    let tense = merged.values().filter(|parents| !tensions(parents).is_empty()).count();
    conflicts.sort_unstable_by(|a, b| (&a.child, &a.parent).cmp(&(&b.child, &b.parent)));
    let mut pairs: Vec<PairCount> = pairs
        .into_iter()
        .map(|((parent, child), (rule, edges))| PairCount { parent, child, rule, edges })
        .collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.edges));
    let truncated = conflicts.len() > most || pairs.len() > most;
    conflicts.truncate(most);
    pairs.truncate(most);
    LicenceSurvey {
        edges,
        outside,
        verdicts: Verdict::ALL
            .map(|verdict| VerdictCount { verdict, edges: counts.get(&verdict).copied().unwrap_or_default() })
            .to_vec(),
        pairs,
        conflicts,
        tensions: tense as u64,
        truncated,
    }
}

fn judged(parent: &Node, relation: Relation, (verdict, rule): (Verdict, Rule)) -> Judged {
    Judged {
        parent: parent.name.clone(),
        ghost: parent.ghost,
        relation,
        licence: parent.license.clone(),
        verdict,
        rule,
        reason: rule.sentence(),
    }
}
