//! How the children of a model came month by month.

use std::collections::BTreeMap;

use petgraph::Direction;
use time::OffsetDateTime;

use super::Forest;

/// Months told at most; a date that somebody made up would have thousands.
const MONTHS: i32 = 240;

/// The children of one month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Month {
    /// `2024-05`, by UTC.
    pub month: String,
    pub children: u64,
}

/// The children of a model by the month in which they were created, over all edges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Growth {
    /// From the first month with a child to the last, those without one too; of more than 240 months those with the most
    /// children.
    pub months: Vec<Month>,
    /// Children created in other months.
    pub outside: u64,
    /// Children of which nobody says when they were created.
    pub undated: u64,
}

impl Growth {
    /// Counts moments in Unix seconds.
    fn of(created: impl Iterator<Item = Option<i64>>) -> Self {
        let (mut counts, mut undated, mut all) = (BTreeMap::<i32, u64>::new(), 0, 0);
        for moment in created {
            match moment.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok()) {
                Some(at) => {
                    *counts.entry(at.year() * 12 + i32::from(u8::from(at.month())) - 1).or_default() += 1;
                    all += 1;
                }
                None => undated += 1,
            }
        }
        let within = |first: i32| counts.range(first..first.saturating_add(MONTHS));
        let children = |first: i32| within(first).map(|(_, count)| count).sum::<u64>();
        // The latest of those with the most.
        let Some(first) = counts.keys().copied().max_by_key(|first| (children(*first), *first)) else {
            return Self { undated, ..Self::default() };
        };
        let last = within(first).next_back().map_or(first, |(month, _)| *month);
        let month = |at: i32| Month {
            month: format!("{:04}-{:02}", at.div_euclid(12), at.rem_euclid(12) + 1),
            children: counts.get(&at).copied().unwrap_or_default(),
        };
        Self { months: (first..=last).map(month).collect(), outside: all - children(first), undated }
    }

    /// The months that have children, in one line; none where no child has a date.
    pub fn to_text(&self) -> Option<String> {
        let told = self.months.iter().filter(|month| month.children > 0);
        let months: Vec<String> = told.map(|month| format!("{} {}", month.month, month.children)).collect();
        let beside = [(self.outside, "in other months"), (self.undated, "without a date")];
        let beside = beside.iter().filter(|(count, _)| *count > 0);
        let beside: String = beside.map(|(count, what)| format!("; {count} {what}")).collect();
        (!months.is_empty()).then(|| format!("children by month: {}{beside}", months.join(", ")))
    }
}

impl Forest {
    /// How the children of a model came, by the months of their creation.
    pub fn growth(&self, id: i64) -> Growth {
        let edges =
            self.place(id).into_iter().flat_map(|at| self.graph.edges_directed(at, Direction::Outgoing));
        Growth::of(edges.map(|edge| self.shown(edge.target()).created_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first second of May 2024, and of the months after it.
    const MAY: i64 = 1_714_521_600;
    const JUNE: i64 = 1_717_200_000;
    const AUGUST: i64 = 1_722_470_400;

    fn months(growth: &Growth) -> Vec<(&str, u64)> {
        growth.months.iter().map(|month| (month.month.as_str(), month.children)).collect()
    }

    #[test]
    fn months_run_from_the_first_child_to_the_last_and_no_child_is_lost() {
        let moments = [Some(AUGUST), Some(MAY), None, Some(JUNE - 1), Some(AUGUST + 9)];

        let growth = Growth::of(moments.into_iter());

        assert_eq!(months(&growth), [("2024-05", 2), ("2024-06", 0), ("2024-07", 0), ("2024-08", 2)]);
        assert_eq!((growth.outside, growth.undated), (0, 1));
        let text = "children by month: 2024-05 2, 2024-08 2; 1 without a date";
        assert_eq!(growth.to_text().as_deref(), Some(text));
    }

    #[test]
    fn a_made_up_date_leaves_room_for_the_months_of_most_children() {
        let growth = Growth::of([Some(0), Some(MAY), Some(JUNE), Some(253_402_300_799)].into_iter());
        let none = Growth::of([None, Some(i64::MAX)].into_iter());

        assert_eq!(months(&growth), [("2024-05", 1), ("2024-06", 1)]);
        assert_eq!((growth.outside, growth.undated), (2, 0));
        assert_eq!((none.months.len(), none.outside, none.undated, none.to_text()), (0, 0, 2, None));
    }
}
