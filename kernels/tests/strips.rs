//! The kernels of merging against plain loops.

use kernels::{
    Dtype, Encoded, encode_f64,
    task::{self, By, Divisor, Election, Strip, ZeroSign},
    wide::{Common, Term, dot, magnitudes, magnitudes_apart, weighted_sum},
};
use proptest::prelude::*;

/// Longer than a tile, and no whole number of them.
const LEN: usize = 1_100;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![-2.0f64..2.0, Just(0.0), Just(-0.0), Just(0.5), -1e-6f64..1e-6]
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(value(), LEN)
}

fn stored(dtype: Dtype, values: &[f64]) -> (Vec<u8>, Vec<f64>) {
    let mut bytes = vec![0; values.len() * (dtype.bits() / 8) as usize];
    encode_f64(dtype, values, &mut bytes);
    let mut read = vec![0.0; values.len()];
    kernels::decode_f64(dtype, &bytes, &mut read);
    (bytes, read)
}

fn sum_of(factors: &[f64], inputs: &[Vec<f64>], common: Common) -> Vec<f64> {
    let element = |at: usize| {
        if common == Common::Kept && inputs.iter().all(|x| x[at].to_bits() == inputs[0][at].to_bits()) {
            return inputs[0][at];
        }
        let live = factors.iter().zip(inputs).filter(|(factor, _)| **factor != 0.0);
        live.map(|(factor, x)| factor * x[at]).reduce(|sum, term| sum + term).unwrap_or(0.0)
    };
    (0..inputs[0].len()).map(element).collect()
}

fn strip_of(inputs: &[Vec<f64>]) -> (Vec<&[f64]>, &[f64]) {
    (inputs[1..].iter().map(Vec::as_slice).collect(), &inputs[0])
}

