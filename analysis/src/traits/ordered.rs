//! The order of a few values in which most net edges go forward.

/// Values that hold together up to which the best of all orders is found; of more a search finds a good one.
const EXACT: usize = 18;
/// Passes of the search over all values.
const PASSES: usize = 100;

/// An order of `0..net.len()`; `net[a][b]` is what is won by a before b, `−net[b][a]`.
///
/// Values that lead to each other by edges forward are ordered among themselves, and no edge goes back between such groups: the
/// whole is as good as its groups. A group of at most 18 has the best order there is, found over its subsets.
pub(super) fn order(net: &[Vec<i64>]) -> Vec<usize> {
    let mut by_gain: Vec<usize> = (0..net.len()).collect();
    by_gain.sort_by_key(|&at| (-net[at].iter().sum::<i64>(), at));
    let mut order = Vec::with_capacity(net.len());
    for group in groups(net, &by_gain) {
        order.extend(if group.len() <= EXACT { best(net, &group) } else { good(net, &group) });
    }
    order
}

/// Values that lead to each other, a group whose edges lead to another one before it; `values` in the order preferred.
fn groups(net: &[Vec<i64>], values: &[usize]) -> Vec<Vec<usize>> {
    let reached = |from: usize| {
        let (mut seen, mut open) = (vec![false; net.len()], vec![from]);
        seen[from] = true;
        while let Some(at) = open.pop() {
            for (to, _) in net[at].iter().enumerate().filter(|(_, net)| **net > 0) {
                if !seen[to] {
                    seen[to] = true;
                    open.push(to);
                }
            }
        }
        seen
    };
    let leads: Vec<Vec<bool>> = (0..net.len()).map(reached).collect();
    let mut left = values.to_vec();
    let mut groups = Vec::new();
    while !left.is_empty() {
        // Nothing that is left leads there, but what it leads to itself.
        let first =
            left.iter().copied().find(|&at| left.iter().all(|&from| !leads[from][at] || leads[at][from]));
        let Some(first) = first else { break };
        let (group, others) = left.into_iter().partition(|&at| leads[first][at] && leads[at][first]);
        groups.push(group);
        left = others;
    }
    groups
}

/// The best order of a few values: of every subset the best order is known from those with one value less.
fn best(net: &[Vec<i64>], values: &[usize]) -> Vec<usize> {
    let count = values.len();
    let (mut won, mut last) = (vec![i64::MIN; 1 << count], vec![0_u8; 1 << count]);
    won[0] = 0;
    for set in 1..1_usize << count {
        for (at, &value) in values.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1) {
            let before = set & !(1 << at);
            let gain = members(before).map(|other| net[values[other]][value]).sum::<i64>();
            if won[before] + gain >= won[set] {
                won[set] = won[before] + gain;
                last[set] = u8::try_from(at).unwrap_or_default();
            }
        }
    }
    let (mut set, mut order) = ((1_usize << count) - 1, Vec::with_capacity(count));
    while set != 0 {
        let at = usize::from(last[set]);
        order.push(values[at]);
        set &= !(1 << at);
    }
    order.reverse();
    order
}

fn members(mut set: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(at)
    })
}

/// The best of several orders that no move of one value improves.
fn good(net: &[Vec<i64>], values: &[usize]) -> Vec<usize> {
    let backwards = values.iter().rev().copied().collect();
    let mut by_number = values.to_vec();
    by_number.sort_unstable();
    let starts = [values.to_vec(), by_number, backwards];
    let found = starts.map(|start| improved(net, start));
    found.into_iter().rev().max_by_key(|order| score(net, order)).unwrap_or_default()
}

fn score(net: &[Vec<i64>], order: &[usize]) -> i64 {
    let pairs = order.iter().enumerate().flat_map(|(at, &a)| order[at + 1..].iter().map(move |&b| (a, b)));
    pairs.map(|(a, b)| net[a][b]).sum()
}

