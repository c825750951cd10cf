//! Licences: one table of what each asks, and the rough classes by which trees are coloured and narrowed. Not legal
//! advice.

mod table;

use std::{fmt, str::FromStr};

pub use table::{Family, LICENCES, Licence, Obligation, lookup, spdx_expression};

/// What a licence is like, by its family in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LicenceClass {
    Permissive,
    ShareAlike,
    NonCommercial,
    /// Terms of its own, limits of use, or a licence that is not in the table.
    Custom,
    Unknown,
}

impl LicenceClass {
    /// Every class, in the order of the legend.
    pub const ALL: [Self; 5] =
        [Self::Permissive, Self::ShareAlike, Self::NonCommercial, Self::Custom, Self::Unknown];

    /// The class of a licence; none stated is unknown.
    pub fn of(licence: Option<&str>) -> Self {
        let Some(id) = licence.map(str::trim).filter(|id| !id.is_empty()) else { return Self::Unknown };
        match lookup(id) {
            Some(licence) if licence.id == "unknown" => Self::Unknown,
            Some(licence) => licence.family.into(),
            None => Self::Custom,
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

impl From<Family> for LicenceClass {
    fn from(family: Family) -> Self {
        match family {
            Family::Permissive => Self::Permissive,
            Family::Copyleft => Self::ShareAlike,
            Family::NonCommercial => Self::NonCommercial,
            Family::UseRestricted | Family::Custom | Family::Undetermined => Self::Custom,
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
    fn the_class_of_every_licence_of_the_hub_says_what_its_family_says() {
        for licence in LICENCES {
            let told = match licence.family {
                Family::Permissive => "permissive",
                Family::Copyleft => "share-alike",
                Family::NonCommercial => "non-commercial",
                Family::Undetermined if licence.id == "unknown" => "unknown",
                Family::UseRestricted | Family::Custom | Family::Undetermined => "custom",
            };
            assert_eq!(LicenceClass::of(Some(licence.id)).as_str(), told, "{}", licence.id);
        }
        let asked = |id| LicenceClass::of(Some(id)).as_str();
        assert_eq!(asked("intel-research"), "non-commercial");
        assert_eq!(
            [asked("osl-3.0"), asked("ms-pl"), asked("cc")],
            ["share-alike", "permissive", "permissive"]
        );
        assert_eq!([asked("Apache 2.0"), asked("GPL-3.0-only")], ["permissive", "share-alike"]);
        assert_eq!([asked("mit-like"), asked("gplish"), asked("my-nc")], ["custom", "custom", "custom"]);
    }

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
