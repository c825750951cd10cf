//! Names that begin with what is typed, then names that hold it.

use super::{
    bits::Bits,
    order::Order,
    segment::{Segment, short},
};

/// A suggestion's rank, the best first: how well it fits, then downloads, then the model that came last.
pub(super) type Rank = (std::cmp::Reverse<u8>, i64, i64);

/// The best `most` of a segment for a text in lower case.
pub(super) fn suggest(segment: &Segment, (text, most): (&str, usize), dead: &Bits) -> Vec<Rank> {
    let mut best: Vec<Rank> = Vec::new();
    let mut offer = |fit: u8, at: u32| {
        let at = at as usize;
        if dead.has(at) {
            return;
        }
        let rank = (std::cmp::Reverse(fit), segment.rank(Order::Downloads, at), segment.ids[at]);
        if best.len() == most && best.last().is_some_and(|last| *last >= rank) {
            return;
        }
        if let Err(place) = best.binary_search_by(|known| rank.cmp(known)) {
            // A model that fits in two ways stands where it fits best.
            if let Some(known) = best.iter().position(|known| known.2 == rank.2) {
                if known < place {
                    return;
                }
                best.remove(known);
            }
            best.insert(place, rank);
            best.truncate(most);
        }
    };
    for (places, part) in [(&segment.by_short, short as fn(&str) -> &str), (&segment.by_key, |key: &str| key)]
    {
        let begin = places.partition_point(|&at| part(segment.key(at as usize)) < text);
        let fitting =
            places[begin..].iter().take_while(|at| part(segment.key(**at as usize)).starts_with(text));
        fitting.for_each(|&at| offer(u8::from(part(segment.key(at as usize)) != text), at));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if let Some(found) = words.iter().filter_map(|word| segment.holding(word)).min_by_key(Vec::len) {
        let holds = |at: &u32| words.iter().all(|word| segment.key(*at as usize).contains(word));
        found.into_iter().filter(holds).for_each(|at| offer(2, at));
    }
    best
}
