//! Reports as plots and tables for the pages.

use ::web::view::{
    Bars, Count, Name, ReportAnswer, ReportBar, ReportCard, ReportCell, ReportPage, ReportSection,
};
use analysis::{
    licence::{LicenceSurvey, Rule},
    traits::{CardDrift, Drift, Families, Interval, Kin, Likeness, MutationRate},
    versions::Naming,
};
use jobs::{Registry, Report, Subject};

use super::Result;

/// Bars of one plot, and rows of one table.
const BARS: usize = 16;
const ROWS: usize = 200;

/// What each report is called and asks.
pub fn cards() -> Vec<ReportCard> {
    Subject::ALL.map(card).to_vec()
}

fn card(subject: Subject) -> ReportCard {
    let (title, question) = match subject {
        Subject::Traits => ("Likeness", "Are siblings more alike than parent and child?"),
        Subject::Mutation => ("Mutation", "How often does a trait change from parent to child?"),
        Subject::Drift => ("Drift", "Which way do licences, languages, tasks and cards change?"),
        Subject::Families => ("Families", "How large and how deep are families?"),
        Subject::Licences => ("Licences", "Where do licences drop what those of their parents ask?"),
        Subject::Names => ("Names", "How are models and their versions named?"),
    };
    ReportCard { id: subject.label(), title, question }
}

/// A report by its word.
pub async fn page(registry: &Registry, word: &str) -> Result<Option<ReportAnswer>> {
    let Some(subject) = Subject::of(word) else { return Ok(None) };
    let Some((report, stale)) = jobs::report_at_hand(registry, subject).await? else {
        return Ok(Some(ReportAnswer::Pending(card(subject))));
    };
    let mut sections = match &*report {
        Report::Traits(likeness) => traits(likeness),
        Report::Mutation { rates, .. } => mutation(rates),
        Report::Drift { traits, cards } => {
            let mut all: Vec<ReportSection> =
                traits.iter().filter(|drift| drift.changed > 0).map(drift).collect();
            all.insert(0, lengths(cards));
            all
        }
        Report::Families(report) => families(report),
        Report::Licences(survey) => licences(survey),
        Report::Names(naming) => names(naming),
    };
    sections.iter_mut().for_each(cut);
    Ok(Some(ReportAnswer::Ready(Box::new(ReportPage { card: card(subject), stale, sections }))))
}

/// Cuts what is too long for a page; the text says so, and how long bars are.
fn cut(section: &mut ReportSection) {
    if section.scale == Bars::Log && !section.bars.is_empty() {
        section.text.push_str(" Bars by the logarithm of their number.");
    }
    if section.bars.len() > BARS {
        section
            .text
            .push_str(&format!(" Drawn are the first {BARS} of {}.", Count(section.bars.len() as u64)));
        section.bars.truncate(BARS);
    }
    if section.rows.len() > ROWS {
        let all = Count(section.rows.len() as u64);
        section.text.push_str(&format!(" The table has the first {ROWS} of {all} rows; the CSV has more."));
        section.rows.truncate(ROWS);
    }
}

/// Bars of counts in the order of what is counted; the last one holds the rest where there are too many.
fn ranged(counts: Vec<(String, u64)>) -> Vec<ReportBar> {
    let shown = if counts.len() > BARS { BARS - 1 } else { counts.len() };
    let rest = counts[shown..].first().map(|(label, _)| {
        let label = label.split(' ').next().unwrap_or_default();
        counted(format!("{label} and more"), counts[shown..].iter().map(|(_, count)| count).sum())
    });
    let bars = counts[..shown].iter().map(|(label, count)| counted(label, *count));
    bars.chain(rest).collect()
}

fn number(value: impl ToString) -> ReportCell {
    ReportCell::Number(value.to_string())
}

fn text(value: &str) -> ReportCell {
    ReportCell::Text(value.to_owned())
}

