//! The rows of new tokens, put together from those of shared ones: many tokens at a time, atoms read in blocks.

use rayon::prelude::*;

use super::pursuit::Pursuit;
use crate::{Error, Progress, computed::SourceTensor};

/// Most tokens that are solved together.
const BATCH: usize = 256;
/// Elements of a block of atoms.
const BLOCK: usize = 1 << 18;
/// Targets whose remainders stay in the caches while a block of atoms passes.
const TILE: usize = 8;

/// The donor's table: its rows of shared tokens are atoms, those of new ones targets.
pub(super) struct Problem<'a> {
    pub table: &'a SourceTensor,
    /// Rows of shared tokens, in their order.
    pub atoms: &'a [u32],
    pub width: usize,
    /// Most atoms a target.
    pub most: usize,
    /// Atoms looked at for a target; all when none is given.
    pub candidates: Option<usize>,
    /// Numbers of 8 bytes that may be held.
    pub held: u64,
}

/// Atoms of a target with their coefficients.
pub(super) type Solution = Vec<(u32, f64)>;

impl Problem<'_> {
    /// Atoms looked at for a target, where they are not all.
    fn view(&self) -> Option<usize> {
        self.candidates.filter(|count| *count < self.atoms.len())
    }

    /// Numbers of 8 bytes that solving one target needs, and those that every thread needs.
    fn needs(&self) -> (u64, u64) {
        let (width, most, atoms) = (self.width as u64, self.most as u64, self.atoms.len() as u64);
        let pursuit = (most + 3) * width + most * most;
        match self.view() {
            None => (pursuit, BLOCK.max(self.width) as u64 / 2),
            Some(count) => (atoms / 2 + width, count as u64 * width / 2 + pursuit + BLOCK as u64 / 2),
        }
    }

    /// Targets solved together; none when not even one fits into the limit.
    pub fn batch(&self) -> Option<usize> {
        let (each, shared) = self.needs();
        let threads = rayon::current_num_threads() as u64;
        let left = self.held.checked_sub(shared.saturating_mul(threads))?;
        let fit = usize::try_from(left / each.max(1)).unwrap_or(usize::MAX).min(BATCH);
        (fit > 0).then_some(fit)
    }

    /// Solves the targets in these rows, `batch` at a time. A solution depends on nothing but its target.
    pub fn solve(
        &self,
        targets: &[u32],
        batch: usize,
        progress: Progress<'_>,
    ) -> Result<Vec<Solution>, Error> {
        let mut found = Vec::with_capacity(targets.len());
        for targets in targets.chunks(batch.max(1)) {
            let rows = targets
                .par_iter()
                .map(|row| {
                    let mut values = vec![0.0; self.width];
                    self.read(&[*row], &mut values).map(|()| values)
                })
                .collect::<Result<Vec<_>, Error>>()?;
            found.extend(match self.view() {
                None => self.all(rows, progress)?,
                Some(count) => self.among(rows, count, progress)?,
            });
            progress(targets.len() as u64)?;
        }
        Ok(found)
    }

    /// Reads rows of the table, those that follow each other at once.
    fn read(&self, rows: &[u32], out: &mut [f32]) -> Result<(), Error> {
        let mut done = 0;
        for run in rows.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
            let len = run.len() * self.width;
            let start = u64::from(run[0]) * self.width as u64;
            self.table.source.read_f32(self.table.index, start, &mut out[done..done + len])?;
            done += len;
        }
        Ok(())
    }

    /// One outcome a block of atoms, in their order.
    fn blocks<T: Send>(
        &self,
        progress: Progress<'_>,
        of: impl Fn(u32, &[f32]) -> T + Sync,
    ) -> Result<Vec<T>, Error> {
        let step = (BLOCK / self.width).max(1);
        self.atoms
            .par_chunks(step)
            .enumerate()
            .map(|(at, atoms)| {
                progress(0)?;
                let mut values = vec![0.0; atoms.len() * self.width];
                self.read(atoms, &mut values)?;
                Ok(of((at * step) as u32, &values))
            })
            .collect()
    }

    /// Calls `each` with target, atom and the size of their product.
    fn products<'t>(
        &self,
        (first, block): (u32, &[f32]),
        targets: impl Iterator<Item = (usize, &'t [f32])>,
        mut each: impl FnMut(usize, u32, f32),
    ) {
        let targets: Vec<(usize, &[f32])> = targets.collect();
        for tile in targets.chunks(TILE) {
            for (row, atom) in block.chunks_exact(self.width).zip(first..) {
                for (place, target) in tile {
                    each(*place, atom, kernels::dot_f32(target, row).abs());
                }
            }
        }
    }

    /// Solves a batch with every atom in view.
    fn all(&self, targets: Vec<Vec<f32>>, progress: Progress<'_>) -> Result<Vec<Solution>, Error> {
        let mut pursuits: Vec<Pursuit> =
            targets.into_iter().map(|row| Pursuit::new(row, self.most)).collect();
        loop {
            let open: Vec<usize> =
                (0..pursuits.len()).filter(|at| pursuits[*at].goes_on(self.atoms.len())).collect();
            if open.is_empty() {
                return Ok(pursuits.iter().map(Pursuit::coefficients).collect());
            }
            let found = self.blocks(progress, |first, block| {
                let mut best = vec![None; open.len()];
                let remainders = open.iter().map(|at| pursuits[*at].remainder.as_slice()).enumerate();
                self.products((first, block), remainders, |place, atom, size| {
                    best[place] = pursuits[open[place]].better(best[place], (size, atom));
                });
                best
            })?;
            let mut best: Vec<Option<(f32, u32)>> = vec![None; open.len()];
            for block in found {
                for ((best, next), at) in best.iter_mut().zip(block).zip(&open) {
                    *best = next.map_or(*best, |next| pursuits[*at].better(*best, next));
                }
            }
            let mut chosen: Vec<Option<u32>> = vec![None; pursuits.len()];
            for (at, best) in open.iter().zip(best) {
                match best {
                    Some((_, atom)) => chosen[*at] = Some(atom),
                    None => pursuits[*at].stop(),
                }
            }
            pursuits.par_iter_mut().zip(chosen).try_for_each(|(pursuit, chosen)| {
                let Some(atom) = chosen else { return Ok(()) };
                let mut row = vec![0.0; self.width];
                self.read(&[self.atoms[atom as usize]], &mut row)?;
                pursuit.take(atom, &row);
                Ok::<(), Error>(())
            })?;
        }
    }

    /// Solves a batch, each target with the `count` atoms in view whose products with it are largest.
    fn among(
        &self,
        targets: Vec<Vec<f32>>,
        count: usize,
        progress: Progress<'_>,
    ) -> Result<Vec<Solution>, Error> {
        let parts = self.blocks(progress, |first, block| {
            let atoms = block.len() / self.width;
            let mut sizes = vec![0.0; targets.len() * atoms];
            let rows = targets.iter().map(Vec::as_slice).enumerate();
            self.products((first, block), rows, |place, atom, size| {
                sizes[place * atoms + (atom - first) as usize] = size;
            });
            (atoms, sizes)
        })?;
        targets
            .into_par_iter()
            .enumerate()
            .map(|(place, target)| {
                progress(0)?;
                let of =
                    |(atoms, sizes): &(usize, Vec<f32>)| sizes[place * atoms..(place + 1) * atoms].to_vec();
                let sizes = parts.iter().flat_map(of).zip(0..).collect();
                self.one(target, &largest(sizes, count))
            })
            .collect()
    }

    /// Solves one target with these atoms in view.
    fn one(&self, target: Vec<f32>, view: &[u32]) -> Result<Solution, Error> {
        let mut values = vec![0.0; view.len() * self.width];
        let rows: Vec<u32> = view.iter().map(|atom| self.atoms[*atom as usize]).collect();
        self.read(&rows, &mut values)?;
        let mut pursuit = Pursuit::new(target, self.most);
        while pursuit.goes_on(view.len()) {
            let mut best = None;
            for (row, place) in values.chunks_exact(self.width).zip(0..) {
                best = pursuit.better(best, (kernels::dot_f32(&pursuit.remainder, row).abs(), place));
            }
            let Some((_, place)) = best else { break };
            let at = place as usize * self.width;
            pursuit.take(place, &values[at..at + self.width]);
        }
        let solution = pursuit.coefficients();
        Ok(solution.into_iter().map(|(place, coefficient)| (view[place as usize], coefficient)).collect())
    }
}

/// The `count` atoms with the largest sizes, of equal ones the first, in their order.
fn largest(mut sizes: Vec<(f32, u32)>, count: usize) -> Vec<u32> {
    if count < sizes.len() {
        sizes.select_nth_unstable_by(count, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        sizes.truncate(count);
    }
    let mut atoms: Vec<u32> = sizes.into_iter().map(|(_, atom)| atom).collect();
    atoms.sort_unstable();
    atoms
}
