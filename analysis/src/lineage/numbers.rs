//! Columns of numbers that nearly all fit into 32 bits.

use std::collections::HashMap;

/// Stands in the column for what is unknown or does not fit.
const ODD: u32 = u32::MAX;

/// Numbers by place: four bytes each, those that do not fit beside them; nothing for what comes after the last known one.
#[derive(Default)]
pub(super) struct Numbers {
    fitting: Vec<u32>,
    odd: HashMap<usize, i64>,
}

impl Numbers {
    /// Sets the number of a place behind all that were set.
    pub fn set(&mut self, at: usize, number: Option<i64>) {
        let Some(number) = number else { return };
        self.fitting.resize(at, ODD);
        let fitting = u32::try_from(number).ok().filter(|fitting| *fitting != ODD);
        if fitting.is_none() {
            self.odd.insert(at, number);
        }
        self.fitting.push(fitting.unwrap_or(ODD));
    }

    pub fn get(&self, at: usize) -> Option<i64> {
        match self.fitting.get(at) {
            None => None,
            Some(&ODD) => self.odd.get(&at).copied(),
            Some(&fitting) => Some(fitting.into()),
        }
    }

    /// The same numbers at other places: `order` has the former place of each.
    pub fn gathered(&self, order: &[u32]) -> Self {
        let mut gathered = Self { fitting: Vec::with_capacity(order.len()), odd: HashMap::new() };
        for (at, before) in order.iter().enumerate() {
            gathered.set(at, self.get(*before as usize));
        }
        gathered
    }

    /// Memory that they take, bytes.
    pub fn bytes(&self) -> usize {
        self.fitting.capacity() * size_of::<u32>() + self.odd.capacity() * size_of::<(usize, i64)>()
    }

    pub fn shrink(&mut self) {
        self.fitting.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_kept_and_what_is_unknown_stays_so() {
        let given = [
            Some(7),
            None,
            Some(-1),
            Some(i64::from(u32::MAX)),
            Some(i64::MAX),
            Some(0),
            None,
            Some(i64::MIN),
            None,
        ];
        let mut numbers = Numbers::default();
        for (at, number) in given.into_iter().enumerate() {
            numbers.set(at, number);
        }

        let kept: Vec<Option<i64>> = (0..given.len()).map(|at| numbers.get(at)).collect();
        let turned = numbers.gathered(&[8, 7, 3, 2, 0]);

        assert_eq!(kept, given);
        assert_eq!(
            (0..5).map(|at| turned.get(at)).collect::<Vec<_>>(),
            [given[8], given[7], given[3], given[2], given[0]]
        );
    }
}
