//! What was trained from a copy or a merge, and is no part of the tree that those were made from.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    copies::Copy,
    edges::growth,
    family::{Step, Structure},
    inherited::Inherited,
    mixture::{Mixture, rather},
    samples::Samples,
    tree::{self, spanning, total},
};

/// Standard errors by which one merge's rounding is held rather than another's, or one model is nearer than another.
const CLEARLY: f64 = 3.0;
/// Share of one step that another takes back, of two steps that begin at a merge or near it; unlike steps from their common base.
const OPPOSED: f64 = 0.1;
/// Bits that count for more than all others: what holds a merge's rounding beyond doubt comes first, the nearest before the rest.
const PLAIN: f64 = 1e6;
/// Probability of an edge that an inherited rounding gives: nothing but descent explains it.
pub(super) const INHERITED: f64 = 0.99;

impl Structure<'_> {
    /// Takes out of the core what was trained from a copy, whose rounding it holds.
    pub(super) fn below_copies(
        &self,
        core: &mut Vec<usize>,
        (mixtures, copies, fixed): (&[Mixture], &[Copy], &[usize]),
        samples: &Samples,
    ) -> Vec<Step> {
        let mut below = Vec::new();
        core.retain(|&one| {
            let holds = |copy: &&Copy| {
                let told = copy.inherited(samples, one);
                copy.parent != one
                    && told.and_then(Inherited::held) == Some(true)
                    && !mixtures.iter().any(|merge| self.rather_below(one, (merge, copy)))
            };
            let open = !fixed.contains(&one);
            let copy = copies.iter().find(|copy| open && self.aligned(one, copy.child) && holds(copy));
            below.extend(copy.map(|copy| (one, copy.child, INHERITED)));
            copy.is_none()
        });
        below
    }

    /// Whether the merged models were rather trained from a model than it from the merge: norms grow from it to the merge, and the
    /// steps to those models do not point away from each other, as those from the merge do.
    fn above_all(&self, one: usize, merge: &Mixture) -> bool {
        let parents: Vec<usize> = merge
            .parents
            .iter()
            .filter(|(parent, weight)| *weight > 0.0 && *parent != one)
            .map(|(parent, _)| *parent)
            .collect();
        let mut pairs =
            parents.iter().enumerate().flat_map(|(at, &a)| parents[at + 1..].iter().map(move |&b| (a, b)));
        growth(self.measured, (one, merge.child)) > 0.0
            && pairs.all(|(a, b)| self.measured.middle(a, (b, one)) > -OPPOSED)
    }

    /// Whether a model comes rather from a merge of what was copied than from the copy: it is nearer to the merge, which holds the
    /// copy's rounding wherever the merged models are the same.
    fn rather_below(&self, one: usize, (merge, copy): (&Mixture, &Copy)) -> bool {
        merge.ingredients().any(|ingredient| ingredient == copy.parent)
            && merge.ingredients().all(|ingredient| ingredient != one)
            && self.measured.nearer(one, (merge.child, copy.child)).t > CLEARLY
    }

    /// Hands children on to copies of their parents that are more like them: to one of the same depth where layers were left out, and
    /// to one whose units or tokens are in the child's own order, which nothing but descent gives.
    pub(super) fn hand_over(&self, edges: &mut [Step], (copies, trunks): (&[Copy], &[Step])) {
        let depth = |one: usize| self.facts(one).map_or(0, |facts| facts.layers);
        let order = |one: usize| self.known.orders.get(&self.measured.members[one]);
        for (child, parent, _) in edges.iter_mut().filter(|edge| !trunks.contains(edge)) {
            let cut = trunks.iter().find(|(part, of, _)| {
                of == parent && part != child && depth(*part) == depth(*child) && depth(*of) != depth(*child)
            });
            *parent = cut.map_or(*parent, |(part, ..)| *part);
            let like =
                |copy: &&Copy| order(copy.child) == order(*child) && order(copy.parent) != order(*child);
            if order(*child).is_some() && order(*child) != order(*parent) {
                let bits = |copy: &Copy| self.measured.bits(*child, copy.child);
                let nearest = copies.iter().filter(like).min_by(|a, b| bits(a).total_cmp(&bits(b)));
                *parent = nearest.map_or(*parent, |copy| copy.child);
            }
        }
    }

    /// Takes out of the core what was trained from a merge: a model whose place in the tree costs more bits than its
    /// step from the merge.
    pub(super) fn below_merges(
        &self,
        (core, below): (&mut Vec<usize>, &mut Vec<Step>),
        (mixtures, copies, fixed): (&[Mixture], &[Copy], &[usize]),
        samples: &Samples,
    ) {
        // What the merges' own roundings say of the models that may be below them.
        let told: BTreeMap<(usize, usize), Inherited> = core
            .iter()
            .flat_map(|&one| mixtures.iter().map(move |merge| (one, merge)))
            .filter(|(one, merge)| self.aligned(*one, merge.child))
            .filter_map(|(one, merge)| Some(((one, merge.child), merge.inherited(samples, one)?)))
            .collect();
        let bits = |i: usize, j: usize| self.measured.bits(i, j);
        loop {
            let above = |of: usize| {
                let (mut queue, mut seen) = (vec![of], BTreeSet::new());
                while let Some(node) = queue.pop() {
                    if !seen.insert(node) {
                        continue;
                    }
                    queue.extend(below.iter().filter(|edge| edge.0 == node).map(|edge| edge.1));
                    queue.extend(copies.iter().filter(|copy| copy.child == node).map(|copy| copy.parent));
                    let merge = mixtures.iter().find(|mixture| mixture.child == node);
                    queue.extend(merge.into_iter().flat_map(Mixture::ingredients));
                }
                seen
            };
            let hosts = mixtures.iter().map(|mixture| mixture.child).chain(below.iter().map(|edge| edge.0));
            let hosts: Vec<(usize, BTreeSet<usize>)> = hosts.map(|host| (host, above(host))).collect();
            let parent = |of: &usize| below.iter().find(|edge| edge.0 == *of).map(|edge| edge.1);
            let upwards = |from| std::iter::successors(Some(from), parent).take(below.len() + 1);
            let tree = spanning(core, fixed, bits);
            let whole = total(&tree);
            let gain = |&one: &usize| {
                let told = |host: &usize| told.get(&(one, *host)).copied();
                let held = |host: &usize| told(host).and_then(Inherited::held);
                // Of several merges it holds the rounding of one, if of any.
                let share = |host: usize| told(&host).map_or(f64::NEG_INFINITY, |told| told.share);
                // What joins the parents of a merge is rather what they came from, where it hardly holds the merge's rounding.
                let joins = |above: &BTreeSet<usize>| {
                    let merges = mixtures.iter().filter(|merge| above.contains(&merge.child));
                    merges.into_iter().any(|merge| {
                        let told = told(&merge.child);
                        let alone =
                            || told.and_then(Inherited::held) != Some(true) && self.above_all(one, merge);
                        between(&tree, one, &merge.parents)
                            && (told.is_some_and(Inherited::hardly) || alone())
                    })
                };
                let open = hosts.iter().filter(|(_, above)| !above.contains(&one) && !joins(above));
                let open = open.map(|(host, _)| *host);
                let least = open.clone().map(|host| bits(one, host)).min_by(f64::total_cmp)?;
                let possible = open.filter(|host| held(host) != Some(false));
                let nearest = possible.clone().min_by(|&a, &b| bits(one, a).total_cmp(&bits(one, b)))?;
                let most = possible.max_by(|&a, &b| share(a).total_cmp(&share(b)))?;
                let apart = told(&most).zip(told(&nearest)).is_some_and(|(most, nearest)| {
                    most.share - nearest.share > CLEARLY * most.error.hypot(nearest.error)
                });
                let host = if apart || held(&most) == Some(true) { most } else { nearest };
                // Nothing but descent gives it, however near other models are that learnt the same.
                if told(&host).is_some_and(Inherited::plainly) {
                    let heirs = hosts.iter().map(|(heir, _)| *heir);
                    let heirs = heirs.filter(|&heir| upwards(heir).any(|up| up == host));
                    let heir = heirs.min_by(|&a, &b| bits(one, a).total_cmp(&bits(one, b)))?;
                    return (core.len() > 2).then_some((PLAIN - bits(one, host), one, heir));
                }
                let rest: Vec<usize> = core.iter().copied().filter(|&other| other != one).collect();
                let near = |&other: &usize| bits(one, other) >= bits(one, host);
                if held(&host) == Some(true) && rest.iter().all(near) {
                    return (rest.len() > 1).then_some((f64::INFINITY, one, host));
                }
                let rival = rest.iter().copied().min_by(|&a, &b| bits(one, a).total_cmp(&bits(one, b)))?;
                let merge = mixtures.iter().find(|merge| merge.child == host && !merge.by_matrix.is_empty());
                // What holds the host's step from its own parent, and from what the merged models came from.
                let root = || {
                    let top = upwards(host).last();
                    let made = mixtures.iter().find(|merge| Some(merge.child) == top)?;
                    let is_root = |root: usize| {
                        root != one && between(&tree, root, &made.parents) && self.above_all(root, made)
                    };
                    let roots = core.iter().copied().filter(|&root| is_root(root));
                    roots.min_by(|&a, &b| bits(made.child, a).total_cmp(&bits(made.child, b)))
                };
                let apart = || {
                    let mut roots = parent(&host).into_iter().chain(root());
                    merge.is_some_and(|merge| !rather(self.measured, one, (merge, rival)))
                        || samples.any() && !roots.all(|root| self.measured.holds(one, (host, root)))
                };
                if held(&host) != Some(true) && apart() {
                    return None;
                }
                let gain = whole - total(&spanning(&rest, fixed, bits)) - least;
                // A hub among siblings of its parents saves the tree as many bits as its own place costs.
                let likely = told(&host).is_some_and(Inherited::likely) && rest.iter().all(near);
                ((gain > 0.0 || likely) && rest.len() > 1).then_some((gain, one, host))
            };
            let best = core
                .iter()
                .filter(|one| !fixed.contains(one))
                .filter_map(gain)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let Some((_, one, host)) = best else { return };
            core.retain(|other| *other != one);
            below.push((one, host, 0.9));
        }
    }
}

/// Whether a node of a tree lies on the way from one of a merge's parents to another.
fn between(steps: &[tree::Step], node: usize, parents: &[(usize, f64)]) -> bool {
    let mut reached = Vec::new();
    let mut sides = 0;
    for &(parent, _) in parents.iter().filter(|(parent, weight)| *parent != node && *weight > 0.0) {
        if reached.contains(&parent) || !steps.iter().any(|step| [step.ends.0, step.ends.1].contains(&parent))
        {
            continue;
        }
        sides += 1;
        let mut queue = vec![parent];
        while let Some(one) = queue.pop() {
            if one == node || reached.contains(&one) {
                continue;
            }
            reached.push(one);
            queue.extend(steps.iter().filter_map(|step| match step.ends {
                (a, b) if a == one => Some(b),
                (a, b) if b == one => Some(a),
                _ => None,
            }));
        }
    }
    sides > 1
}