fn added(inputs: &[Vec<f64>], factors: &[Vec<f64>]) -> Vec<f64> {
    let element = |at: usize| {
        let base = inputs[0][at];
        let models = || inputs[1..].iter().zip(factors).map(|(x, factors)| (x[at], factors[at]));
        if models().all(|(x, _)| x.to_bits() == base.to_bits()) {
            return base;
        }
        let terms = models().filter(|(_, factor)| *factor != 0.0).map(|(x, factor)| factor * x);
        let sum = terms.fold(-0.0, |sum, term| sum + term);
        let rest = 1.0 - models().map(|(_, factor)| factor).sum::<f64>();
        if rest == 0.0 { sum } else { rest * base + sum }
    };
    (0..inputs[0].len()).map(element).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_weighted_sum_of_stored_bytes_is_that_of_the_numbers(
        inputs in prop::collection::vec(values(), 1..5),
        factors in prop::collection::vec(prop_oneof![-1.0f64..2.0, Just(0.0), Just(1.0)], 5),
        dtype in prop_oneof![Just(Dtype::Bf16), Just(Dtype::F16), Just(Dtype::F32), Just(Dtype::F64)],
        out in prop_oneof![Just(Dtype::Bf16), Just(Dtype::F32), Just(Dtype::F64)],
        twins in any::<bool>(),
        kept in any::<bool>(),
    ) {
        let mut made: Vec<_> = inputs.iter().map(|values| stored(dtype, values)).collect();
        if twins {
            made = vec![made[0].clone(); made.len()];
        }
        let common = if kept { Common::Kept } else { Common::Blended };
        let term = |(made, factor): (&(Vec<u8>, Vec<f64>), &f64)| -> (Vec<u8>, f64) { (made.0.clone(), *factor) };
        let held: Vec<_> = made.iter().zip(&factors).map(term).collect();
        let terms: Vec<_> = held
            .iter()
            .map(|(bytes, factor)| Term { factor: *factor, values: Encoded { dtype, bytes } })
            .collect();
        let mut got = vec![0; LEN * (out.bits() / 8) as usize];

        let beyond = weighted_sum(&terms, common, (out, &mut got));

        let read: Vec<Vec<f64>> = made.into_iter().map(|made| made.1).collect();
        let (expected, _) = stored(out, &sum_of(&factors[..read.len()], &read, common));
        prop_assert_eq!(beyond, Some(0));
        prop_assert!(got == expected);
    }

    #[test]
    fn deltas_are_added_as_in_a_plain_loop(
        inputs in prop::collection::vec(values(), 2..5),
        factors in prop::collection::vec(prop::collection::vec(prop_oneof![-1.0f64..2.0, Just(0.0)], LEN), 4),
    ) {
        let (models, base) = strip_of(&inputs);
        let flat = factors[..models.len()].concat();
        let mut got = vec![0.0; LEN];

        task::add_deltas(Strip { base, models: &models }, &flat, &mut got);

        let expected = added(&inputs, &factors);
        prop_assert!(got.iter().zip(&expected).all(|(got, expected)| got.to_bits() == expected.to_bits()));
    }

    #[test]
    fn an_election_keeps_what_has_the_sign_of_the_sum(
        inputs in prop::collection::vec(values(), 2..5),
        weights in prop::collection::vec(0.1f64..2.0, 4),
        divides in any::<bool>(),
        minus in any::<bool>(),
    ) {
        let (models, base) = strip_of(&inputs);
        let mut factors: Vec<f64> = weights[..models.len()].iter().flat_map(|w| vec![*w; LEN]).collect();
        let election = Election {
            by: By::Sum,
            shares: &weights,
            divisor: if divides { Divisor::Agreeing } else { Divisor::One },
            zero: if minus { ZeroSign::Minus } else { ZeroSign::Plus },
            scale: 0.5,
        };

        task::elect(Strip { base, models: &models }, election, &mut factors);

        for at in 0..LEN {
            let term = |model: usize| weights[model] * (models[model][at] - base[at]);
            let sum = (0..models.len()).fold(0.0, |sum, model| sum + term(model));
            let sign = if sum < 0.0 || sum == 0.0 && minus { -1.0 } else { 1.0 };
            let agrees = |model: usize| term(model) * sign > 0.0;
            let total: f64 = (0..models.len()).filter(|model| agrees(*model)).map(|model| weights[model]).sum();
            for model in 0..models.len() {
                let divisor = if divides && total != 0.0 { total } else { 1.0 };
                let expected = if agrees(model) { weights[model] / divisor * 0.5 } else { 0.0 };
                prop_assert_eq!(factors[model * LEN + at], expected);
            }
        }
    }

    #[test]
    fn what_agrees_with_the_sum_shares_out_the_weight(
        a in values(), b in values(), c in values(),
        weights in prop::array::uniform3(0.0f64..1.0),
        kept in prop::collection::vec(prop_oneof![Just(0.0), Just(1.0)], LEN),
        floor in prop_oneof![Just(0.0), Just(0.4)],
    ) {
        let deltas = [a, b, c];
        let mut factors = vec![0.0; 3 * LEN];

        task::share_out((&deltas.concat(), &weights), &kept, floor, &mut factors);

        for at in 0..LEN {
            let sum = deltas.iter().fold(0.0, |sum, delta| sum + delta[at]);
            let agrees = |model: usize| if sum >= 0.0 { deltas[model][at] > 0.0 } else { deltas[model][at] < 0.0 };
            let own: Vec<f64> = (0..3).map(|model| if agrees(model) { weights[model] * kept[at] } else { 0.0 }).collect();
            let total = own.iter().sum::<f64>().max(floor);
            for model in 0..3 {
                let expected = own[model] / if total == 0.0 { 1.0 } else { total };
                prop_assert!((factors[model * LEN + at] - expected).abs() <= 1e-15);
            }
        }
    }

    #[test]
    fn a_threshold_keeps_what_is_larger_and_the_first_of_what_is_at_it(
        delta in values(), cutoff in prop_oneof![0u64..1_200, Just(u64::MAX)], at in 0usize..LEN,
    ) {
        let bits = |value: f64| (value.abs() as f32).to_bits();
        let threshold = bits(delta[at]);
        let (mut kept, mut dropped) = (vec![2.0; LEN], vec![2.0; LEN]);

        task::keep_largest((threshold, cutoff), &delta, &mut kept);
        task::drop_largest((threshold, cutoff), &delta, &mut dropped);

        for (at, value) in delta.iter().enumerate() {
            let keeps = bits(*value) > threshold || bits(*value) == threshold && (at as u64) < cutoff;
            prop_assert_eq!((kept[at], dropped[at]), if keeps { (2.0, 0.0) } else { (0.0, 2.0) });
        }
    }

    #[test]
    fn a_list_of_bits_masks_from_any_element(
        words in prop::collection::vec(any::<u64>(), 20),
        start in 0usize..150,
    ) {
        let mut factors = vec![1.0; LEN];

        task::keep_listed(&words, start as u64, &mut factors);

        for (at, factor) in factors.iter().enumerate() {
            let index = start + at;
            prop_assert_eq!(*factor == 1.0, words[index / 64] >> (index % 64) & 1 == 1);
        }
    }

    #[test]
    fn inner_products_variances_and_norms_are_those_of_plain_loops(a in values(), b in values(), c in values()) {
        let mut found = vec![0.0; LEN];
        task::variances(&[&a, &b, &c], &mut found);
        let (whole, part) = task::norms(&a, &b);

        let near = |got: f64, expected: f64| (got - expected).abs() <= 1e-9 * (1.0 + expected.abs());
        prop_assert!(near(dot(&a, &b), a.iter().zip(&b).map(|(a, b)| a * b).sum()));
        prop_assert!(near(whole, a.iter().map(|a| a.abs()).sum()));
        prop_assert!(near(part, a.iter().zip(&b).map(|(a, b)| (a * b).abs()).sum()));
        for at in 0..LEN {
            let mean = (a[at] + b[at] + c[at]) / 3.0;
            let expected = [a[at], b[at], c[at]].iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0;
            prop_assert!(near(found[at], expected));
        }
    }
}

