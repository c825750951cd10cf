//! Texts as they are written: how far one is from another, which word is meant, and whether one is a commit's id.

use std::collections::BTreeSet;

/// Letters to add, drop, change or swap with a neighbour to get from one word to the other, in bytes.
pub fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut row = last.clone();
    for (i, a) in from.iter().enumerate() {
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        // The oldest of the three is written over next.
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[to.len()]
}

/// The known word nearest to `word`, when it is near at all.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let fold = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let word = fold(word);
    let near = known.iter().map(|known| (distance(&word, &fold(known)), *known)).min()?;
    (near.0 <= 1 + word.len().max(near.1.len()) / 3).then_some(near.1)
}

/// Whether a name may have been meant by a word: most of what is written in either is in both. Three letters in a long
/// name are no likeness.
pub fn alike(word: &str, name: &str) -> bool {
    let threes = |text: &str| -> BTreeSet<Vec<char>> {
        let letters: Vec<char> = text.to_lowercase().chars().collect();
        letters.windows(3.min(letters.len().max(1))).map(<[char]>::to_vec).collect()
    };
    let (word, name) = (threes(word), threes(name));
    let both = word.intersection(&name).count();
    both > 0 && 2 * both >= word.len().min(name.len())
}

/// Whether a text is a commit's id as git writes it: 40 hex digits.
pub fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_letters_to_change_and_a_swap_of_neighbours_once() {
        let words = [
            ("kitten", "sitting", 3),
            ("", "ab", 2),
            ("ab", "", 2),
            ("same", "same", 0),
            ("lsiten", "listen", 1),
        ];
        for (a, b, expected) in words {
            assert_eq!([distance(a, b), distance(b, a)], [expected; 2], "{a} {b}");
        }
    }

    #[test]
    fn a_misspelt_name_is_like_what_was_meant_and_a_stranger_with_three_letters_of_it_is_not() {
        let meant = "scribe-v1";

        assert!(alike("scribe", meant) && alike("scribe-v2", meant) && alike("Scrible-v1", meant));
        assert!(!alike("described-image", "ribbon-classifier"));
        assert!(!alike("no-such-model", "modest-net-of-all"));
    }

    #[test]
    fn a_commit_has_forty_hex_digits() {
        assert!(is_commit(&"0f".repeat(20)) && is_commit(&"AB".repeat(20)));
        for other in ["main", &"0f".repeat(32), &"0g".repeat(20), &"ä0".repeat(13)] {
            assert!(!is_commit(other), "{other}");
        }
    }
}
