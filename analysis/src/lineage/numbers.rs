//! Columns of numbers that nearly all fit into 32 bits, and often count on from the first.

use std::collections::HashMap;

/// Stands in the column for what is unknown or does not fit.
const ODD: u32 = u32::MAX;

/// Numbers by place: nothing for those that count on from the first, four bytes each behind them, those that do not fit
/// beside them; nothing for what comes after the last known one.
#[derive(Default)]
pub(super) struct Numbers {
    first: i64,
    /// How many count on from the first, it among them.
    counted: usize,
    fitting: Vec<u32>,
    odd: HashMap<usize, i64>,
}

impl Numbers {
    /// Sets the number of a place behind all that were set.
    pub fn set(&mut self, at: usize, number: Option<i64>) {
        let Some(number) = number else { return };
        if at == 0 {
            self.first = number;
        }
        if at == self.counted && self.fitting.is_empty() && self.nth(at) == Some(number) {
            self.counted += 1;
            return;
        }
        self.fitting.resize(at - self.counted, ODD);
        let fitting = u32::try_from(number).ok().filter(|fitting| *fitting != ODD);
        if fitting.is_none() {
            self.odd.insert(at, number);
        }
        self.fitting.push(fitting.unwrap_or(ODD));
    }

    /// What stands at a place if all up to it count on.
    fn nth(&self, at: usize) -> Option<i64> {
        self.first.checked_add(i64::try_from(at).ok()?)
    }

    pub fn get(&self, at: usize) -> Option<i64> {
        let Some(behind) = at.checked_sub(self.counted) else { return self.nth(at) };
        match self.fitting.get(behind) {
            None => None,
            Some(&ODD) => self.odd.get(&at).copied(),
            Some(&fitting) => Some(fitting.into()),
        }
    }

    /// The same numbers at other places: `order` has the former place of each.
    pub fn gathered(&self, order: &[u32]) -> Self {
        let mut gathered = Self::default();
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

    #[test]
    fn numbers_that_count_on_take_no_room_up_to_the_first_that_does_not() {
        let given = [5, 6, 7, 9, 10, 8, i64::MAX];
        let mut numbers = Numbers::default();
        (0..4_000).for_each(|at| numbers.set(at, Some(at as i64 - 3)));
        assert_eq!((numbers.bytes(), numbers.get(3_999), numbers.get(4_000)), (0, Some(3_996), None));

        let mut numbers = Numbers::default();
        given.into_iter().enumerate().for_each(|(at, number)| numbers.set(at, Some(number)));
        numbers.set(9, Some(14));

        let kept: Vec<Option<i64>> = (0..11).map(|at| numbers.get(at)).collect();
        let mut expected: Vec<Option<i64>> = given.into_iter().map(Some).collect();
        expected.extend([None, None, Some(14), None]);
        assert_eq!(kept, expected);
    }

    #[test]
    fn counting_ends_at_the_largest_number() {
        let mut numbers = Numbers::default();
        numbers.set(0, Some(i64::MAX));
        numbers.set(1, Some(i64::MIN));

        assert_eq!([numbers.get(0), numbers.get(1), numbers.get(2)], [Some(i64::MAX), Some(i64::MIN), None]);
    }
}
