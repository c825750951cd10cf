//! What is found straight from stored bytes beside what the arrays of f64 give.

use proptest::prelude::*;

use super::*;
use crate::{
    encode, encode_f64, keep_random,
    prune::Row,
    task::{
        self, By, Divisor, Election, Strip, ZeroSign, add_deltas, drop_largest, elect, energies,
        keep_largest, norms,
    },
    wide::{dot, nonfinite, positive, widen},
};

/// Inputs as bytes and in f64, the base last.
#[derive(Debug)]
pub(super) struct Case {
    bytes: Vec<Vec<u8>>,
    pub wide: Vec<Vec<f64>>,
}

impl Case {
    pub fn new(values: &[Vec<f32>]) -> Self {
        let bytes = |values: &Vec<f32>| {
            let mut bytes = vec![0; 2 * values.len()];
            encode(Dtype::Bf16, values, &mut bytes);
            bytes
        };
        let bytes: Vec<Vec<u8>> = values.iter().map(bytes).collect();
        let wide = bytes.iter().map(|bytes| {
            let mut wide = vec![0.0; bytes.len() / 2];
            widen(Encoded { dtype: Dtype::Bf16, bytes }, &mut wide);
            wide
        });
        Self { wide: wide.collect(), bytes }
    }

    pub fn stored(&self) -> Vec<Encoded<'_>> {
        self.bytes.iter().map(|bytes| Encoded { dtype: Dtype::Bf16, bytes }).collect()
    }

    /// `None` only where the processor cannot.
    pub fn tuned<'a>(&self, stored: &[Encoded<'a>]) -> Option<Tuned<'a>> {
        let tuned = Tuned::of(stored);
        assert_eq!(tuned.is_some(), available());
        tuned
    }

    pub fn models(&self) -> Vec<&[f64]> {
        self.wide[..self.wide.len() - 1].iter().map(Vec::as_slice).collect()
    }

    pub fn base(&self) -> &[f64] {
        &self.wide[self.wide.len() - 1]
    }

    pub fn delta(&self, at: usize) -> Vec<f64> {
        self.wide[at].iter().zip(self.base()).map(|(model, base)| model - base).collect()
    }
}

fn value() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -1.0f32..1.0,
        2 => (-8i8..8).prop_map(|step| f32::from(step) / 8.0),
        1 => Just(0.0),
        1 => Just(-0.0),
        1 => -1e-38f32..1e-38,
        1 => -3e38f32..3e38,
    ]
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    let inputs = |len| prop::collection::vec(prop::collection::vec(value(), len), 2..=MOST + 1);
    // Models that equal their base in some elements.
    let equal = prop::collection::vec(any::<u8>(), 150);
    ((0usize..150).prop_flat_map(inputs), equal).prop_map(|(mut inputs, equal)| {
        let Some((base, models)) = inputs.split_last_mut() else { return Case::new(&[]) };
        for (at, model) in models.iter_mut().enumerate() {
            for ((value, base), equal) in model.iter_mut().zip(&*base).zip(&equal) {
                *value = if equal >> at & 1 == 1 || *equal > 230 { *base } else { *value };
            }
        }
        Case::new(&inputs)
    })
}

fn bits(kept: &[f64]) -> Vec<u64> {
    task::packed(&kept.iter().map(|factor| *factor != 0.0).collect::<Vec<_>>())
}

/// Words without the bits past the end.
fn cut(mut words: Vec<u64>, len: usize) -> Vec<u64> {
    if let (Some(last), true) = (words.last_mut(), !len.is_multiple_of(64)) {
        *last &= (1 << (len % 64)) - 1;
    }
    words
}

fn masks(case: &Case, seed: u64) -> Vec<Vec<f64>> {
    let mask = |at: usize| {
        let mut kept = vec![1.0; case.base().len()];
        keep_random(seed + at as u64, 0, 0.6, &mut kept);
        kept
    };
    (0..case.models().len()).map(mask).collect()
}

