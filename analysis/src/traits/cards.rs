//! How cards change from parent to child: length, whether there is one, whether a program wrote it.

use domain::Relation;
use serde::Serialize;

use super::table::TraitTable;

/// Cards at both ends of the edges of one relation, or of `all`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CardDrift {
    pub relation: &'static str,
    /// Edges between models that are here themselves.
    pub edges: u64,
    /// Share of parents, then of children, that have a card.
    pub parent_has_card: f64,
    pub child_has_card: f64,
    /// Edges of which both ends have a card.
    pub both: u64,
    /// Mean characters over those; none without any.
    pub parent_characters: Option<f64>,
    pub child_characters: Option<f64>,
    /// Share of the parents' cards, then of the children's, that say they were generated.
    pub parent_generated: Option<f64>,
    pub child_generated: Option<f64>,
}

/// Card drift by relation, then over all edges; relations without edges are left out.
pub fn card_drift(table: &TraitTable, descents: &[(i64, i64, Relation)]) -> Vec<CardDrift> {
    let relations = Relation::ALL.into_iter().map(Some).chain([None]);
    relations.filter_map(|relation| of(table, descents, relation)).collect()
}

fn of(table: &TraitTable, descents: &[(i64, i64, Relation)], wanted: Option<Relation>) -> Option<CardDrift> {
    let (mut edges, mut both) = (0_u64, 0_u64);
    // Parent, then child.
    let (mut carded, mut characters, mut generated) = ([0_u64; 2], [0_u64; 2], [0_u64; 2]);
    for &(child, parent, relation) in descents {
        let (Some(child), Some(parent)) = (table.card(child), table.card(parent)) else { continue };
        if wanted.is_some_and(|wanted| wanted != relation) {
            continue;
        }
        edges += 1;
        let ends = [parent, child];
        both += u64::from(ends.iter().all(|card| card.characters > 0));
        for (at, card) in ends.iter().enumerate() {
            carded[at] += u64::from(card.characters > 0);
            generated[at] += u64::from(card.generated);
            if ends.iter().all(|card| card.characters > 0) {
                characters[at] += card.characters;
            }
        }
    }
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    Some(CardDrift {
        relation: wanted.map_or("all", Relation::as_str),
        edges,
        parent_has_card: share(carded[0], edges)?,
        child_has_card: share(carded[1], edges)?,
        both,
        parent_characters: share(characters[0], both),
        child_characters: share(characters[1], both),
        parent_generated: share(generated[0], carded[0]),
        child_generated: share(generated[1], carded[1]),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::table::Card, *};

    #[test]
    fn lengths_are_compared_only_where_both_have_a_card() {
        let mut table = TraitTable::default();
        for (model, characters) in [(1, 100), (2, 40), (3, 0)] {
            table.add(model, Card { characters, generated: model == 2 }, |_| Vec::new());
        }

        let drifts = card_drift(&table, &[(2, 1, Relation::Adapter), (3, 1, Relation::Adapter)]);

        assert_eq!(drifts.len(), 2);
        let drift = &drifts[1];
        assert_eq!((drift.relation, drift.edges, drift.both), ("all", 2, 1));
        assert_eq!((drift.parent_characters, drift.child_characters), (Some(100.0), Some(40.0)));
        assert_eq!((drift.child_has_card, drift.child_generated), (0.5, Some(1.0)));
    }
}
