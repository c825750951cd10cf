//! How alike two texts are: cosine of TF-IDF over one- and two-word terms, and Levenshtein's distance.

use std::collections::{BTreeMap, HashMap};

/// Terms kept: the most frequent of the corpus.
const VOCABULARY: usize = 512;

/// Weights of a document's terms, by term, of Euclidean norm 1; empty without any known term.
pub(super) type Weights = Vec<(u32, f64)>;

/// TF-IDF of each text over all of them: tf · (ln((1 + n) / (1 + df)) + 1), scaled to norm 1.
pub(super) fn tf_idf(texts: &[&str]) -> Vec<Weights> {
    let counted: Vec<HashMap<String, u32>> = texts.iter().map(|text| terms(text)).collect();
    // In order of the terms, so that ties are cut the same way every time.
    let mut totals: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for document in &counted {
        for (term, count) in document {
            let total = totals.entry(term).or_default();
            total.0 += u64::from(*count);
            total.1 += 1;
        }
    }
    let mut ranked: Vec<(&str, u64, u64)> = totals.into_iter().map(|(term, (n, df))| (term, n, df)).collect();
    ranked.sort_by_key(|item| std::cmp::Reverse(item.1));
    ranked.truncate(VOCABULARY);
    let documents = texts.len() as f64;
    let vocabulary: HashMap<&str, (u32, f64)> = (0_u32..)
        .zip(&ranked)
        .map(|(at, (term, _, df))| (*term, (at, ((1.0 + documents) / (1.0 + *df as f64)).ln() + 1.0)))
        .collect();
    counted
        .iter()
        .map(|document| {
            let mut weights: Weights = document
                .iter()
                .filter_map(|(term, count)| {
                    vocabulary.get(term.as_str()).map(|(at, idf)| (*at, f64::from(*count) * idf))
                })
                .collect();
            weights.sort_unstable_by_key(|(at, _)| *at);
            let norm = weights.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
            weights.iter_mut().for_each(|(_, weight)| *weight /= norm);
            weights
        })
        .collect()
}

/// Words of two characters or more, in lower case, and pairs of neighbours.
fn terms(text: &str) -> HashMap<String, u32> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| word.chars().nth(1).is_some())
        .collect();
    let mut counts = HashMap::new();
    for word in &words {
        *counts.entry((*word).to_owned()).or_default() += 1;
    }
    for pair in words.windows(2) {
        *counts.entry(pair.join(" ")).or_default() += 1;
    }
    counts
}

/// The cosine of two documents of norm 1; 0 where one has no term.
pub(super) fn cosine(a: &Weights, b: &Weights) -> f64 {
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    while let (Some((x, p)), Some((y, q))) = (a.get(i), b.get(j)) {
        match x.cmp(y) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                sum += p * q;
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    sum
}

/// 1 − distance / longer length, over characters; 1 for two empty texts.
pub(super) fn edit_similarity(a: &str, b: &str) -> f64 {
    let [a, b] = [a, b].map(|text| text.chars().collect::<Vec<_>>());
    let longest = a.len().max(b.len());
    if longest == 0 { 1.0 } else { 1.0 - distance(&a, &b) as f64 / longest as f64 }
}

/// Levenshtein's distance, 64 rows a step (Myers 1999 in Hyyrö's block form, <https://doi.org/10.1145/316542.316550>).
fn distance(pattern: &[char], text: &[char]) -> usize {
    if pattern.is_empty() {
        return text.len();
    }
    let blocks = pattern.len().div_ceil(64);
    let mut equal: HashMap<char, Vec<u64>> = HashMap::new();
    for (at, c) in pattern.iter().enumerate() {
        equal.entry(*c).or_insert_with(|| vec![0; blocks])[at / 64] |= 1 << (at % 64);
    }
    let none = vec![0; blocks];
    let (mut up, mut down) = (vec![u64::MAX; blocks], vec![0_u64; blocks]);
    let last = 1_u64 << ((pattern.len() - 1) % 64);
    let mut score = pattern.len();
    for c in text {
        let matches = equal.get(c).unwrap_or(&none);
        // The top row grows by one with every character.
        let (mut plus, mut minus) = (1_u64, 0_u64);
        for block in 0..blocks {
            let (vp, vn) = (up[block], down[block]);
            let eq = matches[block];
            let xv = eq | vn;
            let eq = eq | minus;
            let xh = (((eq & vp).wrapping_add(vp)) ^ vp) | eq;
            let mut hp = vn | !(xh | vp);
            let mut hn = vp & xh;
            if block + 1 == blocks {
                score += usize::from(hp & last != 0);
                score -= usize::from(hn & last != 0);
            }
            let (next_plus, next_minus) = (hp >> 63, hn >> 63);
            hp = (hp << 1) | plus;
            hn = (hn << 1) | minus;
            up[block] = hn | !(xv | hp);
            down[block] = hp & xv;
            (plus, minus) = (next_plus, next_minus);
        }
    }
    score
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(a: &[char], b: &[char]) -> usize {
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.iter().enumerate() {
            let mut corner = row[0];
            row[0] = i + 1;
            for (j, y) in b.iter().enumerate() {
                let changed = corner + usize::from(x != y);
                corner = row[j + 1];
                row[j + 1] = changed.min(row[j].min(corner) + 1);
            }
        }
        row[b.len()]
    }

    #[test]
    fn blocks_of_rows_give_the_distance_of_single_rows() {
        let mut state = 1_u64;
        let mut letters = |n: usize| -> Vec<char> {
            (0..n)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(3);
                    ['a', 'b', 'c', 'ä'][usize::try_from(state >> 62).unwrap()]
                })
                .collect()
        };
        for (n, m) in [(0, 5), (5, 0), (1, 1), (63, 70), (64, 64), (65, 130), (200, 40), (129, 128)] {
            let (a, b) = (letters(n), letters(m));
            assert_eq!(distance(&a, &b), plain(&a, &b), "{n} {m}");
        }
    }

    #[test]
    fn alike_texts_are_near_and_strangers_far() {
        let texts = ["the llama model en", "the llama model de", "a diffusion pipeline xx"];

        let weights = tf_idf(&texts);

        assert!((cosine(&weights[0], &weights[0]) - 1.0).abs() < 1e-12);
        assert!(cosine(&weights[0], &weights[1]) > 0.5);
        assert_eq!(cosine(&weights[0], &weights[2]), 0.0);
        assert!((edit_similarity("kitten", "sitting") - (1.0 - 3.0 / 7.0)).abs() < 1e-12);
        assert_eq!(edit_similarity("", ""), 1.0);
    }

    #[test]
    fn idf_follows_the_usual_formula() {
        let weights = tf_idf(&["aa bb", "aa cc"]);

        let idf = (3.0_f64 / 2.0).ln() + 1.0;
        let norm = (1.0 + 2.0 * idf * idf).sqrt();
        let mut found: Vec<f64> = weights[0].iter().map(|(_, weight)| *weight).collect();
        found.sort_by(f64::total_cmp);
        for (found, expected) in found.iter().zip([1.0 / norm, idf / norm, idf / norm]) {
            assert!((found - expected).abs() < 1e-12);
        }
    }
}
