//! Rough classes of licences, by which trees are coloured and narrowed. Not legal advice.

use std::{fmt, str::FromStr};

/// What a licence is like, by its identifier as the Hub writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LicenceClass {
    Permissive,
    ShareAlike,
    NonCommercial,
    /// Terms of its own.
    Custom,
    Unknown,
}

const SHARE_ALIKE: [&str; 8] = ["gpl", "agpl", "lgpl", "cc-by-sa", "mpl", "epl", "eupl", "odbl"];

const PERMISSIVE: [&str; 16] = [
    "apache",
    "mit",
    "bsd",
    "cc0",
    "cc-by-4",
    "cc-by-3",
    "cc-by-2",
    "isc",
    "unlicense",
    "wtfpl",
    "pddl",
    "zlib",
    "bsl-1.0",
    "afl",
    "artistic",
    "postgresql",
];

impl LicenceClass {
    /// Every class, in the order of the legend.
    pub const ALL: [Self; 5] =
        [Self::Permissive, Self::ShareAlike, Self::NonCommercial, Self::Custom, Self::Unknown];

    /// The class of a licence; none stated is unknown.
    pub fn of(licence: Option<&str>) -> Self {
        let licence = licence.unwrap_or_default().to_ascii_lowercase();
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| licence.starts_with(prefix));
        match licence.as_str() {
            "" | "unknown" => Self::Unknown,
            text if text.contains("-nc") => Self::NonCommercial,
            _ if starts(&SHARE_ALIKE) => Self::ShareAlike,
            _ if starts(&PERMISSIVE) => Self::Permissive,
            _ => Self::Custom,
        }
    }

    /// The word in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permissive => "permissive",
            Self::ShareAlike => "share-alike",
            Self::NonCommercial => "non-commercial",
            Self::Custom => "custom",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for LicenceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LicenceClass {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.trim().to_ascii_lowercase();
        Self::ALL.into_iter().find(|class| class.as_str() == wanted).ok_or_else(|| {
            format!(
                "`{wanted}` is no class of licences; it is permissive, share-alike, non-commercial, custom or unknown"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_fall_into_classes_and_classes_have_words() {
        let classes = ["apache-2.0", "cc-by-nc-4.0", "gpl-3.0", "llama3.1", "unknown"]
            .map(|licence| LicenceClass::of(Some(licence)).as_str());

        assert_eq!(classes, ["permissive", "non-commercial", "share-alike", "custom", "unknown"]);
        assert_eq!(LicenceClass::of(None), LicenceClass::Unknown);
        assert!(LicenceClass::ALL.into_iter().all(|class| class.as_str().parse() == Ok(class)));
        assert!("mit".parse::<LicenceClass>().is_err());
    }
}
