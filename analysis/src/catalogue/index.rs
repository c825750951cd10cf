//! A large segment with a small fresh one over it, and answers drawn from both.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    bits::Bits,
    facet::Facet,
    filter::Filter,
    matches::{Matches, word_of},
    order::{After, Order},
    segment::Segment,
    suggest::{alike, suggest},
};

/// Filters whose finds are kept, so that the pages of one search are found once.
const KEPT: usize = 16;

/// Values of one facet, the most frequent first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetCounts {
    pub facet: Facet,
    /// Value and how many models have it that pass everything else that is asked for.
    pub values: Vec<(String, u64)>,
    /// Values that are not listed.
    pub more: usize,
}

/// A page of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Numbers of the models.
    pub ids: Vec<i64>,
    /// Models that pass, on all pages.
    pub total: u64,
    /// Where the next page begins; none after the last.
    pub next: Option<After>,
    pub facets: Vec<FacetCounts>,
}

/// Which page to give.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub order: Order,
    pub after: Option<After>,
    pub limit: usize,
    /// Values listed of each facet.
    pub values: usize,
}

/// What a filter finds in both segments.
type Found = Arc<[Matches; 2]>;

/// All models of a registry at one moment.
pub struct Index {
    base: Arc<Segment>,
    fresh: Arc<Segment>,
    /// Models that are left out, by segment: those of the base that were touched since, which the fresh one has or nobody,
    /// and those that are hidden.
    dead: [Bits; 2],
    living: usize,
    found: Mutex<VecDeque<(Filter, Found)>>,
}

impl Index {
    /// Lays `fresh` over `base`; the models in `touched` count as the fresh segment has them.
    pub fn new(base: Arc<Segment>, fresh: Segment, touched: &BTreeSet<i64>) -> Self {
        let (mut dead, hidden) = (Bits::new(base.len()), Bits::new(fresh.len()));
        let mut gone = 0;
        for at in touched.iter().filter_map(|id| base.position(*id)) {
            dead.set(at);
            gone += 1;
        }
        let living = base.len() - gone + fresh.len();
        Self { base, fresh: Arc::new(fresh), dead: [dead, hidden], living, found: Mutex::default() }
    }

    /// The same without some models.
    #[must_use]
    pub fn without(&self, hidden: &HashSet<i64>) -> Self {
        let (mut dead, mut living) = (self.dead.clone(), self.living);
        for (segment, dead) in self.segments().into_iter().zip(&mut dead) {
            for at in hidden.iter().filter_map(|id| segment.position(*id)) {
                living -= usize::from(!dead.has(at));
                dead.set(at);
            }
        }
        let (base, fresh) = (Arc::clone(&self.base), Arc::clone(&self.fresh));
        Self { base, fresh, dead, living, found: Mutex::default() }
    }

    /// The base, to lay another fresh segment over it.
    pub fn base(&self) -> &Arc<Segment> {
        &self.base
    }

    /// Models in it.
    pub fn len(&self) -> usize {
        self.living
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.living == 0
    }

    /// Memory that it takes, bytes, without what is kept of past filters.
    pub fn bytes(&self) -> usize {
        self.base.bytes() + self.fresh.bytes() + self.dead.iter().map(Bits::bytes).sum::<usize>()
    }

    /// One page, the number of all, and the counts of every facet.
    pub fn search(&self, filter: &Filter, wanted: &Wanted) -> Answer {
        let found = self.find(filter);
        let most = wanted.limit + 1;
        let mut page: Vec<(After, i64)> = Vec::new();
        for (segment, matches) in self.segments().into_iter().zip(found.iter()) {
            // A name is looked for first of all where nobody asks for another order.
            let name = filter.name().filter(|_| wanted.order == Order::default());
            page.extend(matches.page(segment, (wanted, name), most));
        }
        page.sort_unstable_by(|(a, _), (b, _)| match (a, b) {
            (After::Key(a), After::Key(b)) => a.cmp(b),
            (After::Value(a, i), After::Value(b, j)) => (b, j).cmp(&(a, i)),
            _ => std::cmp::Ordering::Equal,
        });
        let more = page.len() > wanted.limit;
        page.truncate(wanted.limit);
        Answer {
            next: page.last().filter(|_| more).map(|(after, _)| after.clone()),
            ids: page.into_iter().map(|(_, id)| id).collect(),
            total: found.iter().map(|matches| matches.total).sum(),
            facets: self.facets(filter, &found, wanted.values),
        }
    }

    /// Numbers of models whose names begin with the text or hold it, the most fitting first; where there are none, of those
    /// that hold its words but for one slip in each.
    pub fn suggest(&self, text: &str, most: usize) -> Vec<i64> {
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty() || most == 0 {
            return Vec::new();
        }
        let parts = || self.segments().into_iter().zip(&self.dead);
        let mut ranks: Vec<_> =
            parts().flat_map(|(segment, dead)| suggest(segment, (&text, most), dead)).collect();
        if ranks.is_empty() {
            ranks = parts().flat_map(|(segment, dead)| alike(segment, (&text, most), dead)).collect();
        }
        ranks.sort_unstable_by(|a, b| b.cmp(a));
        ranks.truncate(most);
        ranks.into_iter().map(|(_, _, id)| id).collect()
    }

    fn segments(&self) -> [&Segment; 2] {
        [&self.base, &self.fresh]
    }

    fn find(&self, filter: &Filter) -> Found {
        let known = |kept: &VecDeque<(Filter, Found)>| {
            kept.iter().find(|(known, _)| known == filter).map(|(_, found)| Arc::clone(found))
        };
        if let Some(found) = known(&self.found.lock().unwrap_or_else(PoisonError::into_inner)) {
            return found;
        }
        let [base, fresh] = &self.dead;
        let found =
            Arc::new([Matches::of(&self.base, filter, base), Matches::of(&self.fresh, filter, fresh)]);
        let mut kept = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if known(&kept).is_none() {
            kept.truncate(KEPT - 1);
            kept.push_front((filter.clone(), Arc::clone(&found)));
        }
        found
    }

    fn facets(&self, filter: &Filter, found: &Found, most: usize) -> Vec<FacetCounts> {
        let facet = |(place, facet): (usize, Facet)| {
            let mut counts: HashMap<&str, u64> = HashMap::new();
            for (segment, matches) in self.segments().into_iter().zip(found.iter()) {
                for &(value, count) in &matches.counts[place] {
                    *counts.entry(word_of(segment, facet, value)).or_default() += count;
                }
            }
            let mut values: Vec<(&str, u64)> = counts.into_iter().collect();
            values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
            let picked = filter.picked(facet).and_then(|word| values.iter().position(|(w, _)| *w == word));
            // What is asked for is always listed.
            if let Some(at) = picked.filter(|at| *at >= most && most > 0) {
                values.swap(at, most - 1);
            }
            let more = values.len().saturating_sub(most);
            values.truncate(most);
            let values = values.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
            FacetCounts { facet, values, more }
        };
        Facet::ALL.into_iter().enumerate().map(facet).collect()
    }
}
