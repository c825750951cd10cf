//! Directed drift: which values of a trait give way to which, and the order that explains most of it.

use std::collections::{BTreeMap, HashMap};

use domain::Relation;
use serde::Serialize;

use super::{
    ordered::order,
    table::{Trait, TraitTable},
};

/// Values put in order at most; of more, those with the most changes.
const ORDERED: usize = 40;

/// How often one value took another's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transition {
    pub from: String,
    pub to: String,
    pub count: u64,
    /// How often it went the other way.
    pub back: u64,
}

/// The drift of one trait.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    #[serde(rename = "trait")]
    pub kind: Trait,
    /// Edges of which both ends report the trait and differ.
    pub changed: u64,
    /// Values, sources first.
    pub order: Vec<String>,
    /// Whether rarer values were left out of the order.
    pub truncated: bool,
    /// Net transitions between ordered values that go forward in the order.
    pub forward: u64,
    /// All net transitions between ordered values.
    pub net: u64,
    /// Weight of the forward ones as a share of the weight of all, 0 to 1; none without any.
    pub explained: Option<f64>,
    /// Most frequent first.
    pub transitions: Vec<Transition>,
}

/// The drift of a trait over all edges; lists at most `most` transitions.
///
/// For each value a child adds, every value of its parent gives way to it; for each value it drops, that one gives way
/// to every value of the child. The order maximises the net weight that runs forward, by moving single values until
/// nothing improves.
pub fn drift(table: &TraitTable, descents: &[(i64, i64, Relation)], (kind, most): (Trait, usize)) -> Drift {
    let (mut counts, mut changed) = (HashMap::<(u32, u32), u64>::new(), 0);
    for &(child, parent, _) in descents {
        let (Some(own), Some(theirs)) = (table.of(child, kind), table.of(parent, kind)) else { continue };
        if own.is_empty() || theirs.is_empty() || own == theirs {
            continue;
        }
        changed += 1;
        for (from, to) in steps(theirs, own) {
            *counts.entry((from, to)).or_default() += 1;
        }
    }
    let mut named: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for ((from, to), count) in counts {
        named.insert((table.word(from), table.word(to)), count);
    }
    let mut volume: BTreeMap<&str, u64> = BTreeMap::new();
    for ((from, to), count) in &named {
        *volume.entry(from).or_default() += count;
        *volume.entry(to).or_default() += count;
    }
    let mut values: Vec<(&str, u64)> = volume.into_iter().collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.1));
    let truncated = values.len() > ORDERED;
    let values: Vec<&str> = values.into_iter().take(ORDERED).map(|(value, _)| value).collect();
    let weight = |from: &str, to: &str| named.get(&(from, to)).copied().unwrap_or_default();
    let net: Vec<Vec<i64>> = values
        .iter()
        .map(|from| {
            values.iter().map(|to| weight(from, to).cast_signed() - weight(to, from).cast_signed()).collect()
        })
        .collect();
    let order = order(&net);
    let (mut forward, mut all, mut gained, mut total) = (0, 0, 0, 0);
    for (at, &from) in order.iter().enumerate() {
        for &to in &order[at + 1..] {
            let weight = net[from][to];
            if weight != 0 {
                all += 1;
                total += weight.abs();
                forward += u64::from(weight > 0);
                gained += weight.max(0);
            }
        }
    }
    let mut transitions: Vec<Transition> = named
        .iter()
        .map(|(&(from, to), &count)| Transition {
            from: from.to_owned(),
            to: to.to_owned(),
            count,
            back: weight(to, from),
        })
        .collect();
    transitions.sort_by_key(|transition| std::cmp::Reverse(transition.count));
    transitions.truncate(most);
    Drift {
        kind,
        changed,
        order: order.into_iter().map(|at| values[at].to_owned()).collect(),
        truncated,
        forward,
        net: all,
        explained: (total > 0).then(|| gained as f64 / total as f64),
        transitions,
    }
}

/// The ordered pairs that one edge counts, each once.
fn steps(parent: &[u32], child: &[u32]) -> Vec<(u32, u32)> {
    let has = |set: &[u32], word: u32| set.binary_search(&word).is_ok();
    let mut pairs = Vec::new();
    for &added in child.iter().filter(|&&word| !has(parent, word)) {
        pairs.extend(parent.iter().map(|&old| (old, added)));
    }
    for &dropped in parent.iter().filter(|&&word| !has(child, word)) {
        pairs.extend(child.iter().map(|&new| (dropped, new)));
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

#[cfg(test)]
mod tests {
    use super::{super::table::Card, *};

    fn licences(words: &[&str]) -> TraitTable {
        let mut table = TraitTable::default();
        for (model, word) in (1..).zip(words) {
            table.add(
                model,
                Card::default(),
                |kind| if kind == Trait::Licence { vec![*word] } else { Vec::new() },
            );
        }
        table
    }

    #[test]
    fn what_gives_way_stands_before_what_takes_its_place() {
        let table = licences(&["llama3", "apache-2.0", "mit", "llama3", "apache-2.0"]);
        let edges: Vec<_> = [(2, 1), (3, 2), (3, 1), (5, 4), (1, 2)]
            .map(|(child, parent)| (child, parent, Relation::Finetune))
            .to_vec();

        let drift = drift(&table, &edges, (Trait::Licence, 10));

        assert_eq!(drift.order, ["llama3", "apache-2.0", "mit"]);
        assert_eq!((drift.forward, drift.net, drift.explained), (3, 3, Some(1.0)));
        let first = &drift.transitions[0];
        assert_eq!(
            (first.from.as_str(), first.to.as_str(), first.count, first.back),
            ("llama3", "apache-2.0", 2, 1)
        );
    }

    #[test]
    fn an_edge_counts_each_pair_once() {
        assert_eq!(steps(&[1, 2], &[2, 3]), [(1, 2), (1, 3), (2, 3)]);
    }
}
