//! Signatures of many models in memory, and the nearest of them to one.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

use domain::Digest;
use rayon::prelude::*;

use super::{SIGNATURE_CELLS, Signature};

/// Signatures that lie together; adding one to a shared index copies at most so many.
const SEGMENT: usize = 1_024;
/// Below so many standard errors of unrelated models, a cosine is chance: the best of 100,000 strangers has 4.4.
const CHANCE: f32 = 5.0;

/// A revision of a model, by the registry's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Indexed {
    pub model: i64,
    pub revision: i64,
}

#[derive(Debug, Clone, Default)]
struct Segment {
    of: Vec<Indexed>,
    /// [`SIGNATURE_CELLS`] each.
    cells: Vec<f32>,
}

impl Segment {
    fn push(&mut self, of: Indexed, cells: &[f32]) {
        self.of.push(of);
        self.cells.extend_from_slice(cells);
    }

    fn entries(&self) -> impl Iterator<Item = (Indexed, &[f32])> {
        self.of.iter().copied().zip(self.cells.chunks_exact(SIGNATURE_CELLS))
    }
}

/// Signatures by layout. Cheap to clone: clones share what neither changes.
#[derive(Debug, Clone, Default)]
pub struct SignatureIndex {
    layouts: BTreeMap<Digest, Vec<Arc<Segment>>>,
}

/// A revision near another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    pub of: Indexed,
    /// Of the signatures.
    pub cosine: f32,
    pub same_layout: bool,
}

/// The nearest revisions, nearest first, and among how many they were found.
#[derive(Debug, Clone, PartialEq)]
pub struct Nearest {
    pub near: Vec<Near>,
    pub searched: usize,
    /// Revisions searched whose layout is another.
    pub other_layouts: usize,
}

impl SignatureIndex {
    /// Adds a signature of the right length; others are ignored.
    pub fn insert(&mut self, of: Indexed, signature: &Signature) {
        if signature.cells.len() != SIGNATURE_CELLS {
            return;
        }
        let segments = self.layouts.entry(signature.layout).or_default();
        if segments.last().is_none_or(|last| last.of.len() >= SEGMENT) {
            segments.push(Arc::default());
        }
        if let Some(last) = segments.last_mut() {
            Arc::make_mut(last).push(of, &signature.cells);
        }
    }

    /// Removes all that `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(Indexed) -> bool) {
        for segments in self.layouts.values_mut() {
            for segment in segments.iter_mut().filter(|segment| !segment.of.iter().all(|of| keep(*of))) {
                let mut kept = Segment::default();
                segment.entries().filter(|(of, _)| keep(*of)).for_each(|(of, cells)| kept.push(of, cells));
                *segment = Arc::new(kept);
            }
            segments.retain(|segment| !segment.of.is_empty());
        }
        self.layouts.retain(|_, segments| !segments.is_empty());
    }

    /// All revisions held.
    pub fn held(&self) -> impl Iterator<Item = Indexed> {
        self.layouts.values().flatten().flat_map(|segment| segment.of.iter().copied())
    }

    /// Number of revisions held.
    pub fn len(&self) -> usize {
        self.layouts.values().flatten().map(|segment| segment.of.len()).sum()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.layouts.is_empty()
    }

    /// The `most` revisions nearest to `signature` and nearer than chance, of all models but `except`. Reads every
    /// signature once; the same answer on any number of threads.
    pub fn nearest(&self, signature: &Signature, most: usize, except: Option<i64>) -> Nearest {
        let all: Vec<(bool, &Segment)> = self
            .layouts
            .iter()
            .flat_map(|(layout, segments)| segments.iter().map(move |segment| (layout, &**segment)))
            .map(|(layout, segment)| (*layout == signature.layout, segment))
            .collect();
        let chance = CHANCE / (SIGNATURE_CELLS as f32).sqrt();
        let scan = |mut best: Best, (same_layout, segment): &(bool, &Segment)| {
            for (of, cells) in segment.entries() {
                let cosine = kernels::dot_f32(&signature.cells, cells);
                if cosine > chance && Some(of.model) != except {
                    best.offer(Near { of, cosine, same_layout: *same_layout });
                }
            }
            best
        };
        let best = all.par_iter().fold(|| Best::of(most), scan).reduce(|| Best::of(most), Best::merge);
        let count = |wanted: Option<bool>| {
            let of = all.iter().filter(|(same, _)| wanted.is_none_or(|wanted| wanted == *same));
            of.flat_map(|(_, segment)| &segment.of).filter(|of| Some(of.model) != except).count()
        };
        Nearest { near: best.sorted(), searched: count(None), other_layouts: count(Some(false)) }
    }
}

/// Orders by cosine, then older models first, so that the order is total.
#[derive(PartialEq)]
struct Ranked(Near);

impl Eq for Ranked {}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cosine.total_cmp(&other.0.cosine).then_with(|| other.0.of.cmp(&self.0.of))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The best few seen.
struct Best {
    most: usize,
    heap: BinaryHeap<Reverse<Ranked>>,
}

impl Best {
    fn of(most: usize) -> Self {
        Self { most, heap: BinaryHeap::new() }
    }

    fn offer(&mut self, near: Near) {
        self.heap.push(Reverse(Ranked(near)));
        if self.heap.len() > self.most {
            self.heap.pop();
        }
    }

    fn merge(mut self, other: Self) -> Self {
        other.heap.into_iter().for_each(|Reverse(Ranked(near))| self.offer(near));
        self
    }

    fn sorted(self) -> Vec<Near> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(Ranked(near))| near).collect()
    }
}
