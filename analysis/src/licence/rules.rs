//! Whether a child's licence keeps what its parent's asks: one verdict and the rule that gave it.

use domain::licence::{Licence, Obligation, lookup};
use serde::Serialize;

/// What is to be said of a parent's and a child's licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Same,
    Compatible,
    Conflict,
    Undetermined,
    Missing,
}

impl Verdict {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 5] =
        [Self::Same, Self::Compatible, Self::Conflict, Self::Undetermined, Self::Missing];

    /// The word as JSON and CSV have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Compatible => "compatible",
            Self::Conflict => "conflict",
            Self::Undetermined => "undetermined",
            Self::Missing => "missing",
        }
    }
}

/// The rule that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    NotStated,
    SameLicence,
    Unnamed,
    NoDerivatives,
    OwnTerms,
    ShareAlike,
    NonCommercial,
    UseLimits,
    NothingDropped,
}

impl Rule {
    /// The word as JSON and CSV have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotStated => "not_stated",
            Self::SameLicence => "same_licence",
            Self::Unnamed => "unnamed",
            Self::NoDerivatives => "no_derivatives",
            Self::OwnTerms => "own_terms",
            Self::ShareAlike => "share_alike",
            Self::NonCommercial => "non_commercial",
            Self::UseLimits => "use_limits",
            Self::NothingDropped => "nothing_dropped",
        }
    }

    /// The rule in a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotStated => "One of the two states no licence.",
            Self::SameLicence => "Both carry the same licence.",
            Self::Unnamed => "One of the two carries a licence that no rule is known for.",
            Self::NoDerivatives => "The ancestor's licence lets nothing derived be passed on.",
            Self::OwnTerms => {
                "The ancestor's own terms have to go along, and the child carries another licence."
            }
            Self::ShareAlike => "The ancestor's licence has to be carried on, and the child carries another.",
            Self::NonCommercial => "The ancestor forbids commercial use, and the child's licence does not.",
            Self::UseLimits => "The ancestor forbids some uses, and the child's licence does not.",
            Self::NothingDropped => "The child's licence drops nothing that the ancestor's asks.",
        }
    }
}

/// A verdict with its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Judgement {
    pub verdict: Verdict,
    pub rule: Rule,
}

/// Judges a child's licence against an ancestor's, both as the Hub writes them. Attribution is not judged: no
/// licence id says whether a card names the authors.
pub fn judge(parent: Option<&str>, child: Option<&str>) -> Judgement {
    let stated =
        |id: Option<&str>| id.map(str::trim).filter(|id| !id.is_empty()).map(str::to_ascii_lowercase);
    let (verdict, rule) = match (stated(parent), stated(child)) {
        (Some(parent), Some(child)) => between(&parent, &child),
        _ => (Verdict::Missing, Rule::NotStated),
    };
    Judgement { verdict, rule }
}

/// The licence to state of what is made from models under `licences`, each as the Hub writes it or none stated: the one of
/// theirs that keeps what all others ask, the first of those that ask most; `other` where none does. None where none is
/// stated.
pub fn covering<'l>(licences: &[Option<&'l str>]) -> Option<&'l str> {
    let stated: Vec<&str> =
        licences.iter().flatten().map(|id| id.trim()).filter(|id| !id.is_empty()).collect();
    let first = *stated.first()?;
    if stated.iter().all(|id| id.eq_ignore_ascii_case(first)) {
        return Some(first);
    }
    let covers = |heir: &&str| {
        stated
            .iter()
            .all(|id| matches!(judge(Some(id), Some(heir)).verdict, Verdict::Same | Verdict::Compatible))
    };
    let asked = |id: &str| lookup(id).map_or(0, |licence| licence.obligations.len());
    // Of equals the last is the greatest.
    stated.iter().copied().rev().filter(covers).max_by_key(|id| asked(id)).or(Some("other"))
}

fn between(parent: &str, child: &str) -> (Verdict, Rule) {
    let named = |id: &str| lookup(id).filter(|licence| !matches!(licence.id, "other" | "unknown"));
    let (known, heir) = (named(parent), named(child));
    let is_one = known.zip(heir).map_or(parent == child, |(known, heir)| known.is_one_with(heir));
    if is_one {
        return match known {
            Some(licence) if licence.asks(Obligation::NoDerivatives) => {
                (Verdict::Conflict, Rule::NoDerivatives)
            }
            _ => (Verdict::Same, Rule::SameLicence),
        };
    }
    let (Some(known), Some(heir)) = (known, heir) else { return (Verdict::Undetermined, Rule::Unnamed) };
    match broken(known, heir) {
        Some(rule) => (Verdict::Conflict, rule),
        None => (Verdict::Compatible, Rule::NothingDropped),
    }
}

