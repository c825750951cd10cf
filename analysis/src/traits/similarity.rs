//! Genetic similarity of metadata: how alike relatives' records are, with bootstrap intervals.

use std::collections::HashMap;

use rayon::prelude::*;
use serde::Serialize;

use super::{
    sample::{Kin, PairClass, Seeded},
    text::{cosine, edit_similarity, tf_idf},
};

/// Resamples of a bootstrap.
const RESAMPLES: usize = 1_000;

/// A mean with its 95 % bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// How alike the pairs of one class are, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KinLikeness {
    pub class: Kin,
    pub pairs: u64,
    /// Cosine of TF-IDF; none without pairs.
    pub tf_idf: Option<Interval>,
    /// 1 − Levenshtein's distance / longer length.
    pub levenshtein: Option<Interval>,
}

/// The classes side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Likeness {
    pub seed: u64,
    /// Distinct models whose records were read.
    pub documents: u64,
    pub classes: Vec<KinLikeness>,
}

/// Compares the texts of the drawn pairs; pairs with a text missing are left out. Same input, same bits, on any number
/// of threads.
pub fn similarity(classes: &[PairClass], texts: &HashMap<i64, String>, seed: u64) -> Likeness {
    let mut ids: Vec<i64> = texts.keys().copied().collect();
    ids.sort_unstable();
    let documents: Vec<&str> = ids.iter().map(|id| texts[id].as_str()).collect();
    let place: HashMap<i64, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let weights = tf_idf(&documents);
    let classes = classes
        .iter()
        .map(|class| {
            let pairs: Vec<(usize, usize)> =
                class.pairs.iter().filter_map(|(a, b)| Some((*place.get(a)?, *place.get(b)?))).collect();
            let both: Vec<(f64, f64)> = pairs
                .par_iter()
                .map(|&(a, b)| {
                    (cosine(&weights[a], &weights[b]), edit_similarity(documents[a], documents[b]))
                })
                .collect();
            let (terms, edits): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
            KinLikeness {
                class: class.kin,
                pairs: pairs.len() as u64,
                tf_idf: interval(&terms, seed),
                levenshtein: interval(&edits, seed),
            }
        })
        .collect();
    Likeness { seed, documents: documents.len() as u64, classes }
}

fn interval(values: &[f64], seed: u64) -> Option<Interval> {
    if values.is_empty() {
        return None;
    }
    let count = values.len() as f64;
    let mut random = Seeded::new(seed);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..values.len()).map(|_| values[random.below(values.len())]).sum::<f64>() / count)
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: usize| means[(RESAMPLES * share / 1_000).min(RESAMPLES - 1)];
    Some(Interval { mean: values.iter().sum::<f64>() / count, low: at(25), high: at(975) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relatives_are_nearer_than_strangers_and_the_interval_holds_the_mean() {
        let texts: HashMap<i64, String> =
            (0..40).map(|id| (id, format!("family{} trait{} model{id}", id / 4, id / 4))).collect();
        let pairs = |step: i64| {
            (0..36).map(|id| (id, id + step)).filter(|(a, b)| (a / 4 == b / 4) == (step == 1)).collect()
        };
        let classes = [
            PairClass { kin: Kin::Siblings, pairs: pairs(1) },
            PairClass { kin: Kin::Random, pairs: pairs(4) },
        ];

        let likeness = similarity(&classes, &texts, 7);

        let [near, far] = [0, 1].map(|at: usize| likeness.classes[at].tf_idf.unwrap());
        assert!(near.low > far.high, "{near:?} {far:?}");
        assert!(near.low <= near.mean && near.mean <= near.high);
        assert_eq!(likeness, similarity(&classes, &texts, 7));
    }

    #[test]
    fn a_class_without_pairs_has_no_numbers() {
        let likeness = similarity(&[PairClass { kin: Kin::Random, pairs: Vec::new() }], &HashMap::new(), 1);

        assert_eq!((likeness.classes[0].pairs, likeness.classes[0].tf_idf), (0, None));
    }
}
