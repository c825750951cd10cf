//! Models of one trunk, value for value, under different heads or none: which of them the others were made from.

use std::collections::BTreeSet;

use super::family::{Step, Structure};

/// Probability that models with heads of their own on one trunk were made from the one without a head.
const BARE: f64 = 0.95;
/// The same of a model that is a part of a settled one, and of one that is part of another: that cannot be told.
const PART: f64 = 0.9;
const UNTOLD: f64 = 0.5;

impl Structure<'_> {
    /// Each of these models whose values another one has, as a step from that: from the one without a head where the others
    /// have different ones, else from the one that holds the most.
    pub(super) fn trunks(&self, models: &[usize], fixed: &[usize]) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        for &one in models {
            if seen.contains(&one) {
                continue;
            }
            let alike = |&other: &usize| other == one || self.measured.same(one, other);
            let trunk: Vec<usize> = models.iter().copied().filter(alike).collect();
            seen.extend(&trunk);
            let Some((parent, chance)) = self.trunk(&trunk, fixed) else { continue };
            let children = trunk.into_iter().filter(|other| *other != parent && !fixed.contains(other));
            steps.extend(children.map(|child| (child, parent, chance)));
        }
        steps
    }

    /// Which of the models of one trunk the others come from, and how sure that is.
    fn trunk(&self, trunk: &[usize], fixed: &[usize]) -> Option<(usize, f64)> {
        let measured = self.measured;
        let mut settled = trunk.iter().copied().filter(|one| fixed.contains(one));
        let below = |one: usize| self.settled_above(one).is_some_and(|above| trunk.contains(&above));
        if settled.clone().next().is_some() {
            return settled
                .clone()
                .find(|&one| !below(one))
                .or_else(|| settled.next())
                .map(|one| (one, PART));
        }
        let of_all = |fits: &dyn Fn(usize, usize) -> bool| {
            trunk.iter().copied().find(|&one| trunk.iter().all(|&other| other == one || fits(one, other)))
        };
        let part =
            |small: usize, large: usize| !measured.lacks(large, small) && !measured.differ(small, large);
        if trunk.len() < 2 {
            return None;
        }
        let whole = of_all(&|one, other| part(other, one)).map(|one| (one, UNTOLD));
        let bare = || of_all(&|one, other| part(one, other)).map(|one| (one, BARE));
        // Of heads of several kinds the one that most of the family have was there first.
        let alike = |one: usize| {
            let kind = || measured.beside[one].keys();
            measured.beside.iter().filter(|other| other.keys().eq(kind())).count()
        };
        let most = || of_all(&|one, other| alike(one) > alike(other)).map(|one| (one, UNTOLD));
        whole.or_else(bare).or_else(most)
    }
}
