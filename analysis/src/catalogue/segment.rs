//! Models as columns: one number, word or mark of every model after the other.

use domain::Relation;
use petgraph::graph::NodeIndex;
use rayon::slice::ParallelSliceMut as _;

use super::{
    entry::Entry,
    facet::{Facet, size_class},
    grams::Grams,
    lines::{Lines, Words},
    order::Order,
};
use crate::lineage::Places;

/// Facets whose values are words.
const WORDED: usize = 5;

/// Some models, column by column.
#[derive(Default)]
struct Columns {
    ids: Places,
    keys: Lines,
    orgs: Words,
    org: Vec<u32>,
    words: [Words; WORDED],
    worded: [Vec<u32>; WORDED],
    size: Vec<u8>,
    relations: Vec<u8>,
    weights: Vec<u8>,
    sketched: Vec<u8>,
    /// 1 for what is only a name.
    ghosts: Vec<u8>,
    parameters: Vec<i64>,
    /// Downloads, likes, created, modified: one more than the value, 0 where it is unknown.
    numbers: [Vec<u32>; 4],
    tag_words: Words,
    tags: Vec<u32>,
    tag_ends: Vec<u32>,
}

/// Some models, ready to be searched; about 200 bytes of memory each.
pub struct Segment {
    columns: Columns,
    grams: Grams,
    /// Positions by name, and by the part of the name after the organisation.
    pub(super) by_key: Vec<u32>,
    pub(super) by_short: Vec<u32>,
}

/// Takes models in ascending order of their numbers.
#[derive(Default)]
pub struct SegmentBuilder(Columns);

/// The column of a facet whose values are words.
const fn worded(facet: Facet) -> Option<usize> {
    match facet {
        Facet::Architecture => Some(0),
        Facet::Dtype => Some(1),
        Facet::Licence => Some(2),
        Facet::Task => Some(3),
        Facet::Library => Some(4),
        Facet::Relation | Facet::Size | Facet::Weights | Facet::Kinship => None,
    }
}

fn packed(value: Option<i64>) -> u32 {
    let room = |value: i64| u32::try_from(value.clamp(0, i64::from(u32::MAX - 1)) + 1).unwrap_or(u32::MAX);
    value.map_or(0, room)
}

/// Tags that say what other columns say better.
fn told_elsewhere(tag: &str) -> bool {
    tag.starts_with("base_model:") || tag.starts_with("region:")
}

impl Columns {
    fn add(&mut self, entry: &Entry<'_>) {
        self.ids.push(entry.id);
        self.keys.push(entry.key);
        self.org.push(self.orgs.intern(&entry.org.unwrap_or_default().to_lowercase()));
        for (facet, value) in [
            (Facet::Architecture, entry.architecture),
            (Facet::Dtype, entry.dtype),
            (Facet::Licence, entry.licence),
            (Facet::Task, entry.task),
            (Facet::Library, entry.library),
        ] {
            if let Some(at) = worded(facet) {
                let number = self.words[at].intern(&facet.normal(value.unwrap_or_default()));
                self.worded[at].push(number);
            }
        }
        let size = entry.parameters.map_or(0, |parameters| size_class(parameters) + 1);
        self.size.push(u8::try_from(size).unwrap_or(0));
        let mark = |all: u8, relation: &Relation| {
            all | Relation::ALL.iter().position(|known| known == relation).map_or(0, |at| 1 << at)
        };
        self.relations.push(entry.relations.iter().fold(0, mark));
        self.weights.push(1 + u8::from(entry.weights));
        self.sketched.push(1 + u8::from(entry.sketched));
        self.ghosts.push(u8::from(entry.ghost));
        self.parameters.push(entry.parameters.unwrap_or(-1));
        let numbers = [entry.downloads, entry.likes, entry.created_at, entry.last_modified];
        for (column, value) in self.numbers.iter_mut().zip(numbers) {
            column.push(packed(value));
        }
        let start = self.tags.len();
        let words = entry.tags.iter().chain(entry.languages).map(String::as_str);
        // A model whose weights are here has the tag that the Hub gives it for them.
        let words = words.chain(entry.weights.then_some("safetensors"));
        for word in words.chain(entry.library).chain(entry.task).filter(|word| !told_elsewhere(word)) {
            let number = self.tag_words.intern(word);
            if !self.tags[start..].contains(&number) {
                self.tags.push(number);
            }
        }
        self.tag_ends.push(u32::try_from(self.tags.len()).unwrap_or(u32::MAX));
    }

    fn shrink(&mut self) {
        self.ids.shrink();
        self.keys.shrink();
        self.parameters.shrink_to_fit();
        self.orgs.shrink();
        self.tag_words.shrink();
        let columns = [&mut self.org, &mut self.tags, &mut self.tag_ends];
        for column in columns.into_iter().chain(&mut self.worded).chain(&mut self.numbers) {
            column.shrink_to_fit();
        }
        for column in
            [&mut self.size, &mut self.relations, &mut self.weights, &mut self.sketched, &mut self.ghosts]
        {
            column.shrink_to_fit();
        }
    }
}

impl SegmentBuilder {
    /// Adds a model.
    pub fn add(&mut self, entry: &Entry<'_>) {
        self.0.add(entry);
    }

    /// Models added.
    pub fn len(&self) -> usize {
        self.0.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.ids.len() == 0
    }

    /// Sorts the names and writes the postings.
    pub fn finish(self) -> Segment {
        let mut columns = self.0;
        columns.shrink();
        let keys = &columns.keys;
        let ((by_key, by_short), grams) = rayon::join(
            || rayon::join(|| ordered(keys, |key| key), || ordered(keys, short)),
            || Grams::of(keys),
        );
        Segment { grams, by_key, by_short, columns }
    }
}

