//! What descent says of a model's licence and version.

use super::{Count, Name, Way, plural};

/// An ancestor whose licence asks what the model's drops, or a model on the way to it.
#[derive(Debug, Clone)]
pub struct LicenceConflict {
    pub ancestor: Name,
    pub licence: String,
    pub reason: String,
    /// From the ancestor down to the model.
    pub path: Way,
    pub dropped_by: Option<Name>,
}

/// Two parents that each want their own licence carried on.
#[derive(Debug, Clone)]
pub struct LicenceTension {
    pub parents: Vec<Name>,
    pub licences: String,
}

/// A model's licence against those of its ancestors.
#[derive(Debug, Clone, Default)]
pub struct LicenceHeritage {
    /// What the model's own licence asks, in words.
    pub asks: Vec<String>,
    /// At most a page's worth, nearest first.
    pub conflicts: Vec<LicenceConflict>,
    pub conflicts_hidden: u64,
    pub tensions: Vec<LicenceTension>,
    pub tensions_hidden: u64,
    /// Ancestors whose licence could be judged.
    pub judged: u64,
    /// Ancestors about whose licence no rule decides.
    pub undetermined: u64,
    /// Ancestors with a licence, where the model states none itself.
    pub unheld: u64,
    /// Ancestors that state none.
    pub unstated: u64,
    /// The nearest ancestors, to which all of this is confined where there are more.
    pub nearest: Option<u64>,
}

impl LicenceHeritage {
    /// How many conflicts and tensions are not listed.
    pub(crate) fn more(&self) -> Option<Count> {
        let hidden = self.conflicts_hidden + self.tensions_hidden;
        (hidden > 0).then_some(Count(hidden))
    }

    /// How far the judgement goes, in a sentence.
    pub(crate) fn summary(&self) -> String {
        let ancestors = |count| plural(count, "ancestor", "ancestors");
        let mut said = Vec::new();
        if self.conflicts.is_empty() && self.tensions.is_empty() && self.judged > 0 {
            said.push(format!("no conflict with the licences of {}", ancestors(self.judged)));
        }
        if self.undetermined > 0 {
            let of = ancestors(self.undetermined);
            said.push(format!("undetermined for {of}, since no rule is known for one of the two licences"));
        }
        if self.unheld > 0 {
            let verb = if self.unheld == 1 { "does" } else { "do" };
            said.push(format!("the model states no licence, {} {verb}", ancestors(self.unheld)));
        }
        if self.unstated > 0 {
            said.push(format!("no licence is stated by {}", ancestors(self.unstated)));
        }
        if let Some(nearest) = self.nearest {
            said.push(format!("this is of the nearest {} only, there are more", ancestors(nearest)));
        }
        let text = said.join("; ");
        let mut letters = text.chars();
        let Some(first) = letters.next() else { return text };
        format!("{}{}.", first.to_uppercase(), letters.as_str())
    }
}

/// A release on the way to a model.
#[derive(Debug, Clone)]
pub struct VersionRow {
    pub version: String,
    pub name: Name,
    /// The version its name states.
    pub stated: Option<String>,
    /// What changed, as part and detail.
    pub changes: Vec<(String, String)>,
    /// The weights are others and the name is the same.
    pub silent: bool,
    /// Nothing of it was measured or compared: the relation alone makes it a version.
    pub claimed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_undetermined_is_told_beside_what_is_judged() {
        let heritage =
            LicenceHeritage { judged: 1, undetermined: 2, unstated: 1, ..LicenceHeritage::default() };
        let undetermined = LicenceHeritage { undetermined: 2, ..LicenceHeritage::default() };

        assert_eq!(
            heritage.summary(),
            "No conflict with the licences of 1 ancestor; undetermined for 2 ancestors, since no rule is known for one of \
             the two licences; no licence is stated by 1 ancestor."
        );
        assert!(undetermined.summary().starts_with("Undetermined for 2 ancestors"));
        assert_eq!(LicenceHeritage::default().summary(), "");
        let unheld = |unheld| LicenceHeritage { unheld, ..LicenceHeritage::default() }.summary();
        assert_eq!(unheld(1), "The model states no licence, 1 ancestor does.");
        assert_eq!(unheld(2), "The model states no licence, 2 ancestors do.");
        let nearest = LicenceHeritage { unstated: 999, nearest: Some(999), ..LicenceHeritage::default() };
        assert!(nearest.summary().ends_with("this is of the nearest 999 ancestors only, there are more."));
    }
}
