//! Which models of a segment pass a filter, and how many have each value of each facet.

use std::collections::HashSet;

use super::{
    bits::Bits,
    facet::{Facet, fixed, fixed_value},
    filter::Filter,
    index::Wanted,
    order::{After, Order},
    segment::Segment,
};

const FACETS: usize = Facet::ALL.len();
/// Added to the rank of a model that is called what is looked for; above every rank, as those are counts of 32 bits.
const CALLED: i64 = 1 << 40;

/// What a filter finds in a segment.
pub(super) struct Matches {
    bits: Bits,
    pub total: u64,
    /// By facet: values with the number of models that pass everything else that is asked for and have this value.
    pub counts: [Vec<(u32, u64)>; FACETS],
}

/// A filter in the numbers of one segment; a word that the segment does not know is none that any model has.
struct Asked<'a> {
    words: &'a [String],
    org: Option<Option<u32>>,
    tags: Vec<Option<u32>>,
    picks: [Option<Option<u32>>; FACETS],
    real: bool,
}

impl<'a> Asked<'a> {
    fn of(filter: &'a Filter, segment: &Segment) -> Self {
        let number = |facet: Facet, word: &str| match segment.words(facet) {
            Some(words) => words.find(word),
            None => fixed_value(facet, word).and_then(|value| u32::try_from(value).ok()),
        };
        Self {
            words: filter.words(),
            org: filter.wanted_org().map(|org| segment.org_number(org)),
            tags: filter.wanted_tags().iter().map(|tag| segment.tag_number(tag)).collect(),
            picks: Facet::ALL.map(|facet| filter.picked(facet).map(|word| number(facet, word))),
            real: filter.wants_real(),
        }
    }

    /// Whether everything but the facets is as asked for.
    fn passes(&self, segment: &Segment, at: usize) -> bool {
        !(self.real && segment.is_ghost(at))
            && self.org.is_none_or(|org| org == Some(segment.org(at)))
            && self.tags.iter().all(|tag| tag.is_some_and(|tag| segment.tags(at).contains(&tag)))
            && self.words.iter().all(|word| segment.key(at).contains(word.as_str()))
    }

    /// One bit for each facet whose value is not the one asked for.
    fn failed(&self, segment: &Segment, at: usize) -> u32 {
        let mut failed = 0;
        for (place, (facet, pick)) in Facet::ALL.into_iter().zip(&self.picks).enumerate() {
            let Some(wanted) = pick else { continue };
            let value = segment.value(facet, at);
            let has = wanted.is_some_and(|wanted| match facet {
                Facet::Relation => value >> (wanted - 1) & 1 == 1,
                _ => value == wanted,
            });
            failed |= u32::from(!has) << place;
        }
        failed
    }
}

impl Matches {
    /// Looks at every model that may pass; those in `dead` are left out.
    pub fn of(segment: &Segment, filter: &Filter, dead: &Bits) -> Self {
        let asked = Asked::of(filter, segment);
        let mut tally = Tally::of(segment);
        let mut bits = Bits::new(segment.len());
        let mut total = 0;
        let mut look = |at: usize| {
            if dead.has(at) || !asked.passes(segment, at) {
                return;
            }
            let failed = asked.failed(segment, at);
            if failed == 0 {
                bits.set(at);
                total += 1;
                (0..FACETS).for_each(|place| tally.count(segment, place, at));
            } else if failed.is_power_of_two() {
                tally.count(segment, failed.trailing_zeros() as usize, at);
            }
        };
        let listed = filter.wanted_ids().map(|ids| {
            let places = ids.iter().filter_map(|id| segment.position(*id));
            places.filter_map(|at| u32::try_from(at).ok()).collect::<Vec<u32>>()
        });
        let found = || asked.words.iter().filter_map(|word| segment.holding(word)).min_by_key(Vec::len);
        match listed.or_else(found) {
            Some(candidates) => candidates.into_iter().for_each(|at| look(at as usize)),
            None => (0..segment.len()).for_each(look),
        }
        Self { bits, total, counts: tally.finish() }
    }

    /// The first `most` models after a place in an order, as what they are ordered by; those that are called `name` stand
    /// before all others, but for the order by name.
    pub fn page(
        &self,
        segment: &Segment,
        (wanted, name): (&Wanted, Option<&str>),
        most: usize,
    ) -> Vec<(After, i64)> {
        let after = wanted.after.as_ref();
        match wanted.order {
            Order::Name => {
                let begin = match after {
                    Some(After::Key(key)) => {
                        segment.by_key.partition_point(|&at| segment.key(at as usize) <= key.as_str())
                    }
                    _ => 0,
                };
                let places = segment.by_key[begin..].iter().map(|&at| at as usize);
                places
                    .filter(|at| self.bits.has(*at))
                    .take(most)
                    .map(|at| (After::Key(segment.key(at).to_owned()), segment.id(at)))
                    .collect()
            }
            _ => self.largest(segment, (wanted, name), most),
        }
    }

    fn largest(
        &self,
        segment: &Segment,
        (wanted, name): (&Wanted, Option<&str>),
        most: usize,
    ) -> Vec<(After, i64)> {
        let called: HashSet<usize> =
            name.map(|name| segment.called(name)).unwrap_or_default().into_iter().collect();
        let bound = match &wanted.after {
            Some(After::Value(value, id)) => Some((*value, *id)),
            _ => None,
        };
        // Twice the room, emptied by half when it is full: every model is compared with one bound.
        let mut best: Vec<(i64, i64)> = Vec::with_capacity(most * 2);
        let mut least = (i64::MIN, i64::MIN);
        for at in self.bits.each() {
            let first = if called.contains(&at) { CALLED } else { 0 };
            let here = (segment.rank(wanted.order, at) + first, segment.id(at));
            if here <= least || bound.is_some_and(|bound| here >= bound) {
                continue;
            }
            best.push(here);
            if best.len() == most * 2 {
                best.sort_unstable_by(|a, b| b.cmp(a));
                best.truncate(most);
                least = best.last().copied().unwrap_or(least);
            }
        }
        best.sort_unstable_by(|a, b| b.cmp(a));
        best.truncate(most);
        best.into_iter().map(|(value, id)| (After::Value(value, id), id)).collect()
    }
}

/// The word of a value.
pub(super) fn word_of(segment: &Segment, facet: Facet, value: u32) -> &str {
    match segment.words(facet) {
        Some(words) => words.word(value),
        None => fixed(facet, value as usize),
    }
}

struct Tally(Vec<Vec<u64>>);

impl Tally {
    fn of(segment: &Segment) -> Self {
        Self(Facet::ALL.iter().map(|facet| vec![0; segment.words(*facet).map_or(9, |w| w.len())]).collect())
    }

    fn count(&mut self, segment: &Segment, place: usize, at: usize) {
        let value = segment.value(Facet::ALL[place], at);
        if Facet::ALL[place] == Facet::Relation {
            for bit in (0..8).filter(|bit| value >> bit & 1 == 1) {
                self.0[place][bit + 1] += 1;
            }
        } else {
            self.0[place][value as usize] += 1;
        }
    }

    /// What was counted of known values.
    fn finish(self) -> [Vec<(u32, u64)>; FACETS] {
        let mut tallies = self.0.into_iter();
        [(); FACETS].map(|()| {
            let counts = tallies.next().unwrap_or_default();
            (0..).zip(counts).skip(1).filter(|(_, count)| *count > 0).collect()
        })
    }
}