proptest! {
    #[test]
    fn the_largest_elements_are_those_of_the_f64_deltas(
        case in case(), place in 0usize..150, cutoff in 0u64..200, other in 0u64..200,
    ) {
        let stored = case.stored();
        let Some(tuned) = case.tuned(&stored) else { return Ok(()) };
        let delta = case.delta(0);
        let threshold = |at: usize| delta.get(at).map_or(0, |delta| (delta.abs() as f32).to_bits());
        let (within, beyond) = ((threshold(place), cutoff), (threshold(place / 2), other));
        let mut expected = vec![1.0; delta.len()];
        keep_largest(within, &delta, &mut expected);
        drop_largest(beyond, &delta, &mut expected);

        let mut words = vec![7; tuned.words()];
        tuned.band(0, (within, beyond), &mut words);

        prop_assert_eq!(cut(words, delta.len()), bits(&expected));
    }

    #[test]
    fn random_bits_are_those_of_the_masks(
        key in any::<u64>(), start in any::<u64>(), len in 0usize..300,
        share in prop_oneof![0.0f64..1.0, Just(0.0), Just(1.0), Just(0.5), Just(1.0 - f64::EPSILON / 2.0), Just(7.0)],
    ) {
        let case = Case::new(&[vec![0.0; len], vec![0.0; len]]);
        let stored = case.stored();
        let Some(tuned) = case.tuned(&stored) else { return Ok(()) };
        let start = start.min(u64::MAX - 400);
        let mut expected = vec![1.0; len];
        keep_random(key, start, share, &mut expected);

        let mut words = vec![7; tuned.words()];
        tuned.random(key, start, share, &mut words);

        prop_assert_eq!(cut(words, len), bits(&expected));
    }

    #[test]
    fn sizes_are_added_up_in_the_order_of_the_arrays(case in case(), seed in any::<u32>()) {
        let stored = case.stored();
        let Some(tuned) = case.tuned(&stored) else { return Ok(()) };
        for (at, kept) in masks(&case, u64::from(seed)).iter().enumerate() {
            let delta = case.delta(at);

            let found = tuned.sizes(at, &bits(kept));

            let (whole, part, live) = energies(&delta, kept);
            let expected = Sizes { absolute: norms(&delta, kept), squares: (whole, part), kept: live };
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_blend_has_the_bits_of_the_sum_in_f64(
        case in case(),
        seed in any::<u32>(),
        weights in prop::collection::vec(prop_oneof![-1.0f64..2.0, Just(1.0), Just(0.0), Just(0.4)], MOST),
        scale in prop_oneof![Just(1.0f64), Just(0.0), -1.0f64..2.0, Just(1e308)],
        rule in 0usize..12,
    ) {
        let stored = case.stored();
        let Some(tuned) = case.tuned(&stored) else { return Ok(()) };
        let (models, base, masks) = (case.models(), case.base(), masks(&case, u64::from(seed)));
        let weights = &weights[..models.len()];
        let by = if rule % 2 == 0 { By::Sum } else { By::Count };
        let zero = if rule / 2 % 2 == 0 { ZeroSign::Plus } else { ZeroSign::Minus };
        let divisor = if rule / 4 == 0 { Divisor::One } else { Divisor::Agreeing };
        let election = Election { shares: weights, by, divisor, zero, scale };
        let strip = Strip { base, models: &models };
        let mut factors: Vec<f64> =
            masks.iter().zip(weights).flat_map(|(mask, weight)| mask.iter().map(move |kept| kept * weight)).collect();
        let (shares, vote) = if rule / 4 == 2 {
            factors.iter_mut().for_each(|factor| *factor = scale * (*factor / 0.7));
            let factor = |at: usize, counts: f64| scale * (counts * weights[at] / 0.7);
            (Shares::plain(models.len(), factor), None)
        } else {
            elect(strip, election, &mut factors);
            (Shares::elected(weights, election), Some(Vote { weights, by, zero, voters: Voters::Kept }))
        };
        let (mut sums, mut expected) = (vec![0.0; base.len()], vec![0; 2 * base.len()]);
        add_deltas(strip, &factors, &mut sums);
        let beyond = nonfinite(&sums) + encode_f64(Dtype::Bf16, &sums, &mut expected);

        let mut got = vec![0; 2 * base.len()];
        let kept: Vec<Vec<u64>> = masks.iter().map(|mask| bits(mask)).collect();
        let kept: Vec<&[u64]> = kept.iter().map(Vec::as_slice).collect();
        let over = tuned.blend(&kept, (&shares.unwrap(), vote), &mut got);

        prop_assert_eq!(over, beyond);
        if nonfinite(&sums) == 0 {
            prop_assert_eq!(got, expected);
        }
    }
}

proptest! {
    #[test]
    fn rows_are_pruned_as_those_of_f64(
        case in case(), columns in 1usize..150, density in 0.2f64..0.8, epsilon in -0.2f64..0.2, key in any::<u64>(),
    ) {
        check_rows(&case, columns, Slope { density, epsilon }, key)?;
    }

    #[test]
    fn long_rows_of_coarse_and_of_equal_deltas_are_pruned_as_those_of_f64(
        steps in prop::collection::vec(-40i16..40, 3_000), scale in 0u8..4, key in any::<u64>(),
    ) {
        // Of several magnitudes: few of them, many, and all the same.
        let value = |(at, step): (usize, &i16)| match scale {
            0 => f32::from(*step),
            1 => f32::from(*step) * (1.0 + at as f32 / 7.0),
            2 => f32::from(*step) * 2f32.powi(at as i32 % 40 - 20),
            _ => 0.5,
        };
        let base: Vec<f32> = (0..steps.len()).map(|at| if at % 3 == 0 { 1.0 } else { 0.25 }).collect();
        let model = steps.iter().enumerate().map(value).zip(&base).map(|(value, base)| value * 0.01 + base);
        let case = Case::new(&[model.collect(), base.clone()]);
        for columns in [100, 1_500, 3_000] {
            check_rows(&case, columns, Slope { density: 0.5, epsilon: 0.3 }, key)?;
        }
    }

    #[test]
    fn variances_are_those_of_the_f64_deltas(case in case(), place in 0usize..150, cutoff in 0u64..200) {
        let stored = case.stored();
        let Some(tuned) = case.tuned(&stored) else { return Ok(()) };
        let deltas: Vec<Vec<f64>> = (0..case.models().len()).map(|at| case.delta(at)).collect();
        let deltas: Vec<&[f64]> = deltas.iter().map(Vec::as_slice).collect();
        let mut expected = vec![0.0; tuned.len()];
        task::variances(&deltas, &mut expected);
        let sizes: Vec<u32> = expected.iter().map(|variance| (*variance as f32).to_bits()).collect();
        let bounds = (sizes.get(place).copied().unwrap_or_default(), cutoff);
        let mut kept = vec![1.0; tuned.len()];
        keep_largest(bounds, &expected, &mut kept);

        let (mut got, mut words) = (vec![0.0; tuned.len()], vec![7; tuned.words()]);
        let varying = tuned.variances(&mut got);
        tuned.varying(bounds, &mut words);

        prop_assert_eq!(got.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), sizes);
        prop_assert_eq!(varying, positive(&expected));
        prop_assert_eq!(tuned.count(&words), positive(&kept));
        prop_assert_eq!(cut(words, kept.len()), bits(&kept));
    }

    #[test]
    fn squares_are_added_up_in_the_order_of_the_arrays(case in case(), seed in any::<u32>()) {
        let stored = case.stored();
        let Some(tuned) = case.tuned(&stored) else { return Ok(()) };
        for (at, kept) in masks(&case, u64::from(seed)).iter().enumerate() {
            let delta = case.delta(at);
            let part: Vec<f64> = delta.iter().zip(kept).map(|(delta, kept)| delta * kept).collect();

            let found = tuned.squares(at, &bits(kept));

            prop_assert_eq!(found, (dot(&part, &part), dot(&delta, &delta)));
        }
    }

    #[test]
    fn products_are_added_up_strip_by_strip(case in case(), strip in 1usize..200) {
        let stored = case.stored();
        let Some((base, models)) = stored.split_last() else { return Ok(()) };
        for base in [None, Some(*base)] {
            let vectors: Vec<Vec<f64>> = match base {
                Some(_) => (0..models.len()).map(|at| case.delta(at)).collect(),
                None => case.models().into_iter().map(<[f64]>::to_vec).collect(),
            };
            let len = case.base().len();
            let mut expected = vec![0.0; models.len() * models.len()];
            for from in (0..len).step_by(strip) {
                let place = from..(from + strip).min(len);
                for (at, sum) in expected.iter_mut().enumerate() {
                    let (i, j) = (at / models.len(), at % models.len());
                    let (i, j) = (i.min(j), i.max(j));
                    *sum += dot(&vectors[i][place.clone()], &vectors[j][place.clone()]);
                }
            }

            let found = products(models, base, strip);

            prop_assert_eq!(found, available().then_some(expected));
        }
    }

    #[test]
    fn a_limited_move_has_the_bits_of_the_sum_in_f64(
        case in case(), t in prop_oneof![0.0f64..1.0, Just(0.0), Just(0.125), Just(1e30)],
    ) {
        let stored = case.stored();
        let Some(tuned) = case.tuned(&stored[stored.len() - 2..]) else { return Ok(()) };
        let at = stored.len() - 2;
        let mut factors = vec![0.0; tuned.len()];
        let beyond = task::limit(t, &case.delta(at), &mut factors);
        let (mut sums, mut expected) = (vec![0.0; tuned.len()], vec![0; 2 * tuned.len()]);
        add_deltas(Strip { base: case.base(), models: &[&case.wide[at]] }, &factors, &mut sums);
        let over = nonfinite(&sums) + encode_f64(Dtype::Bf16, &sums, &mut expected);

        let mut got = vec![0; 2 * tuned.len()];
        let counts = tuned.limited(t, &mut got);

        prop_assert_eq!((counts, got), ((beyond, over), expected));
    }

    #[test]
    fn shares_of_what_varies_have_the_bits_of_the_sum_in_f64(
        case in case(), seed in any::<u32>(), by in prop_oneof![Just(By::Sum), Just(By::Count)],
        weights in prop::collection::vec(prop_oneof![0.0f64..2.0, Just(0.0)], MOST), floor in prop_oneof![Just(0.0f64), Just(0.3)],
    ) {
        let stored = case.stored();
        let Some(tuned) = case.tuned(&stored) else { return Ok(()) };
        let (models, base, masks) = (case.models(), case.base(), masks(&case, u64::from(seed)));
        let weights = &weights[..models.len()];
        let mut votes: Vec<f64> = (0..models.len()).flat_map(|at| case.delta(at)).collect();
        if by == By::Count {
            let deltas = votes.clone();
            crate::wide::signs(&deltas, &mut votes);
        }
        let mut factors = vec![0.0; votes.len()];
        task::share_out((&votes, weights), &masks[0], floor, &mut factors);
        let (mut sums, mut expected) = (vec![0.0; base.len()], vec![0; 2 * base.len()]);
        add_deltas(Strip { base, models: &models }, &factors, &mut sums);
        let beyond = nonfinite(&sums) + encode_f64(Dtype::Bf16, &sums, &mut expected);

        let mut got = vec![0; 2 * base.len()];
        let kept = bits(&masks[0]);
        let vote = Vote { weights: &[1.0; MOST], by, zero: ZeroSign::Plus, voters: Voters::All };
        let shares = Shares::shared(weights, floor).unwrap();
        let over = tuned.blend(&[&kept[..]; MOST], (&shares, Some(vote)), &mut got);

        prop_assert_eq!((over, got), (beyond, expected));
    }
}

fn check_rows(case: &Case, columns: usize, slope: Slope, key: u64) -> Result<(), TestCaseError> {
    let stored = case.stored();
    let Some(tuned) = case.tuned(&stored) else { return Ok(()) };
    let whole = tuned.len() / columns * columns;
    let stored: Vec<Encoded<'_>> = stored.iter().map(|stored| stored.part(0, whole)).collect();
    let Some(tuned) = case.tuned(&stored) else { return Ok(()) };
    let (mut room, mut row) = (RowRoom::default(), Row::default());
    let mut words = vec![7; tuned.words()];
    for at in 0..stored.len() - 1 {
        let mut kept = vec![false; whole];
        for (first, (row_deltas, kept)) in
            (0..).step_by(columns).zip(case.delta(at)[..whole].chunks(columns).zip(kept.chunks_mut(columns)))
        {
            row.prune(row_deltas, slope, (key, 5 + first), kept);
        }

        Pruning::new(columns, slope).prune((&tuned, at), (key, 5), (&mut room, &mut words));

        prop_assert_eq!(&words, &task::packed(&kept));
    }
    Ok(())
}

#[test]
fn inputs_that_are_not_finite_are_left_to_others() {
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [0, 40, 64] {
            let mut values = vec![0.5; 65];
            values[place] = odd;
            let case = Case::new(&[vec![1.0; 65], values]);

            assert!(Tuned::of(&case.stored()).is_none());
        }
    }
}
