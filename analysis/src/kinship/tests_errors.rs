//! Standard errors of what sketches tell, against how far that is from what is true.

use std::collections::BTreeMap;

use super::{Closeness, Partial, Report, Sketched, estimate, testing};

const ROWS: usize = 96;
const COLUMNS: usize = 64;
const TENSORS: u64 = 8;
const SEEDS: u64 = 60;

/// Where two models differ.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Uneven {
    Nowhere,
    /// In one of the tensors alone.
    Tensors,
    /// Four of the columns change ten times as far.
    Columns,
}

type Model = Vec<Vec<f32>>;

/// About normal numbers, one matrix a tensor.
fn noise(seed: u64) -> Model {
    let unit = |key: u64, at: usize| -> f64 {
        (0..4).map(|more| kernels::splitmix_unit(key, 4 * at as u64 + more) - 0.5).sum()
    };
    let matrix = |tensor: u64| {
        let key = kernels::splitmix(seed, tensor);
        (0..ROWS * COLUMNS).map(|at| unit(key, at) as f32).collect()
    };
    (0..TENSORS).map(matrix).collect()
}

/// Two changes that are alike by about a half.
fn changes(seed: u64, uneven: Uneven) -> [Model; 2] {
    let [a, own] = [noise(3 * seed), noise(3 * seed + 1)];
    let far = |at: usize| if uneven == Uneven::Columns && at % COLUMNS % 17 == 5 { 10.0 } else { 1.0 };
    let joined = |tensor: usize| -> Vec<f32> {
        let (a, own) = (&a[tensor], &own[tensor]);
        let other = |at: usize| match uneven {
            Uneven::Tensors if tensor != 3 => a[at],
            Uneven::Tensors => own[at],
            _ => far(at) * (0.5 * a[at] + 0.87 * own[at]),
        };
        (0..ROWS * COLUMNS).map(other).collect()
    };
    let b = (0..a.len()).map(joined).collect();
    let scaled = |values: &Vec<f32>| values.iter().enumerate().map(|(at, value)| far(at) * value).collect();
    [a.iter().map(scaled).collect(), b]
}

fn plus(base: &Model, change: &Model) -> Model {
    let sum = |(base, change): (&Vec<f32>, &Vec<f32>)| base.iter().zip(change).map(|(b, c)| b + c).collect();
    base.iter().zip(change).map(sum).collect()
}

fn sketched(label: &str, seed: u64, model: &Model) -> Sketched {
    let tensor = |(at, values): (usize, &Vec<f32>)| {
        // Another name is another hash.
        let name = format!("layers.{at}.of_{seed}.weight");
        testing::sketched(&name, &[ROWS as u64, COLUMNS as u64], (values, 512))
    };
    let tensors: BTreeMap<_, _> = model.iter().enumerate().map(tensor).collect();
    Sketched { label: label.into(), tensors, ..Sketched::default() }
}

/// Cosine, distance and relative distance of what two models are, less what the base is.
fn exact(base: &Model, [a, b]: [&Model; 2]) -> [f64; 3] {
    let (mut aa, mut bb, mut ab, mut apart) = (0.0, 0.0, 0.0, 0.0);
    for ((base, a), b) in base.iter().flatten().zip(a.iter().flatten()).zip(b.iter().flatten()) {
        let [a, b] = [a, b].map(|value| f64::from(*value) - f64::from(*base));
        (aa, bb, ab, apart) = (aa + a * a, bb + b * b, ab + a * b, apart + (a - b) * (a - b));
    }
    [ab / (aa * bb).sqrt(), apart.sqrt(), (apart / aa).sqrt()]
}

/// Root mean square of what estimates are off by in their standard errors; 1 where these are right.
fn off(told: &[(f64, f64, f64)]) -> f64 {
    let square = |(value, exact, error): &(f64, f64, f64)| ((value - exact) / error).powi(2);
    (told.iter().map(square).sum::<f64>() / told.len() as f64).sqrt()
}

fn pair(report: &Report, id: &str) -> (f64, f64) {
    (report.matrices[id][0][1].unwrap(), report.standard_errors[id][0][1].unwrap())
}

#[test]
fn errors_of_estimates_hold_also_where_few_tensors_or_columns_differ() {
    for uneven in [Uneven::Nowhere, Uneven::Tensors, Uneven::Columns] {
        let (mut cosines, mut pearsons, mut distances) = (Vec::new(), Vec::new(), Vec::new());
        let (mut angles, mut gaps) = (Vec::new(), Vec::new());
        for seed in 1..=SEEDS {
            let (base, changes) = (noise(1_000 + seed), changes(seed, uneven));
            let [a, b] = changes.each_ref().map(|change| plus(&base, change));
            let models = [sketched("a", seed, &a), sketched("b", seed, &b)];

            let report = estimate(&models, Some(&sketched("base", seed, &base)), Partial::Refuse).unwrap();
            let close = Closeness::of(&models[0].tensors, &models[1].tensors).unwrap();

            let truth = exact(&base, [&a, &b]);
            let of = |id, exact| {
                let (value, error) = pair(&report, id);
                (value, exact, error)
            };
            cosines.push(of("cosine", truth[0]));
            // The means are next to nothing.
            pearsons.push(of("pearson", truth[0]));
            distances.push(of("euclidean", truth[1]));
            let zero: Model = base.iter().map(|values| vec![0.0; values.len()]).collect();
            let [angle, _, gap] = exact(&zero, [&a, &b]);
            angles.push((close.cosine, angle, close.standard_error));
            gaps.push((close.distance, gap, close.distance_error));
        }

        for told in [cosines, pearsons, distances, angles, gaps] {
            let off = off(&told);
            assert!((0.75..=1.25).contains(&off), "{uneven:?}: {off}");
        }
    }
}

#[test]
fn the_error_of_a_distance_does_not_depend_on_the_base() {
    let (base, changes) = (noise(1_001), changes(1, Uneven::Tensors));
    let models = [0, 1].map(|at| sketched("model", 1, &plus(&base, &changes[at])));

    let [near, far] = [base, noise(9)].map(|base| {
        let report = estimate(&models, Some(&sketched("base", 1, &base)), Partial::Refuse).unwrap();
        pair(&report, "euclidean").1
    });

    assert!((near / far - 1.0).abs() < 1e-3, "{near} {far}");
}