fn share(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

fn counted(label: impl ToString, count: u64) -> ReportBar {
    let text = Count(count).to_string();
    ReportBar { label: label.to_string(), value: count as f64, text, interval: None }
}

fn traits(likeness: &Likeness) -> Vec<ReportSection> {
    let word = |kin: Kin| match kin {
        Kin::ParentChild => "parent and child",
        Kin::Siblings => "siblings",
        Kin::Grandparent => "grandparent",
        Kin::Random => "any two",
    };
    let section = |title: &str, formula, of: &dyn Fn(usize) -> Option<Interval>| {
        let found = likeness.classes.iter().enumerate().filter_map(|(at, class)| Some((class, of(at)?)));
        let (bars, rows) = found
            .map(|(class, interval)| {
                let bar = ReportBar {
                    label: word(class.class).to_owned(),
                    value: interval.mean,
                    text: format!("{:.3}", interval.mean),
                    interval: Some((interval.low, interval.high)),
                };
                let numbers = [interval.mean, interval.low, interval.high];
                let mut row = vec![text(word(class.class)), number(class.pairs)];
                row.extend(numbers.map(|value| number(format!("{value:.4}"))));
                (bar, row)
            })
            .unzip();
        ReportSection {
            title: title.to_owned(),
            text: format!(
                "How alike the records of relatives are, from 0 to 1, with 95 % bootstrap intervals, over {} records.",
                Count(likeness.documents)
            ),
            formula,
            bars,
            columns: vec!["Pair", "Pairs", "Mean", "Low", "High"],
            rows,
            ..ReportSection::default()
        }
    };
    let (cosine, edit) = (
        "the cosine of the TF-IDF vectors of the two records, ⟨a, b⟩ / ‖a‖‖b‖",
        "1 − Levenshtein(a, b) / max(|a|, |b|)",
    );
    vec![
        section("By words", cosine, &|at| likeness.classes[at].tf_idf),
        section("By letters", edit, &|at| likeness.classes[at].levenshtein),
    ]
}

fn mutation(rates: &[MutationRate]) -> Vec<ReportSection> {
    let bar = |rate: &MutationRate| {
        let value = rate.rate?;
        let label = rate.kind.as_str().to_owned();
        Some(ReportBar { label, value, text: share(value), interval: None })
    };
    let row = |rate: &MutationRate| {
        vec![
            text(rate.kind.as_str()),
            text(rate.relation),
            number(rate.edges),
            number(rate.both),
            number(rate.changed),
            number(rate.rate.map(share).unwrap_or_default()),
        ]
    };
    vec![ReportSection {
        title: "How much changes from parent to child".to_owned(),
        text: "Over all edges where both report the trait; the table has every relation.".to_owned(),
        formula: "the mean of 1 − |P ∩ C| / |P ∪ C| over the values P of the parent and C of the child",
        bars: rates.iter().filter(|rate| rate.relation == "all").filter_map(bar).collect(),
        columns: vec!["Trait", "Relation", "Edges", "Both report it", "Changed", "Rate"],
        rows: rates.iter().map(row).collect(),
        ..ReportSection::default()
    }]
}

fn drift(drift: &Drift) -> ReportSection {
    let explained = drift
        .explained
        .map(|value| format!(" It explains {} of the net change.", share(value)))
        .unwrap_or_default();
    let order: Vec<&str> = drift.order.iter().take(8).map(String::as_str).collect();
    let more = if drift.order.len() > order.len() { " → …" } else { "" };
    let way = if order.len() > 1 {
        format!(" The way it runs: {}{more}.{explained}", order.join(" → "))
    } else {
        String::new()
    };
    let bar = |step: &analysis::traits::Transition| ReportBar {
        text: format!("{}, {} back", Count(step.count), Count(step.back)),
        ..counted(format!("{} → {}", step.from, step.to), step.count)
    };
    let row = |step: &analysis::traits::Transition| {
        vec![text(&step.from), text(&step.to), number(step.count), number(step.back)]
    };
    ReportSection {
        title: format!("Drift of the {}", drift.kind.as_str()),
        text: format!(
            "{} where both report it and differ.{way}",
            ::web::view::plural(drift.changed, "edge", "edges")
        ),
        formula: "values are ordered so that the net weight of changes that run forward is as large as moving single values gets it",
        bars: drift.transitions.iter().map(bar).collect(),
        columns: vec!["From", "To", "Times", "Back"],
        rows: drift.transitions.iter().map(row).collect(),
        ..ReportSection::default()
    }
}

fn lengths(cards: &[CardDrift]) -> ReportSection {
    let bars = cards.iter().flat_map(|card| {
        let bar = |who: &str, characters: Option<f64>| {
            let value = characters?;
            let label = format!("{}: {who}", card.relation);
            Some(ReportBar { label, value, text: format!("{value:.0} characters"), interval: None })
        };
        [bar("parents", card.parent_characters), bar("children", card.child_characters)]
    });
    let row = |card: &CardDrift| {
        let length =
            |value: Option<f64>| number(value.map(|value| format!("{value:.0}")).unwrap_or_default());
        vec![
            text(card.relation),
            number(card.edges),
            number(share(card.parent_has_card)),
            number(share(card.child_has_card)),
            length(card.parent_characters),
            length(card.child_characters),
            number(card.child_generated.map(share).unwrap_or_default()),
        ]
    };
    ReportSection {
        title: "Length of cards".to_owned(),
        text: "Mean length of the cards of parents and of their children, where both have one.".to_owned(),
        formula: "characters of the card's body, without front matter",
        bars: bars.flatten().collect(),
        columns: vec![
            "Relation",
            "Edges",
            "Parents with a card",
            "Children with one",
            "Parents' length",
            "Children's length",
            "Children's, generated",
        ],
        rows: cards.iter().map(row).collect(),
        ..ReportSection::default()
    }
}

fn families(report: &Families) -> Vec<ReportSection> {
    let table = |counts: &std::collections::BTreeMap<u64, u64>| {
        counts.iter().map(|(value, count)| vec![number(value), number(count)]).collect::<Vec<_>>()
    };
    let mut sizes: Vec<(u64, u64)> = Vec::new();
    for (size, count) in &report.sizes {
        let low = 1_u64 << size.max(&1).ilog2();
        match sizes.last_mut() {
            Some(last) if last.0 == low => last.1 += count,
            _ => sizes.push((low, *count)),
        }
    }
    let range = |low: u64| if low == 1 { "1".to_owned() } else { format!("{low} to {}", low * 2 - 1) };
    let plain = |counts: &std::collections::BTreeMap<u64, u64>| {
        ranged(counts.iter().map(|(value, count)| (value.to_string(), *count)).collect())
    };
    let largest = report.largest.iter().map(|family| {
        vec![ReportCell::Model(Name(family.root.clone())), number(family.models), number(family.depth)]
    });
    let longest = ::web::view::plural(report.longest_line, "edge", "edges");
    vec![
        ReportSection {
            title: "Sizes".to_owned(),
            text: format!(
                "{} and {} that are only names, {} between them.",
                ::web::view::plural(report.models, "model", "models"),
                Count(report.ghosts),
                ::web::view::plural(report.edges, "edge", "edges")
            ),
            formula: "models in a tree of primary parents, its root among them",
            bars: ranged(sizes.into_iter().map(|(low, count)| (range(low), count)).collect()),
            scale: Bars::Log,
            columns: vec!["Models", "Families"],
            rows: table(&report.sizes),
        },
        ReportSection {
            title: "Depths".to_owned(),
            text: format!("The longest line of descent has {longest}."),
            formula: "generations below the root along primary parents",
            bars: plain(&report.depths),
            scale: Bars::Log,
            columns: vec!["Generations", "Families"],
            rows: table(&report.depths),
        },
        ReportSection {
            title: "Parents".to_owned(),
            text: "Models by the number of their parents that are here.".to_owned(),
            bars: plain(&report.parents),
            scale: Bars::Log,
            columns: vec!["Parents", "Models"],
            rows: table(&report.parents),
            ..ReportSection::default()
        },
        ReportSection {
            title: "The largest families".to_owned(),
            text: "By their number of models.".to_owned(),
            bars: report.largest.iter().map(|family| counted(&family.root, family.models)).collect(),
            columns: vec!["Root", "Models", "Generations"],
            rows: largest.collect(),
            ..ReportSection::default()
        },
    ]
}

/// A rule in a word or two; the sentence stands above the tables once.
fn told(rule: Rule) -> String {
    let words = rule.as_str().replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| format!("{}{}", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

fn licences(survey: &LicenceSurvey) -> Vec<ReportSection> {
    let verdicts = survey.verdicts.iter().map(|count| counted(count.verdict.as_str(), count.edges));
    let verdict_row =
        |count: &analysis::licence::VerdictCount| vec![text(count.verdict.as_str()), number(count.edges)];
    let pair = |pair: &analysis::licence::PairCount| {
        counted(format!("{} → {}", pair.parent, pair.child), pair.edges)
    };
    let pair_row = |pair: &analysis::licence::PairCount| {
        vec![text(&pair.parent), text(&pair.child), number(pair.edges), text(&told(pair.rule))]
    };
    let conflict_row = |conflict: &analysis::licence::Conflict| {
        vec![
            ReportCell::Model(Name(conflict.child.clone())),
            text(&conflict.child_licence),
            text(conflict.relation.as_str()),
            ReportCell::Model(Name(conflict.parent.clone())),
            text(&conflict.parent_licence),
            text(&told(conflict.rule)),
        ]
    };
    let mut rules: Vec<Rule> = survey.pairs.iter().map(|pair| pair.rule).collect();
    rules.sort_by_key(|rule| rule.as_str());
    rules.dedup();
    let why = rules.iter().map(|rule| format!(" {}: {}", told(*rule), rule.sentence())).collect::<String>();
    let tensions = ::web::view::plural(survey.tensions, "model has two parents", "models have two parents");
    vec![
        ReportSection {
            title: "Verdicts".to_owned(),
            text: format!(
                "{} between models that are here; {tensions} that each want their own licence carried on. Indicative \
                 only, no legal advice.",
                ::web::view::plural(survey.edges, "edge", "edges")
            ),
            formula: "the child's licence is held against what the parent's asks, by the first rule that applies",
            bars: verdicts.collect(),
            columns: vec!["Verdict", "Edges"],
            rows: survey.verdicts.iter().map(verdict_row).collect(),
            ..ReportSection::default()
        },
        ReportSection {
            title: "Pairs in conflict".to_owned(),
            text: format!("From the parent's licence to the child's.{why}"),
            bars: survey.pairs.iter().map(pair).collect(),
            columns: vec!["Parent's licence", "Child's licence", "Edges", "Why"],
            rows: survey.pairs.iter().map(pair_row).collect(),
            ..ReportSection::default()
        },
        ReportSection {
            title: "Edges in conflict".to_owned(),
            text: "By the child's name.".to_owned(),
            columns: vec!["Child", "Its licence", "How", "Parent", "Its licence", "Why"],
            rows: survey.conflicts.iter().map(conflict_row).collect(),
            ..ReportSection::default()
        },
    ]
}

fn names(naming: &Naming) -> Vec<ReportSection> {
    let kinds = naming.kinds.iter().map(|(kind, count)| counted(kind, *count));
    let kind_row = |(kind, count): (&&str, &u64)| vec![text(kind), number(count)];
    let of = |(all, with): (u64, u64)| {
        format!("{} of {}", Count(with), ::web::view::plural(all, "version", "versions"))
    };
    vec![
        ReportSection {
            title: "What names are made of".to_owned(),
            text: format!(
                "{} names, {} of which state a version. The whole version before is there for {} N.0 above the first, \
                 the one before for {} N.M.",
                Count(naming.names),
                Count(naming.versioned),
                of(naming.major),
                of(naming.minor)
            ),
            formula: "names that hold a segment of the kind at least once",
            bars: kinds.collect(),
            columns: vec!["Segment", "Names"],
            rows: naming.kinds.iter().map(kind_row).collect(),
            ..ReportSection::default()
        },
        ReportSection {
            title: "Patterns".to_owned(),
            text: format!(
                "The most frequent of {}.",
                ::web::view::plural(naming.patterns, "pattern", "patterns")
            ),
            bars: naming.top.iter().map(|(pattern, count)| counted(pattern, *count)).collect(),
            columns: vec!["Pattern", "Names"],
            rows: naming.top.iter().map(|(pattern, count)| vec![text(pattern), number(count)]).collect(),
            ..ReportSection::default()
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_and_how_long_bars_are_is_told() {
        let counts: std::collections::BTreeMap<u64, u64> =
            (0..=21).map(|depth| (depth, 22 - depth)).collect();
        let mut deep = families(&Families {
            models: 253,
            ghosts: 0,
            edges: 231,
            relations: Default::default(),
            components: Vec::new(),
            sizes: (0..300).map(|size| (size + 1, 1)).collect(),
            depths: counts,
            parents: [(0, 1), (1, 252)].into(),
            longest_line: 21,
            largest: Vec::new(),
            most_children: Vec::new(),
        });

        deep.iter_mut().for_each(cut);

        let [sizes, depths, parents, _] = &deep[..] else { panic!("four sections") };
        let last = depths.bars.last().map(|bar| (bar.label.as_str(), bar.text.as_str()));
        assert_eq!((depths.bars.len(), last), (BARS, Some(("15 and more", "28"))));
        assert!(
            sizes.text.ends_with("The table has the first 200 of 300 rows; the CSV has more."),
            "{}",
            sizes.text
        );
        for section in [sizes, depths, parents] {
            assert!(section.text.contains("Bars by the logarithm of their number."), "{}", section.text);
        }
    }

    #[test]
    fn bars_that_are_left_out_are_counted() {
        let mut section =
            ReportSection { bars: (0..17).map(|at| counted(at, 1)).collect(), ..Default::default() };

        cut(&mut section);

        assert_eq!((section.bars.len(), section.text.trim()), (16, "Drawn are the first 16 of 17."));
    }
}
