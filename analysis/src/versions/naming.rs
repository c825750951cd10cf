//! How models of a whole registry are named: patterns, stated versions, and whether the version before is there.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::name::{Kind, Segment, parse, pattern};

/// Patterns kept while counting; of a registry with more, rarer ones are counted together.
const PATTERNS: usize = 10_000;

/// Counts names one by one.
#[derive(Default)]
pub struct NamingSurvey {
    names: u64,
    kinds: BTreeMap<Kind, u64>,
    patterns: HashMap<String, u64>,
    other: u64,
    /// Names by all but their versions, with the versions seen.
    series: HashMap<String, Vec<Vec<u64>>>,
}

/// The names of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Naming {
    pub names: u64,
    /// Names that have a segment of this kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Distinct patterns.
    pub patterns: u64,
    /// The most frequent ones with their number of names.
    pub top: Vec<(String, u64)>,
    /// Names that state a version of their own.
    pub versioned: u64,
    /// Of versions N.0 above the first, how many there are, and how many with a version of the number before.
    pub major: (u64, u64),
    /// Of versions N.M with M above 0, how many there are, and how many with N.(M−1).
    pub minor: (u64, u64),
}

impl NamingSurvey {
    /// Counts a name.
    pub fn add(&mut self, id: &str) {
        let segments = parse(id);
        self.names += 1;
        for kind in Kind::ALL {
            if segments.iter().any(|segment| segment.kind == kind) {
                *self.kinds.entry(kind).or_default() += 1;
            }
        }
        let pattern = pattern(&segments);
        if self.patterns.len() < PATTERNS || self.patterns.contains_key(&pattern) {
            *self.patterns.entry(pattern).or_default() += 1;
        } else {
            self.other += 1;
        }
        if let Some((series, version)) = series(id, &segments) {
            let versions = self.series.entry(series).or_default();
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
    }

    /// The counts, with the `most` commonest patterns.
    pub fn finish(self, most: usize) -> Naming {
        let (mut major, mut minor, mut versioned) = ((0, 0), (0, 0), 0);
        for versions in self.series.values() {
            versioned += versions.len() as u64;
            for version in versions {
                let (first, second) = (version[0], version.get(1).copied().unwrap_or_default());
                if second > 0 {
                    let before = versions
                        .iter()
                        .any(|v| v[0] == first && v.get(1).copied().unwrap_or_default() + 1 == second);
                    minor = (minor.0 + 1, minor.1 + u64::from(before));
                } else if first > 1 {
                    let before = versions.iter().any(|v| v[0] + 1 == first);
                    major = (major.0 + 1, major.1 + u64::from(before));
                }
            }
        }
        let mut top: Vec<(String, u64)> = self.patterns.into_iter().collect();
        let patterns = top.len() as u64 + u64::from(self.other > 0);
        top.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        top.truncate(most);
        let kinds = self.kinds.into_iter().map(|(kind, count)| (kind.as_str(), count)).collect();
        Naming { names: self.names, kinds, patterns, top, versioned, major, minor }
    }
}

/// A name without its last version, and that version as numbers.
fn series(id: &str, segments: &[Segment]) -> Option<(String, Vec<u64>)> {
    let at = segments.iter().rposition(|segment| segment.kind == Kind::Version)?;
    let version = segments[at].text.trim_start_matches(['v', 'V']);
    let numbers = version.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    let rest: Vec<&str> = segments
        .iter()
        .enumerate()
        .filter(|(place, _)| *place != at)
        .map(|(_, segment)| segment.text.as_str())
        .collect();
    let org = id.split_once('/').map_or("", |(org, _)| org);
    Some((format!("{org}/{at}/{}", rest.join("-")).to_ascii_lowercase(), numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_finds_its_predecessor_in_its_own_series() {
        let mut survey = NamingSurvey::default();
        for name in ["a/x-v1", "a/x-v2", "a/x-v2.1", "a/y-v3", "b/x-v3.2", "a/plain"] {
            survey.add(name);
        }

        let naming = survey.finish(10);

        assert_eq!((naming.names, naming.versioned), (6, 5));
        assert_eq!((naming.major, naming.minor), ((2, 1), (2, 1)));
        assert_eq!(naming.top[0], ("{identifier}{version}".to_owned(), 5));
        assert_eq!(naming.kinds["identifier"], 6);
    }
}
