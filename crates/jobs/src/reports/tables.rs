//! Reports as tables, for CSV and for the terminal.

use analysis::{
    export::csv_cell,
    licence::{LicenceSurvey, Verdict, VerdictCount},
    traits::{Component, Families, Interval},
};

use super::Report;

/// Columns and rows of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
    /// What stands above the table where people read it, a line each.
    pub totals: Vec<String>,
    /// Rows that the report leaves out, of a table that can be longer than its limit.
    pub left_out: Option<u64>,
}

impl Table {
    fn new<const N: usize>(columns: [&'static str; N], rows: impl Iterator<Item = [String; N]>) -> Self {
        let rows = rows.map(|row| row.to_vec()).collect();
        Self { columns: columns.to_vec(), rows, totals: Vec::new(), left_out: None }
    }

    /// RFC 4180, with a head. A text that a spreadsheet would take for a formula gets a quote before it. Where rows can be left
    /// out, a last column says whether some are.
    pub fn csv(&self) -> String {
        let truncated = self.left_out.map(|left_out| (left_out > 0).to_string());
        let mut text = self.columns.join(",");
        text.push_str(if truncated.is_some() { ",truncated\r\n" } else { "\r\n" });
        for row in &self.rows {
            let cells: Vec<String> = row.iter().chain(&truncated).map(|cell| csv_cell(cell)).collect();
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        }
        text
    }

    /// The totals, then aligned columns under their head, then how many rows are left out.
    pub fn aligned(&self) -> String {
        let head: Vec<String> = self.columns.iter().map(|&column| column.to_owned()).collect();
        let width = |at: usize| {
            self.rows
                .iter()
                .chain([&head])
                .filter_map(|row| row.get(at))
                .map(|cell| cell.chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..head.len()).filter_map(width).collect();
        let mut text: String = self.totals.iter().map(|line| format!("{line}\n")).collect();
        for row in [&head].into_iter().chain(&self.rows) {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| {
                    let clean: String = cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                    format!("{clean:width$}")
                })
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        if let Some(left_out) = self.left_out.filter(|&left_out| left_out > 0) {
            text.push_str(&format!("… {left_out} more\n"));
        }
        text
    }
}

fn totals_of_families(families: &Families) -> Vec<String> {
    let Families { models, ghosts, edges, longest_line, .. } = families;
    let relations: Vec<String> =
        families.relations.iter().map(|(relation, edges)| format!("{edges} {relation}")).collect();
    let mut told = vec![format!(
        "{models} models, {ghosts} of them only names; {edges} edges: {}",
        relations.join(", ")
    )];
    told.extend(families.components.iter().map(|joined| {
        let Component { components, single, largest, .. } = joined;
        let merges = if joined.merges { "with" } else { "without" };
        let ghosts = if joined.ghosts { "with" } else { "without" };
        let largest = largest.first().copied().unwrap_or_default();
        format!(
            "{components} components {merges} merges and {ghosts} models that are only names, {single} of one model; the \
             largest has {largest}"
        )
    }));
    told.push(format!("the longest line of descent has {longest_line} edges"));
    told.extend(families.largest.iter().take(5).map(|tree| {
        format!("the tree of {} has {} models in {} generations", tree.root, tree.models, tree.depth)
    }));
    told
}

fn totals_of_licences(survey: &LicenceSurvey) -> Vec<String> {
    let of = |count: &VerdictCount| format!("{} {}", count.edges, count.verdict.as_str());
    let verdicts: Vec<String> = survey.verdicts.iter().map(of).collect();
    vec![
        format!("{} edges, {} outside: {}", survey.edges, survey.outside, verdicts.join(", ")),
        format!("{} models whose parents each want their own licence carried on", survey.tensions),
    ]
}

fn maybe(value: Option<f64>) -> String {
    value.map(|value| format!("{value:.4}")).unwrap_or_default()
}

fn bounds(interval: Option<Interval>) -> [String; 3] {
    let of = |part: fn(Interval) -> f64| maybe(interval.map(part));
    [of(|i| i.mean), of(|i| i.low), of(|i| i.high)]
}

impl Report {
    /// The report's main list.
    pub fn table(&self) -> Table {
        match self {
            Self::Traits(likeness) => Table::new(
                [
                    "class",
                    "pairs",
                    "tf_idf",
                    "low",
                    "high",
                    "levenshtein",
                    "levenshtein_low",
                    "levenshtein_high",
                ],
                likeness.classes.iter().map(|class| {
                    let ([a, b, c], [d, e, f]) = (bounds(class.tf_idf), bounds(class.levenshtein));
                    [class.class.as_str().to_owned(), class.pairs.to_string(), a, b, c, d, e, f]
                }),
            ),
            Self::Mutation { rates, .. } => Table::new(
                ["trait", "relation", "edges", "both", "changed", "rate"],
                rates.iter().map(|rate| {
                    let counts = [rate.edges, rate.both, rate.changed].map(|n| n.to_string());
                    let [edges, both, changed] = counts;
                    [
                        rate.kind.as_str().to_owned(),
                        rate.relation.to_owned(),
                        edges,
                        both,
                        changed,
                        maybe(rate.rate),
                    ]
                }),
            ),
            Self::Drift { traits, .. } => Table::new(
                ["trait", "from", "to", "count", "back"],
                traits.iter().flat_map(|drift| {
                    drift.transitions.iter().map(|step| {
                        let [count, back] = [step.count, step.back].map(|n| n.to_string());
                        [drift.kind.as_str().to_owned(), step.from.clone(), step.to.clone(), count, back]
                    })
                }),
            ),
            Self::Families(families) => {
                let counts = |what: &'static str, counts: &std::collections::BTreeMap<u64, u64>| {
                    counts
                        .iter()
                        .map(|(n, count)| [what.to_owned(), n.to_string(), count.to_string()])
                        .collect::<Vec<_>>()
                };
                let all = [
                    counts("size", &families.sizes),
                    counts("depth", &families.depths),
                    counts("parents", &families.parents),
                ];
                let table = Table::new(["what", "value", "count"], all.into_iter().flatten());
                Table { totals: totals_of_families(families), ..table }
            }
            Self::Licences(survey) => {
                let conflict = survey.verdicts.iter().filter(|count| count.verdict == Verdict::Conflict);
                let conflicts: u64 = conflict.map(|count| count.edges).sum();
                let table = Table::new(
                    ["child", "parent", "relation", "child_licence", "parent_licence", "rule"],
                    survey.conflicts.iter().map(|conflict| {
                        [
                            conflict.child.clone(),
                            conflict.parent.clone(),
                            conflict.relation.to_string(),
                            conflict.child_licence.clone(),
                            conflict.parent_licence.clone(),
                            conflict.rule.as_str().to_owned(),
                        ]
                    }),
                );
                let left_out = Some(conflicts.saturating_sub(table.rows.len() as u64));
                Table { totals: totals_of_licences(survey), left_out, ..table }
            }
            Self::Names(naming) => Table::new(
                ["pattern", "names"],
                naming.top.iter().map(|(pattern, names)| [pattern.clone(), names.to_string()]),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_would_break_out_or_compute_are_quoted() {
        let table = Table::new(
            ["a", "b"],
            [["=1+1".to_owned(), "x,\"y\"\nz".to_owned()], ["-0.5".to_owned(), "@sum".to_owned()]]
                .into_iter(),
        );

        assert_eq!(table.csv(), "a,b\r\n'=1+1,\"x,\"\"y\"\"\nz\"\r\n-0.5,'@sum\r\n");
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = [["ä".to_owned(), "x".to_owned()], ["long".to_owned(), "y".to_owned()]];
        let table = Table::new(["a", "b"], rows.into_iter());

        assert_eq!(table.aligned(), "a     b\nä     x\nlong  y\n");
    }

    #[test]
    fn rows_that_are_left_out_are_told_in_every_form() {
        let table = Table::new(["a"], [["x".to_owned()]].into_iter());
        let totals = vec!["3 edges".to_owned()];

        let cut = Table { totals, left_out: Some(2), ..table.clone() };
        let whole = Table { left_out: Some(0), ..table };

        assert_eq!(cut.csv(), "a,truncated\r\nx,true\r\n");
        assert_eq!(cut.aligned(), "3 edges\na\nx\n… 2 more\n");
        assert_eq!(
            (whole.csv(), whole.aligned()),
            ("a,truncated\r\nx,false\r\n".to_owned(), "a\nx\n".to_owned())
        );
    }
}
