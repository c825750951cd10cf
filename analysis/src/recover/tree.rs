//! The tree of a family: which models are joined by one step of training, and which end of it is the root.
//!
//! Steps are found by description length: a model is told from the one it was trained from in fewer bits than from
//! any other, because training leaves much nearly alone, while two independent steps add up. The spanning tree of
//! fewest bits has no direction; its root is the model from which the tree is most likely to have grown (rumour
//! centrality, Shah and Zaman, arXiv 0909.4370), corrected by what each edge says of its own direction.

use petgraph::unionfind::UnionFind;

/// An undirected step between two nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub(super) ends: (usize, usize),
    pub(super) bits: f64,
}

/// The spanning tree of fewest bits over `nodes`; `fixed` of them are one already.
pub(super) fn spanning(nodes: &[usize], fixed: &[usize], bits: impl Fn(usize, usize) -> f64) -> Vec<Step> {
    let mut steps: Vec<Step> = nodes
        .iter()
        .enumerate()
        .flat_map(|(at, &i)| nodes[at + 1..].iter().map(move |&j| (i, j)))
        .map(|ends| Step { ends, bits: bits(ends.0, ends.1) })
        .collect();
    steps.sort_by(|a, b| a.bits.total_cmp(&b.bits).then(a.ends.cmp(&b.ends)));
    let mut sets = UnionFind::<usize>::new(nodes.iter().max().map_or(0, |last| last + 1));
    fixed.windows(2).for_each(|pair| {
        sets.union(pair[0], pair[1]);
    });
    steps.retain(|step| sets.union(step.ends.0, step.ends.1));
    steps
}

/// Bits of a tree.
pub(super) fn total(steps: &[Step]) -> f64 {
    steps.iter().map(|step| step.bits).sum()
}

/// A tree with a direction.
#[derive(Debug, Clone)]
pub(super) struct Rooted {
    /// Parent of each node, with the probability that it is not the child.
    pub(super) parents: Vec<(usize, usize, f64)>,
}

/// Log-odds that one model is above another which a merge gives, where it takes the change from the one to the other.
const CHANGED: f64 = 3.0;

/// Directs a tree. `changes` are pairs of which merges say that the first is above the second; `burden` counts the models
/// that hang on a node besides the tree's own; `cue` gives the log-odds that the first end of a step is the parent.
pub(super) fn rooted(
    nodes: &[usize],
    (steps, changes): (&[Step], &[(usize, usize)]),
    burden: impl Fn(usize) -> usize,
    cue: impl Fn(usize, usize) -> f64,
) -> Rooted {
    let cues: Vec<f64> = steps.iter().map(|step| cue(step.ends.0, step.ends.1)).collect();
    let scores: Vec<f64> = nodes
        .iter()
        .map(|&root| {
            let walk = outward(root, steps);
            let mut sizes: std::collections::BTreeMap<usize, usize> =
                nodes.iter().map(|&node| (node, 1 + burden(node))).collect();
            let mut score = 0.0;
            for &(parent, child, at) in walk.iter().rev() {
                let size = sizes[&child];
                *sizes.entry(parent).or_default() += size;
                score -= (size as f64).ln();
                // Half the odds for one direction, half against the other.
                score += cues[at] / if steps[at].ends.0 == parent { 2.0 } else { -2.0 };
            }
            let parent = |of: &usize| walk.iter().find(|(_, child, _)| child == of).map(|step| step.0);
            let under = |one: usize, other: usize| {
                f64::from(u8::from(std::iter::successors(Some(other), parent).any(|above| above == one)))
            };
            for &(from, to) in changes {
                score += CHANGED / 2.0 * (under(from, to) - under(to, from));
            }
            score
        })
        .collect();
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let chances: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = chances.iter().sum();
    let best = scores.iter().position(|score| *score == most).unwrap_or(0);
    let Some(&root) = nodes.get(best) else { return Rooted { parents: Vec::new() } };
    let walk = outward(root, steps);
    let parents = walk.iter().map(|&(parent, child, _)| {
        let below = beneath(child, &walk);
        let reversed: f64 = nodes
            .iter()
            .zip(&chances)
            .filter(|(node, _)| below.contains(node))
            .map(|(_, chance)| chance)
            .sum();
        (child, parent, 1.0 - reversed / sum)
    });
    Rooted { parents: parents.collect() }
}

/// Steps as (parent, child, index), each after the one above it.
fn outward(root: usize, steps: &[Step]) -> Vec<(usize, usize, usize)> {
    let mut walk: Vec<(usize, usize, usize)> = Vec::with_capacity(steps.len());
    let mut reached = vec![root];
    let mut next = 0;
    while let Some(&node) = reached.get(next) {
        next += 1;
        for (at, step) in steps.iter().enumerate() {
            let other = match step.ends {
                (a, b) if a == node => b,
                (a, b) if b == node => a,
                _ => continue,
            };
            if !reached.contains(&other) {
                reached.push(other);
                walk.push((node, other, at));
            }
        }
    }
    walk
}

fn beneath(node: usize, walk: &[(usize, usize, usize)]) -> Vec<usize> {
    let mut below = vec![node];
    for (parent, child, _) in walk {
        if below.contains(parent) {
            below.push(*child);
        }
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(a: usize, b: usize) -> Step {
        Step { ends: (a, b), bits: 1.0 }
    }

    #[test]
    fn the_hub_of_a_star_is_its_root() {
        let steps = [step(0, 3), step(1, 3), step(2, 3), step(2, 4)];

        let tree = rooted(&[0, 1, 2, 3, 4], (&steps, &[]), |_| 0, |_, _| 0.0);

        assert!(tree.parents.iter().all(|(child, _, _)| *child != 3));
        assert!(tree.parents.contains(&(
            4,
            2,
            tree.parents.iter().find(|edge| edge.0 == 4).map_or(0.0, |e| e.2)
        )));
    }

    #[test]
    fn two_models_alone_are_directed_by_their_cue_and_only_so_far() {
        let tree = rooted(&[0, 1], (&[step(0, 1)], &[]), |_| 0, |_, _| -1.0);

        let (child, parent, chance) = tree.parents[0];
        assert_eq!((child, parent), (0, 1));
        assert!((chance - 1.0 / (1.0 + (-1f64).exp())).abs() < 1e-12, "{chance}");
    }

    #[test]
    fn the_model_whose_changes_merges_take_is_above_those_it_changed_into() {
        let steps = [step(0, 1), step(1, 2), step(2, 3), step(2, 4)];

        let without = rooted(&[0, 1, 2, 3, 4], (&steps, &[]), |_| 0, |_, _| 0.0);
        let tree = rooted(&[0, 1, 2, 3, 4], (&steps, &[(0, 3), (0, 4)]), |_| 0, |_, _| 0.0);

        assert!(without.parents.iter().all(|(child, _, _)| *child != 2));
        assert!(tree.parents.iter().all(|(child, _, _)| *child != 0), "{tree:?}");
    }

    #[test]
    fn nodes_that_are_one_already_are_not_joined() {
        let bits = |a: usize, b: usize| (a as f64 - b as f64).abs();

        assert_eq!(spanning(&[0, 1, 5], &[0, 1], bits), vec![Step { ends: (1, 5), bits: 4.0 }]);
    }
}
