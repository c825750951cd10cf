//! A line of descent as a page shows it: whole where it is short, else its ends and how much lies between.

use super::{Name, encoded, plural};

/// Models shown of each end.
const ENDS: usize = 10;

/// A line of descent, the eldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    begin: Vec<Name>,
    hidden: u64,
    end: Vec<Name>,
    doubted: Vec<Name>,
}

impl Way {
    /// The line of these models.
    pub fn of(mut names: Vec<Name>) -> Self {
        if names.len() <= 2 * ENDS {
            return Self { begin: names, ..Self::default() };
        }
        let end = names.split_off(names.len() - ENDS);
        let hidden = (names.len() - ENDS) as u64;
        names.truncate(ENDS);
        Self { begin: names, hidden, end, ..Self::default() }
    }

    /// The same where this many more were left out of the middle of a line of more than 20.
    #[must_use]
    pub fn without(self, more: u64) -> Self {
        Self { hidden: self.hidden + more, ..self }
    }

    /// The same where the weights contradict that these are what the next one in the line comes from.
    #[must_use]
    pub fn doubting(self, doubted: Vec<Name>) -> Self {
        Self { doubted, ..self }
    }

    pub(crate) fn doubts(&self, name: &Name) -> bool {
        self.doubted.contains(name)
    }

    /// The eldest.
    pub(crate) fn first(&self) -> Option<&Name> {
        self.begin.first()
    }

    pub(crate) fn last(&self) -> Option<&Name> {
        self.end.last().or_else(|| self.begin.last())
    }

    /// Models on it.
    pub(crate) fn len(&self) -> u64 {
        (self.begin.len() + self.end.len()) as u64 + self.hidden
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.begin.is_empty()
    }

    pub(crate) fn begin(&self) -> &[Name] {
        &self.begin
    }

    pub(crate) fn end(&self) -> &[Name] {
        &self.end
    }

    /// How much is left out, and where all of it is: none where nothing is.
    pub(crate) fn gap(&self) -> Option<(String, String)> {
        let (first, last) = (self.first()?, self.last()?);
        let address = format!("/lineage?from={}&to={}", encoded(&first.0), encoded(&last.0));
        (self.hidden > 0).then(|| (format!("{} between", plural(self.hidden, "model", "models")), address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_told_by_its_ends_and_leads_to_all_of_it() {
        let names = |count: usize| (0..count).map(|at| Name(format!("a/{at}"))).collect::<Vec<_>>();

        let (short, long) = (Way::of(names(20)), Way::of(names(100)).without(900));

        assert_eq!((short.begin().len(), short.end().len(), short.gap()), (20, 0, None));
        assert_eq!((long.begin().len(), long.end().len(), long.len()), (10, 10, 1_000));
        let (told, address) = long.gap().unwrap();
        assert_eq!(told, "980 models between");
        assert_eq!(address, "/lineage?from=a%2F0&to=a%2F99");
    }
}
