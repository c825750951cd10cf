//! Names that begin with what is typed, then names that hold it.

use std::cmp::Reverse;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::{
    bits::Bits,
    order::Order,
    segment::{Segment, short},
    typos::Loose,
};

/// A suggestion's rank, the best first: how well it fits, then downloads, then the model that came last.
pub(super) type Rank = (Reverse<u8>, i64, i64);

/// The best few, best first.
struct Best<'a> {
    ranks: Vec<Rank>,
    most: usize,
    segment: &'a Segment,
    dead: &'a Bits,
}

impl Best<'_> {
    fn offer(&mut self, fit: u8, at: u32) {
        let at = at as usize;
        let rank = (Reverse(fit), self.segment.rank(Order::Downloads, at), self.segment.id(at));
        let full = self.ranks.len() == self.most;
        if full && self.ranks.last().is_some_and(|last| *last >= rank) || self.dead.has(at) {
            return;
        }
        let Err(place) = self.ranks.binary_search_by(|known| rank.cmp(known)) else { return };
        // A model that fits in two ways stands where it fits best.
        if let Some(known) = self.ranks.iter().position(|known| known.2 == rank.2) {
            if known < place {
                return;
            }
            self.ranks.remove(known);
        }
        self.ranks.insert(place, rank);
        self.ranks.truncate(self.most);
    }
}

/// The best `most` of a segment for a text in lower case.
pub(super) fn suggest(segment: &Segment, (text, most): (&str, usize), dead: &Bits) -> Vec<Rank> {
    let mut best = Best { ranks: Vec::new(), most, segment, dead };
    let whole: fn(&str) -> &str = |key| key;
    for (places, part) in [(&segment.by_short, short as fn(&str) -> &str), (&segment.by_key, whole)] {
        let key = |at: &u32| part(segment.key(*at as usize));
        let begin = places.partition_point(|at| key(at) < text);
        let same = begin + places[begin..].partition_point(|at| key(at) == text);
        let end = same + places[same..].partition_point(|at| key(at).starts_with(text));
        places[begin..same].iter().for_each(|&at| best.offer(0, at));
        places[same..end].iter().for_each(|&at| best.offer(1, at));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let found = words.iter().filter_map(|word| segment.holding(word)).min_by_key(Vec::len);
    if let Some(found) = found.filter(|_| best.ranks.len() < most) {
        let holds = |at: &u32| words.iter().all(|word| segment.key(*at as usize).contains(word));
        found.into_iter().filter(holds).for_each(|at| best.offer(2, at));
    }
    best.ranks
}

/// The best `most` of a segment whose names hold every word of a text in lower case but for one slip in each. Looks at every
/// name, on all processors.
pub(super) fn alike(segment: &Segment, (text, most): (&str, usize), dead: &Bits) -> Vec<Rank> {
    let mut best = Best { ranks: Vec::new(), most, segment, dead };
    let words: Vec<Loose<'_>> = text.split_whitespace().map(Loose::of).collect();
    let places = u32::try_from(segment.len()).unwrap_or(u32::MAX);
    let found: Vec<u32> = (0..places)
        .into_par_iter()
        .filter(|at| words.iter().all(|word| word.is_in(segment.key(*at as usize))))
        .collect();
    found.into_iter().for_each(|at| best.offer(3, at));
    best.ranks
}