fn improved(net: &[Vec<i64>], mut order: Vec<usize>) -> Vec<usize> {
    let values = order.clone();
    for _ in 0..PASSES {
        let mut moved = false;
        for &value in &values {
            let Some(from) = order.iter().position(|&other| other == value) else { continue };
            order.remove(from);
            // What is won when the value stands before the one at `place`, against standing first.
            let (mut won, mut best, mut here) = (0, (0, 0), 0);
            for place in 0..=order.len() {
                if place == from {
                    here = won;
                }
                if won > best.0 {
                    best = (won, place);
                }
                if let Some(&passed) = order.get(place) {
                    won += net[passed][value] - net[value][passed];
                }
            }
            let place = if best.0 > here { best.1 } else { from };
            moved |= place != from;
            order.insert(place, value);
        }
        if !moved {
            break;
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A net of its upper triangle, row by row.
    fn net(size: usize, upper: &[i64]) -> Vec<Vec<i64>> {
        let mut net = vec![vec![0; size]; size];
        let pairs = (0..size).flat_map(|a| (a + 1..size).map(move |b| (a, b)));
        for ((a, b), won) in pairs.zip(upper) {
            net[a][b] = *won;
            net[b][a] = -won;
        }
        net
    }

    /// The most that any order wins.
    fn most(net: &[Vec<i64>], order: &mut Vec<usize>) -> i64 {
        if order.len() == net.len() {
            return score(net, order);
        }
        let mut most = i64::MIN;
        for value in 0..net.len() {
            if !order.contains(&value) {
                order.push(value);
                most = most.max(self::most(net, order));
                order.pop();
            }
        }
        most
    }

    #[test]
    fn a_circle_is_cut_where_it_is_thinnest() {
        assert_eq!(order(&net(3, &[5, -1, 5])), [0, 1, 2]);
    }

    #[test]
    fn the_order_of_five_values_that_a_search_by_moves_misses_is_found() {
        let net = net(5, &[-17, 9, -15, 16, 15, 4, 15, 18, 19, -8]);

        assert_eq!(score(&net, &order(&net)), 106);
    }

    #[test]
    fn values_that_do_not_hold_together_are_ordered_apart_however_many_they_are() {
        // Sixteen circles of three, each led to by the one before.
        let size = 48;
        let mut net = vec![vec![0_i64; size]; size];
        let mut set = |a: usize, b: usize, won: i64| {
            net[a][b] = won;
            net[b][a] = -won;
        };
        for first in (0..size).step_by(3) {
            set(first, first + 1, 5);
            set(first + 1, first + 2, 5);
            set(first + 2, first, 1);
            if first > 0 {
                set(first - 1, first, 2);
            }
        }

        assert_eq!(order(&net), (0..size).collect::<Vec<_>>());
    }

    #[test]
    fn no_move_of_one_value_improves_the_order_of_many() {
        let size = 24;
        let mut state = 7_u64;
        let upper: Vec<i64> = (0..size * (size - 1) / 2)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                i64::try_from(state >> 58).unwrap() - 32
            })
            .collect();
        let net = net(size, &upper);

        let found = order(&net);

        for (from, to) in (0..size).flat_map(|from| (0..size).map(move |to| (from, to))) {
            let mut other = found.clone();
            let value = other.remove(from);
            other.insert(to, value);
            assert!(score(&net, &other) <= score(&net, &found), "{from} to {to}");
        }
    }

    proptest! {
        #[test]
        fn no_order_of_six_values_or_fewer_wins_more(size in 1_usize..=6, upper in prop::collection::vec(-20_i64..20, 15)) {
            let net = net(size, &upper);
            let found = order(&net);

            let mut all = found.clone();
            all.sort_unstable();
            prop_assert_eq!(all, (0..size).collect::<Vec<_>>());
            prop_assert_eq!(score(&net, &found), most(&net, &mut Vec::new()));
        }
    }
}
