//! Orthogonal matching pursuit: one vector as a sum of few of many others.

/// A new direction this much shorter than its atom is a combination of those chosen before.
const DEPENDENT: f64 = 1e-6;
/// A remainder this much shorter than the target is none.
const ENOUGH: f64 = 1e-6;

/// A target on its way: what is chosen for it, and what is left of it.
pub(super) struct Pursuit {
    /// The remainder as products are taken with it.
    pub remainder: Vec<f32>,
    residual: Vec<f64>,
    norm: f64,
    /// Orthonormal directions of the chosen atoms, one after the other.
    basis: Vec<f64>,
    /// The chosen atoms in these directions: column `j` has `j + 1` entries.
    triangle: Vec<Vec<f64>>,
    /// The target in these directions.
    along: Vec<f64>,
    chosen: Vec<u32>,
    /// Atoms that are not chosen again: those chosen, and those that depend on them.
    used: Vec<u32>,
    most: usize,
}

impl Pursuit {
    /// Starts with nothing chosen; `most` atoms are.
    pub fn new(target: Vec<f32>, most: usize) -> Self {
        let residual: Vec<f64> = target.iter().map(|value| f64::from(*value)).collect();
        let norm = length(&residual);
        Self {
            remainder: target,
            residual,
            norm,
            basis: Vec::new(),
            triangle: Vec::new(),
            along: Vec::new(),
            chosen: Vec::new(),
            used: Vec::new(),
            most,
        }
    }

    /// Whether another atom is wanted of `atoms`.
    pub fn goes_on(&self, atoms: usize) -> bool {
        self.chosen.len() < self.most
            && self.used.len() < atoms.min(4 * self.most)
            && length(&self.residual) > ENOUGH * self.norm
    }

    /// Chooses nothing more.
    pub fn stop(&mut self) {
        self.most = self.chosen.len();
    }

    /// The better of two: the larger product, then the lower atom; one that was used is none.
    pub fn better(&self, best: Option<(f32, u32)>, next: (f32, u32)) -> Option<(f32, u32)> {
        // The products of chosen atoms are next to zero, so they are looked for last.
        let wins = match best {
            None => next.0.is_finite(),
            Some((size, atom)) => next.0 > size || next.0 == size && next.1 < atom,
        };
        if wins && !self.used.contains(&next.1) { Some(next) } else { best }
    }

    /// Chooses `atom`, whose values are `row`.
    pub fn take(&mut self, atom: u32, row: &[f32]) {
        self.used.push(atom);
        let width = self.residual.len();
        let mut direction: Vec<f64> = row.iter().map(|value| f64::from(*value)).collect();
        let full = length(&direction);
        let mut column = vec![0.0; self.chosen.len()];
        // Twice is enough: what rounding left in the first round goes in the second.
        for _ in 0..2 {
            for (basis, share) in self.basis.chunks_exact(width).zip(&mut column) {
                let along = product(&direction, basis);
                direction.iter_mut().zip(basis).for_each(|(value, basis)| *value -= along * basis);
                *share += along;
            }
        }
        let left = length(&direction);
        if left.is_nan() || left <= DEPENDENT * full {
            return;
        }
        direction.iter_mut().for_each(|value| *value /= left);
        let along = product(&direction, &self.residual);
        for ((residual, remainder), value) in
            self.residual.iter_mut().zip(&mut self.remainder).zip(&direction)
        {
            *residual -= along * value;
            *remainder = *residual as f32;
        }
        column.push(left);
        self.triangle.push(column);
        self.along.push(along);
        self.basis.extend(direction);
        self.chosen.push(atom);
    }

    /// The chosen atoms with their coefficients.
    pub fn coefficients(&self) -> Vec<(u32, f64)> {
        let mut found = self.along.clone();
        for at in (0..found.len()).rev() {
            let value = found[at] / self.triangle[at][at];
            found[at] = value;
            for (above, share) in found[..at].iter_mut().zip(&self.triangle[at]) {
                *above -= share * value;
            }
        }
        self.chosen.iter().copied().zip(found).collect()
    }
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn length(values: &[f64]) -> f64 {
    product(values, values).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    fn rows(seed: u64, count: usize, width: usize) -> Vec<Vec<f32>> {
        noise(seed, count * width)
            .chunks(width)
            .map(|row| row.iter().map(|v| *v as f32 + 0.01).collect())
            .collect()
    }

    fn solve(target: &[f32], atoms: &[Vec<f32>], most: usize) -> Vec<(u32, f64)> {
        let mut pursuit = Pursuit::new(target.to_vec(), most);
        while pursuit.goes_on(atoms.len()) {
            let found = atoms.iter().zip(0..).fold(None, |best, (row, atom)| {
                pursuit.better(best, (kernels::dot_f32(&pursuit.remainder, row).abs(), atom))
            });
            let Some((_, atom)) = found else { break };
            pursuit.take(atom, &atoms[atom as usize]);
        }
        pursuit.coefficients()
    }

    #[test]
    fn a_sum_of_two_atoms_is_found_again() {
        let atoms = rows(3, 20, 12);
        let target: Vec<f32> = atoms[4].iter().zip(&atoms[11]).map(|(a, b)| 2.0 * a - 0.5 * b).collect();

        let found = solve(&target, &atoms, 12);

        let sum: Vec<f64> = (0..12)
            .map(|at| found.iter().map(|(atom, c)| c * f64::from(atoms[*atom as usize][at])).sum())
            .collect();
        let off = sum.iter().zip(&target).map(|(a, b)| (a - f64::from(*b)).powi(2)).sum::<f64>().sqrt();
        let norm = target.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        assert!(off <= 2e-6 * norm, "{off} of {norm}: {found:?}");
    }

    #[test]
    fn a_target_that_is_an_atom_takes_that_atom_alone() {
        let mut atoms = vec![vec![0.0; 4]; 4];
        (0..4).for_each(|at| atoms[at][at] = 2.0);

        let found = solve(&[0.0, 0.0, 3.0, 0.0], &atoms, 4);

        assert_eq!(found, [(2, 1.5)]);
    }

    #[test]
    fn atoms_that_depend_on_each_other_are_not_both_chosen() {
        let atoms = vec![vec![1.0, 0.0, 0.0], vec![2.0, 0.0, 0.0], vec![0.0, 1.0, 0.0]];

        let found = solve(&[1.0, 1.0, 1.0], &atoms, 3);

        assert_eq!(found.iter().map(|(atom, _)| *atom).collect::<Vec<_>>(), [1, 2]);
        assert!(found.iter().all(|(_, c)| c.is_finite()), "{found:?}");
    }
}
