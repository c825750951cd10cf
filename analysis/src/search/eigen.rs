//! Eigenvalues and eigenvectors of a small symmetric matrix by Jacobi's rotations: only plain arithmetic in a fixed
//! order, so that a search takes the same course on any machine.

/// Sweeps over all pairs; a dozen are enough for any matrix that is not broken.
const SWEEPS: usize = 60;
/// Least share of the largest eigenvalue that an eigenvalue is taken to have.
const FLOOR: f64 = 1e-14;

/// Eigenvalues, none below 1e−14 of the largest, and eigenvectors as columns, row-major, of the symmetric `matrix` of
/// order `n`. O(n³) a sweep.
pub fn eigen(matrix: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut left = matrix.to_vec();
    let mut axes = vec![0.0; n * n];
    (0..n).for_each(|at| axes[at * n + at] = 1.0);
    for _ in 0..SWEEPS {
        let whole: f64 = (0..n).map(|at| left[at * n + at].powi(2)).sum();
        let off: f64 = pairs(n).map(|(p, q)| left[p * n + q].powi(2)).sum();
        if off <= whole * f64::EPSILON.powi(2) {
            break;
        }
        for (p, q) in pairs(n) {
            rotate(&mut left, &mut axes, (n, p, q));
        }
    }
    let largest = (0..n).map(|at| left[at * n + at]).fold(f64::MIN_POSITIVE, f64::max);
    let values = (0..n).map(|at| left[at * n + at].max(largest * FLOOR)).collect();
    (values, axes)
}

fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |p| (p + 1..n).map(move |q| (p, q)))
}

/// Turns axes `p` and `q` so that their common cell becomes zero.
fn rotate(matrix: &mut [f64], axes: &mut [f64], (n, p, q): (usize, usize, usize)) {
    let cell = matrix[p * n + q];
    if cell == 0.0 {
        return;
    }
    let slope = (matrix[q * n + q] - matrix[p * n + p]) / (2.0 * cell);
    let tangent = slope.signum() / (slope.abs() + (1.0 + slope * slope).sqrt());
    let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
    let sine = tangent * cosine;
    let turn = |a: f64, b: f64| (cosine * a - sine * b, sine * a + cosine * b);
    for at in 0..n {
        (matrix[at * n + p], matrix[at * n + q]) = turn(matrix[at * n + p], matrix[at * n + q]);
    }
    for at in 0..n {
        (matrix[p * n + at], matrix[q * n + at]) = turn(matrix[p * n + at], matrix[q * n + at]);
        (axes[at * n + p], axes[at * n + q]) = turn(axes[at * n + p], axes[at * n + q]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axes_are_orthonormal_and_give_the_matrix_back() {
        let n = 7;
        let raw: Vec<f64> = (0..n * n).map(|at| ((at * 37 % 23) as f64 - 11.0) / 7.0).collect();
        let cell = |i: usize, j: usize| (0..n).map(|k| raw[i * n + k] * raw[j * n + k]).sum::<f64>();
        let matrix: Vec<f64> = (0..n * n).map(|at| cell(at / n, at % n)).collect();

        let (values, axes) = eigen(&matrix, n);

        for i in 0..n {
            for j in 0..n {
                let back: f64 = (0..n).map(|k| values[k] * axes[i * n + k] * axes[j * n + k]).sum();
                let dot: f64 = (0..n).map(|k| axes[k * n + i] * axes[k * n + j]).sum();
                assert!((back - matrix[i * n + j]).abs() < 1e-9, "{i} {j}: {back}");
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12, "{i} {j}: {dot}");
            }
        }
    }
}