proptest! {
    #[test]
    fn magnitudes_straight_from_bf16_are_those_by_way_of_f64(
        codes in prop::collection::vec((any::<u16>(), any::<u16>()), 1..200),
    ) {
        let bytes = |of: fn(&(u16, u16)) -> u16| codes.iter().flat_map(|pair| of(pair).to_le_bytes()).collect::<Vec<u8>>();
        let (a, b) = (bytes(|pair| pair.0), bytes(|pair| pair.1));
        let [left, right] = [&a, &b].map(|bytes| Encoded { dtype: Dtype::Bf16, bytes });
        let wide = |bytes: &[u8]| {
            let mut values = vec![0.0; codes.len()];
            kernels::decode_f64(Dtype::Bf16, bytes, &mut values);
            values
        };

        let mut found = vec![0.0; codes.len()];
        let finite = magnitudes_apart(left, right, &mut found);

        let (x, y) = (wide(&a), wide(&b));
        prop_assert_eq!(finite, Some(x.iter().chain(&y).all(|value| value.is_finite())));
        if finite == Some(true) {
            let delta: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x - y).collect();
            let mut expected = vec![0.0; codes.len()];
            magnitudes(&delta, &mut expected);
            prop_assert_eq!(found, expected);
        }
        prop_assert_eq!(magnitudes_apart(Encoded { dtype: Dtype::F16, ..left }, right, &mut [0.0]), None);
    }
}

#[test]
fn sums_of_finite_inputs_that_are_not_finite_are_counted_in_every_format() {
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F64] {
        // Many for registers, one for what is left over, and an element that is infinite less infinite.
        let mut values = vec![1.0; 600];
        values[3] = 0.0;
        let [(one, _), (two, _)] = [&values, &vec![2.0; 600]].map(|values| stored(dtype, values));
        let term = |bytes, factor| Term { factor, values: Encoded { dtype, bytes } };
        for (factors, expected) in
            [([f64::INFINITY, 0.0], 600), ([1e308, 1e308], 600), ([f64::INFINITY, -f64::INFINITY], 600)]
        {
            let terms = [term(&one, factors[0]), term(&two, factors[1])];
            let mut out = vec![0; one.len()];

            let beyond = weighted_sum(&terms, Common::Blended, (dtype, &mut out));

            assert_eq!(beyond, Some(expected), "{dtype} {factors:?}");
        }
    }
}

#[test]
fn an_input_that_is_not_finite_is_told_and_a_value_out_of_range_counted() {
    let (large, _) = stored(Dtype::Bf16, &[1e5, -1e5, 1.0]);
    let (strange, _) = stored(Dtype::Bf16, &[1.0, f64::NAN, 1.0]);
    let term = |bytes| Term { factor: 2.0, values: Encoded { dtype: Dtype::Bf16, bytes } };
    let mut out = [0; 6];

    let beyond = weighted_sum(&[term(&large)], Common::Blended, (Dtype::F16, &mut out));
    let refused = weighted_sum(&[term(&large), term(&strange)], Common::Blended, (Dtype::F16, &mut out));

    assert_eq!((beyond, refused), (Some(2), None));
}
