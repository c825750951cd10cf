//! Versions along a line of descent: 1.0.0 at its start, then whatever each step changed.

use std::fmt;

use domain::Relation;
use serde::{Serialize, Serializer};

use super::change::{Change, Level, Part, State, changes};

/// A semantic version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Version {
    /// Where a line starts.
    pub const FIRST: Self = Self { major: 1, minor: 0, patch: 0 };

    /// The version after a change that reaches this far.
    #[must_use]
    pub const fn after(self, level: Level) -> Self {
        match level {
            Level::Major => Self { major: self.major + 1, minor: 0, patch: 0 },
            Level::Minor => Self { minor: self.minor + 1, patch: 0, ..self },
            Level::Patch => Self { patch: self.patch + 1, ..self },
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a state of a model is called.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Named {
    pub model: String,
    /// Digest of the revision; none when only metadata is known.
    pub revision: Option<String>,
    /// Known only because a child names it.
    pub ghost: bool,
}

/// One release of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    #[serde(flatten)]
    pub named: Named,
    pub version: Version,
    /// The version that its name states.
    pub stated: Option<String>,
    /// How it descends from the release before; none for the first and for a later revision of one model.
    pub relation: Option<Relation>,
    /// The farthest-reaching change; none when nothing differs, and for the first.
    pub level: Option<Level>,
    pub changes: Vec<Change>,
    /// The weights are others and the name is the same.
    pub silent: bool,
}

/// The release after `before`, or the first of its line.
pub fn release(
    before: Option<(&Release, &State)>,
    named: Named,
    (after, relation): (&State, Option<Relation>),
) -> Release {
    let stated = super::name::stated_version(&super::name::parse(&named.model)).map(str::to_owned);
    let Some((previous, state)) = before else {
        return Release {
            named,
            version: Version::FIRST,
            stated,
            relation: None,
            level: None,
            changes: Vec::new(),
            silent: false,
        };
    };
    let changes = changes(state, after, relation);
    let level = changes.iter().map(|change| change.level).max();
    let version = level.map_or(previous.version, |level| previous.version.after(level));
    let silent =
        previous.named.model == named.model && changes.iter().any(|change| change.part == Part::Weights);
    Release { named, version, stated, relation, level, changes, silent }
}

#[cfg(test)]
mod tests {
    use domain::Digest;

    use super::*;

    fn named(model: &str) -> Named {
        Named { model: model.to_owned(), ..Named::default() }
    }

    #[test]
    fn a_version_resets_what_is_below_the_change() {
        let version = Version { major: 1, minor: 4, patch: 2 };

        let after = [Level::Patch, Level::Minor, Level::Major].map(|level| version.after(level).to_string());

        assert_eq!(after, ["1.4.3", "1.5.0", "2.0.0"]);
    }

    #[test]
    fn a_line_starts_at_one_and_follows_what_changed() {
        let (a, mut b) = (State::default(), State::default());
        b.card = Some(Digest::of(b"card"));

        let first = release(None, named("x/a-v7"), (&a, None));
        let second = release(Some((&first, &a)), named("x/a-v7"), (&b, None));
        let third = release(Some((&second, &b)), named("x/b"), (&b, None));

        assert_eq!(
            [first.version, second.version, third.version].map(|v| v.to_string()),
            ["1.0.0", "1.0.1", "1.0.1"]
        );
        assert_eq!(
            (first.stated.as_deref(), second.level, third.level),
            (Some("v7"), Some(Level::Patch), None)
        );
        assert!(!second.silent);
    }
}
