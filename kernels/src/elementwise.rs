//! Elementwise arithmetic on blocks.

/// `acc += scale · x` in f64; slices of one length.
pub fn add_scaled(acc: &mut [f64], scale: f64, x: &[f32]) {
    debug_assert_eq!(acc.len(), x.len(), "add_scaled wants slices of one length");
    for (acc, &x) in acc.iter_mut().zip(x) {
        *acc += scale * f64::from(x);
    }
}

/// Adds to `acc` a stretch of one row of a low-rank product: `scale · Σₖ left[k] · right[k·width + from ..]`.
/// `right` is row-major with rows of `width`; terms are added in the order of `k`, so the bits do not
/// depend on how a row is cut into stretches.
pub fn low_rank_row(
    acc: &mut [f64],
    scale: f64,
    (left, right): (&[f32], &[f32]),
    (width, from): (usize, usize),
) {
    debug_assert!(right.len() == left.len() * width && from + acc.len() <= width, "low_rank_row: lengths");
    let mut product = vec![0.0; acc.len()];
    for (&factor, row) in left.iter().zip(right.chunks_exact(width)) {
        add_scaled(&mut product, f64::from(factor), &row[from..from + acc.len()]);
    }
    for (acc, value) in acc.iter_mut().zip(product) {
        *acc += scale * value;
    }
}