/// The first rule of the ancestor's licence that another licence breaks.
fn broken(parent: &Licence, child: &Licence) -> Option<Rule> {
    let dropped = |obligation| parent.asks(obligation) && !child.asks(obligation);
    [
        (parent.asks(Obligation::NoDerivatives), Rule::NoDerivatives),
        (parent.asks(Obligation::OwnTerms), Rule::OwnTerms),
        (parent.asks(Obligation::ShareAlike), Rule::ShareAlike),
        (dropped(Obligation::NonCommercial), Rule::NonCommercial),
        (dropped(Obligation::UseLimits), Rule::UseLimits),
    ]
    .into_iter()
    .find(|(broken, _)| *broken)
    .map(|(_, rule)| rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(parent: &str, child: &str) -> (Verdict, Rule) {
        let Judgement { verdict, rule } = judge(Some(parent), Some(child));
        (verdict, rule)
    }

    #[test]
    fn what_an_ancestor_asks_must_be_kept() {
        assert_eq!(judged("llama3", "apache-2.0"), (Verdict::Conflict, Rule::OwnTerms));
        assert_eq!(judged("llama3", "llama3.1"), (Verdict::Conflict, Rule::OwnTerms));
        assert_eq!(judged("gpl-3.0", "mit"), (Verdict::Conflict, Rule::ShareAlike));
        assert_eq!(judged("cc-by-nc-4.0", "apache-2.0"), (Verdict::Conflict, Rule::NonCommercial));
        assert_eq!(judged("cc-by-nc-4.0", "cc-by-nc-sa-4.0"), (Verdict::Compatible, Rule::NothingDropped));
        assert_eq!(judged("openrail", "mit"), (Verdict::Conflict, Rule::UseLimits));
        assert_eq!(judged("cc-by-nd-4.0", "cc-by-nd-4.0"), (Verdict::Conflict, Rule::NoDerivatives));
    }

    #[test]
    fn what_is_not_known_is_not_judged() {
        assert_eq!(judged("other", "mit"), (Verdict::Undetermined, Rule::Unnamed));
        assert_eq!(judged("my-licence", "mit"), (Verdict::Undetermined, Rule::Unnamed));
        assert_eq!(judged("other", "Other"), (Verdict::Same, Rule::SameLicence));
        assert_eq!(judged("unknown", "other"), (Verdict::Undetermined, Rule::Unnamed));
        assert_eq!(judged("research-only", "my-open-licence"), (Verdict::Undetermined, Rule::Unnamed));
        assert_eq!(judged("research-only", "Research-Only"), (Verdict::Same, Rule::SameLicence));
        assert_eq!(judge(None, Some("mit")).verdict, Verdict::Missing);
        assert_eq!(judge(Some(" "), Some("mit")).verdict, Verdict::Missing);
    }

    #[test]
    fn of_several_licences_the_one_that_keeps_all_of_them_is_stated_or_none_by_name() {
        let stated = |ids: &[&'static str]| covering(&ids.iter().map(|id| Some(*id)).collect::<Vec<_>>());

        assert_eq!(stated(&["apache-2.0", "cc-by-nc-4.0"]), Some("cc-by-nc-4.0"));
        assert_eq!(stated(&["cc-by-nc-4.0", "cc-by-nc-sa-4.0", "mit"]), Some("cc-by-nc-sa-4.0"));
        assert_eq!(stated(&["MIT", "apache-2.0"]), Some("MIT"));
        assert_eq!(stated(&["unlicense", "mit"]), Some("mit"));
        assert_eq!(stated(&["llama3", "gemma"]), Some("other"));
        assert_eq!(stated(&["gpl-3.0", "cc-by-nc-4.0"]), Some("other"));
        assert_eq!(stated(&["mit", "my-own"]), Some("other"));
        assert_eq!(stated(&["my-own", "my-own"]), Some("my-own"));
        assert_eq!(covering(&[None, Some("mit"), Some(" ")]), Some("mit"));
        assert_eq!(covering(&[None]), None);
    }

    #[test]
    fn case_makes_no_other_licence() {
        assert_eq!(judged("Apache-2.0", "apache-2.0"), (Verdict::Same, Rule::SameLicence));
        assert_eq!(judged("MIT", "Apache-2.0"), (Verdict::Compatible, Rule::NothingDropped));
    }

    #[test]
    fn ids_of_the_hub_and_of_spdx_are_of_one_licence() {
        for (one, other) in
            [("gpl-3.0", "GPL-3.0-or-later"), ("odc-by", "ODC-By-1.0"), ("Apache 2.0", "apache-2.0")]
        {
            assert_eq!(judged(one, other), (Verdict::Same, Rule::SameLicence), "{one}, {other}");
        }
        assert_eq!(judged("gpl-2.0", "GPL-3.0-only"), (Verdict::Conflict, Rule::ShareAlike));
    }
}
