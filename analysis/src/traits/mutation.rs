//! Mutation rates: how much of a trait a child changes, averaged over the edges where both ends report it.

use std::collections::BTreeMap;

use domain::Relation;
use serde::Serialize;

use super::table::{Trait, TraitTable};

/// The rate of one trait over the edges of one relation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MutationRate {
    #[serde(rename = "trait")]
    pub kind: Trait,
    /// A relation, `all`, or `all_but_merge`.
    pub relation: &'static str,
    /// Edges between models that are here themselves.
    pub edges: u64,
    /// Edges of which both ends report the trait: what the rate is a mean over.
    pub both: u64,
    /// Of those, edges where anything changed.
    pub changed: u64,
    /// Mean of 1 − |P∩C| / |P∪C|, 0 to 1; none without such an edge.
    pub rate: Option<f64>,
}

#[derive(Default, Clone, Copy)]
struct Sum {
    edges: u64,
    both: u64,
    changed: u64,
    distance: f64,
}

/// The rate of every trait by relation, then over all edges and over all but merges.
pub fn mutation(table: &TraitTable, descents: &[(i64, i64, Relation)]) -> Vec<MutationRate> {
    let mut sums: BTreeMap<(Trait, Relation), Sum> = BTreeMap::new();
    for &(child, parent, relation) in descents {
        for kind in Trait::ALL {
            let (Some(own), Some(theirs)) = (table.of(child, kind), table.of(parent, kind)) else { continue };
            let sum = sums.entry((kind, relation)).or_default();
            sum.edges += 1;
            if own.is_empty() || theirs.is_empty() {
                continue;
            }
            let shared = own.iter().filter(|word| theirs.binary_search(word).is_ok()).count();
            let distance = 1.0 - shared as f64 / (own.len() + theirs.len() - shared) as f64;
            sum.both += 1;
            sum.changed += u64::from(distance > 0.0);
            sum.distance += distance;
        }
    }
    let mut rates = Vec::new();
    for kind in Trait::ALL {
        let over = |wanted: &dyn Fn(Relation) -> bool| {
            Relation::ALL.into_iter().filter(|relation| wanted(*relation)).fold(
                Sum::default(),
                |total, relation| {
                    let sum = sums.get(&(kind, relation)).copied().unwrap_or_default();
                    Sum {
                        edges: total.edges + sum.edges,
                        both: total.both + sum.both,
                        changed: total.changed + sum.changed,
                        distance: total.distance + sum.distance,
                    }
                },
            )
        };
        for relation in Relation::ALL {
            rates.push(rate(kind, relation.as_str(), over(&|other| other == relation)));
        }
        rates.push(rate(kind, "all", over(&|_| true)));
        rates.push(rate(kind, "all_but_merge", over(&|relation| relation != Relation::Merge)));
    }
    rates.retain(|rate| rate.edges > 0);
    rates
}

fn rate(kind: Trait, relation: &'static str, sum: Sum) -> MutationRate {
    let Sum { edges, both, changed, distance } = sum;
    let rate = (both > 0).then(|| distance / both as f64);
    MutationRate { kind, relation, edges, both, changed, rate }
}

#[cfg(test)]
mod tests {
    use super::{
        super::table::{Card, Trait, TraitTable},
        *,
    };

    fn table(languages: &[&[&str]]) -> TraitTable {
        let mut table = TraitTable::default();
        for (model, words) in (1..).zip(languages) {
            table.add(model, Card::default(), |kind| match kind {
                Trait::Language => words.to_vec(),
                _ => Vec::new(),
            });
        }
        table
    }

    #[test]
    fn the_rate_is_the_mean_jaccard_distance_where_both_report() {
        let table = table(&[&["en", "de"], &["EN"], &["fr"], &[]]);
        let edges = [
            (2, 1, Relation::Finetune),
            (3, 1, Relation::Finetune),
            (4, 1, Relation::Finetune),
            (3, 2, Relation::Merge),
        ];

        let rates = mutation(&table, &edges);

        let of =
            |relation| rates.iter().find(|r| r.kind == Trait::Language && r.relation == relation).unwrap();
        let finetune = of("finetune");
        assert_eq!((finetune.edges, finetune.both, finetune.changed), (3, 2, 2));
        assert_eq!(finetune.rate, Some(0.75));
        assert_eq!(of("all").both, 3);
        assert_eq!(of("all_but_merge"), &MutationRate { relation: "all_but_merge", ..finetune.clone() });
    }

    #[test]
    fn a_trait_nobody_reports_has_no_rate_rather_than_zero() {
        let rates = mutation(&table(&[&["en"], &[]]), &[(2, 1, Relation::Adapter)]);

        assert!(rates.iter().all(|rate| rate.rate.is_none() && rate.both == 0));
        assert!(rates.iter().all(|rate| rate.edges == 1));
    }
}