/// Positions in the order of a part of the texts, then of themselves. Nearly all texts differ in their first bytes, which
/// are sorted beside the positions: looking up both texts at every step takes most of the time otherwise.
fn ordered(texts: &Lines, part: impl Fn(&str) -> &str + Sync) -> Vec<u32> {
    let text = |at: u32| part(texts.get(at as usize));
    let head = |at: u32| {
        let mut head = [0; 16];
        let bytes = text(at).as_bytes();
        let most = bytes.len().min(head.len());
        head[..most].copy_from_slice(&bytes[..most]);
        let number = u128::from_be_bytes(head);
        ([(number >> 64) as u64, number as u64], at)
    };
    let mut heads: Vec<([u64; 2], u32)> = (0..).take(texts.len()).map(head).collect();
    heads.par_sort_unstable_by(|(a, i), (b, j)| {
        a.cmp(b).then_with(|| text(*i).cmp(text(*j))).then_with(|| i.cmp(j))
    });
    heads.into_iter().map(|(_, at)| at).collect()
}

/// The name after the organisation.
pub(super) fn short(key: &str) -> &str {
    key.split_once('/').map_or(key, |(_, name)| name)
}

impl Segment {
    /// Models in it.
    pub fn len(&self) -> usize {
        self.columns.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.columns.ids.len() == 0
    }

    /// Memory that its columns take, bytes.
    pub fn bytes(&self) -> usize {
        let own = &self.columns;
        let words: usize = own.words.iter().chain([&own.orgs, &own.tag_words]).map(Words::bytes).sum();
        let columns = [&self.by_key, &self.by_short, &own.org, &own.tags, &own.tag_ends];
        let numbers: usize = columns
            .into_iter()
            .chain(&own.worded)
            .chain(&own.numbers)
            .map(|column| column.capacity() * 4)
            .sum();
        let marks: usize = [&own.size, &own.relations, &own.weights, &own.sketched, &own.ghosts]
            .into_iter()
            .map(|column| column.capacity())
            .sum();
        let wide = own.parameters.capacity() * 8;
        own.ids.bytes() + own.keys.bytes() + self.grams.bytes() + words + numbers + marks + wide
    }

    /// The position of a model.
    pub(super) fn position(&self, id: i64) -> Option<usize> {
        self.columns.ids.get(id).map(NodeIndex::index)
    }

    /// The number of the model at a position.
    pub(super) fn id(&self, at: usize) -> i64 {
        self.columns.ids.at(at)
    }

    pub(super) fn key(&self, at: usize) -> &str {
        self.columns.keys.get(at)
    }

    /// Names that may hold a word of three letters or more, ascending.
    pub(super) fn holding(&self, word: &str) -> Option<Vec<u32>> {
        self.grams.candidates(word)
    }

    pub(super) fn is_ghost(&self, at: usize) -> bool {
        self.columns.ghosts[at] == 1
    }

    pub(super) fn org_number(&self, org: &str) -> Option<u32> {
        self.columns.orgs.find(org)
    }

    pub(super) fn org(&self, at: usize) -> u32 {
        self.columns.org[at]
    }

    pub(super) fn tag_number(&self, tag: &str) -> Option<u32> {
        self.columns.tag_words.find(tag)
    }

    pub(super) fn tags(&self, at: usize) -> &[u32] {
        let start = at.checked_sub(1).map_or(0, |before| self.columns.tag_ends[before] as usize);
        &self.columns.tags[start..self.columns.tag_ends[at] as usize]
    }

    /// The value of a facet, 0 for unknown; relations are one bit each.
    pub(super) fn value(&self, facet: Facet, at: usize) -> u32 {
        match (worded(facet), facet) {
            (Some(column), _) => self.columns.worded[column][at],
            (None, Facet::Relation) => self.columns.relations[at].into(),
            (None, Facet::Size) => self.columns.size[at].into(),
            (None, Facet::Kinship) => self.columns.sketched[at].into(),
            (None, _) => self.columns.weights[at].into(),
        }
    }

    /// The words of a facet, where its values are words.
    pub(super) fn words(&self, facet: Facet) -> Option<&Words> {
        worded(facet).map(|column| &self.columns.words[column])
    }

    /// What a model is ordered by; −1 where it is unknown, −2 where the model is only a name, too.
    pub(super) fn rank(&self, order: Order, at: usize) -> i64 {
        let value = self.known_rank(order, at);
        if value < 0 { value - i64::from(self.columns.ghosts[at]) } else { value }
    }

    /// Positions of the models that are called `name`, in lower case, with or without an organisation.
    pub(super) fn called(&self, name: &str) -> Vec<usize> {
        let (places, part): (&[u32], fn(&str) -> &str) = match name.contains('/') {
            true => (&self.by_key, |key| key),
            false => (&self.by_short, short),
        };
        let key = |at: &u32| part(self.key(*at as usize));
        let begin = places.partition_point(|at| key(at) < name);
        let same = begin + places[begin..].partition_point(|at| key(at) == name);
        places[begin..same].iter().map(|at| *at as usize).collect()
    }

    fn known_rank(&self, order: Order, at: usize) -> i64 {
        let column = match order {
            Order::Downloads => 0,
            Order::Likes => 1,
            Order::Created => 2,
            Order::Modified => 3,
            Order::Parameters => return self.columns.parameters[at],
            Order::Name => return 0,
        };
        i64::from(self.columns.numbers[column][at]) - 1
    }
}
