//! Licence ids of the Hub and of SPDX: families and obligations. Own readings of the licences, no legal advice.

use serde::Serialize;

/// What a licence asks of whoever passes the model or something made from it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Obligation {
    /// Authors and licence are named.
    Attribution,
    /// What is derived carries the same licence.
    ShareAlike,
    /// No commercial use.
    NonCommercial,
    /// Nothing derived is passed on.
    NoDerivatives,
    /// Some uses are forbidden, and the list of them goes along.
    UseLimits,
    /// The licence's own terms go along word by word.
    OwnTerms,
}

impl Obligation {
    /// The word as JSON and CSV have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attribution => "attribution",
            Self::ShareAlike => "share_alike",
            Self::NonCommercial => "non_commercial",
            Self::NoDerivatives => "no_derivatives",
            Self::UseLimits => "use_limits",
            Self::OwnTerms => "own_terms",
        }
    }

    /// For people.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Attribution => "the authors are named",
            Self::ShareAlike => "what is derived carries the same licence",
            Self::NonCommercial => "no commercial use",
            Self::NoDerivatives => "nothing derived may be passed on",
            Self::UseLimits => "the list of forbidden uses goes along",
            Self::OwnTerms => "its own terms go along word by word",
        }
    }
}

/// The family a licence belongs to by its strongest obligation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    Permissive,
    Copyleft,
    NonCommercial,
    UseRestricted,
    /// Terms of one maker, or no derivatives.
    Custom,
    /// `other`, `unknown`, or an id that is neither the Hub's nor one of SPDX's that are known here.
    Undetermined,
}

impl Family {
    /// The word as JSON and CSV have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permissive => "permissive",
            Self::Copyleft => "copyleft",
            Self::NonCommercial => "non_commercial",
            Self::UseRestricted => "use_restricted",
            Self::Custom => "custom",
            Self::Undetermined => "undetermined",
        }
    }
}

/// One licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Licence {
    /// As the Hub writes it, else as SPDX does, in lower case.
    pub id: &'static str,
    /// The SPDX id in SPDX's case; none where SPDX lists no such licence.
    pub spdx: Option<&'static str>,
    /// The Hub's id leaves open which version or variant is meant.
    pub approximate: bool,
    pub family: Family,
    pub obligations: &'static [Obligation],
}

impl Licence {
    /// Whether it asks this.
    pub fn asks(&self, obligation: Obligation) -> bool {
        self.obligations.contains(&obligation)
    }

    /// Whether both ids are of one licence: the Hub's leave open whether later versions are meant too.
    pub fn is_one_with(&self, other: &Self) -> bool {
        let stem = |id: &'static str| {
            id.strip_suffix("-only").or_else(|| id.strip_suffix("-or-later")).unwrap_or(id)
        };
        stem(self.id) == stem(other.id)
    }
}

/// The licence of an id of the Hub's or of SPDX's, in any case and with spaces for hyphens; none for others.
pub fn lookup(id: &str) -> Option<&'static Licence> {
    let mut key = id.trim().to_ascii_lowercase();
    if key.contains([' ', '_']) {
        key = key.split([' ', '_']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    }
    let key = match SPELLINGS.binary_search_by(|(spelling, _)| (*spelling).cmp(&key)) {
        Ok(at) => SPELLINGS[at].1,
        Err(_) => key.as_str(),
    };
    let find = |table: &'static [Licence]| {
        table.binary_search_by(|licence| licence.id.cmp(key)).ok().map(|at| &table[at])
    };
    find(LICENCES).or_else(|| find(SPDX))
}

/// An SPDX licence expression for any id: the SPDX id, else a `LicenseRef-` of its plain characters.
pub fn spdx_expression(id: &str) -> String {
    if let Some(spdx) = lookup(id).and_then(|licence| licence.spdx) {
        return spdx.to_owned();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let text: String = id.trim().chars().take(80).map(plain).collect();
    format!("LicenseRef-hf-{text}")
}

const fn exact(
    id: &'static str,
    spdx: &'static str,
    family: Family,
    obligations: &'static [Obligation],
) -> Licence {
    Licence { id, spdx: Some(spdx), approximate: false, family, obligations }
}

const fn near(
    id: &'static str,
    spdx: &'static str,
    family: Family,
    obligations: &'static [Obligation],
) -> Licence {
    Licence { id, spdx: Some(spdx), approximate: true, family, obligations }
}

const fn unlisted(id: &'static str, family: Family, obligations: &'static [Obligation]) -> Licence {
    Licence { id, spdx: None, approximate: false, family, obligations }
}

use Family::{Copyleft, Custom, NonCommercial as Nc, Permissive, Undetermined, UseRestricted};
use Obligation::{
    Attribution as By, NoDerivatives as Nd, NonCommercial, OwnTerms as Own, ShareAlike as Sa,
    UseLimits as Use,
};

/// Every id the Hub offers, sorted.
pub const LICENCES: &[Licence] = &[
    exact("afl-3.0", "AFL-3.0", Permissive, &[By]),
    near("agpl-3.0", "AGPL-3.0-only", Copyleft, &[By, Sa]),
    exact("apache-2.0", "Apache-2.0", Permissive, &[By]),
    unlisted("apple-amlr", Custom, &[Own]),
    unlisted("apple-ascl", Custom, &[Own]),
    exact("artistic-2.0", "Artistic-2.0", Permissive, &[By]),
    unlisted("bigcode-openrail-m", UseRestricted, &[By, Use]),
    unlisted("bigscience-bloom-rail-1.0", UseRestricted, &[By, Use]),
    unlisted("bigscience-openrail-m", UseRestricted, &[By, Use]),
    near("bsd", "BSD-3-Clause", Permissive, &[By]),
    exact("bsd-2-clause", "BSD-2-Clause", Permissive, &[By]),
    exact("bsd-3-clause", "BSD-3-Clause", Permissive, &[By]),
    exact("bsd-3-clause-clear", "BSD-3-Clause-Clear", Permissive, &[By]),
    exact("bsl-1.0", "BSL-1.0", Permissive, &[By]),
    exact("c-uda", "C-UDA-1.0", UseRestricted, &[By, Use]),
    unlisted("cc", Permissive, &[By]),
    exact("cc-by-2.0", "CC-BY-2.0", Permissive, &[By]),
    exact("cc-by-2.5", "CC-BY-2.5", Permissive, &[By]),
    exact("cc-by-3.0", "CC-BY-3.0", Permissive, &[By]),
    exact("cc-by-4.0", "CC-BY-4.0", Permissive, &[By]),
    exact("cc-by-nc-2.0", "CC-BY-NC-2.0", Nc, &[By, NonCommercial]),
    exact("cc-by-nc-3.0", "CC-BY-NC-3.0", Nc, &[By, NonCommercial]),
    exact("cc-by-nc-4.0", "CC-BY-NC-4.0", Nc, &[By, NonCommercial]),
    exact("cc-by-nc-nd-3.0", "CC-BY-NC-ND-3.0", Nc, &[By, NonCommercial, Nd]),
    exact("cc-by-nc-nd-4.0", "CC-BY-NC-ND-4.0", Nc, &[By, NonCommercial, Nd]),
    exact("cc-by-nc-sa-2.0", "CC-BY-NC-SA-2.0", Nc, &[By, Sa, NonCommercial]),
    exact("cc-by-nc-sa-3.0", "CC-BY-NC-SA-3.0", Nc, &[By, Sa, NonCommercial]),
    exact("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0", Nc, &[By, Sa, NonCommercial]),
    exact("cc-by-nd-4.0", "CC-BY-ND-4.0", Custom, &[By, Nd]),
    exact("cc-by-sa-3.0", "CC-BY-SA-3.0", Copyleft, &[By, Sa]),
    exact("cc-by-sa-4.0", "CC-BY-SA-4.0", Copyleft, &[By, Sa]),
    exact("cc0-1.0", "CC0-1.0", Permissive, &[]),
    exact("cdla-permissive-1.0", "CDLA-Permissive-1.0", Permissive, &[By]),
    exact("cdla-permissive-2.0", "CDLA-Permissive-2.0", Permissive, &[By]),
    exact("cdla-sharing-1.0", "CDLA-Sharing-1.0", Copyleft, &[By, Sa]),
    unlisted("creativeml-openrail-m", UseRestricted, &[By, Use]),
    unlisted("deepfloyd-if-license", Custom, &[NonCommercial, Own]),
    exact("ecl-2.0", "ECL-2.0", Permissive, &[By]),
    exact("epl-1.0", "EPL-1.0", Copyleft, &[By, Sa]),
    exact("epl-2.0", "EPL-2.0", Copyleft, &[By, Sa]),
    exact("etalab-2.0", "etalab-2.0", Permissive, &[By]),
    exact("eupl-1.1", "EUPL-1.1", Copyleft, &[By, Sa]),
    exact("eupl-1.2", "EUPL-1.2", Copyleft, &[By, Sa]),
    unlisted("fair-noncommercial-research-license", Nc, &[NonCommercial, Own]),
    unlisted("gemma", Custom, &[Use, Own]),
    near("gfdl", "GFDL-1.3-only", Copyleft, &[By, Sa]),
    near("gpl", "GPL-3.0-only", Copyleft, &[By, Sa]),
    near("gpl-2.0", "GPL-2.0-only", Copyleft, &[By, Sa]),
    near("gpl-3.0", "GPL-3.0-only", Copyleft, &[By, Sa]),
    unlisted("grok2-community", Custom, &[Use, Own]),
    unlisted("h-research", Nc, &[NonCommercial]),
    unlisted("intel-research", Nc, &[NonCommercial, Own]),
    exact("isc", "ISC", Permissive, &[By]),
    near("lgpl", "LGPL-3.0-only", Copyleft, &[By, Sa]),
    near("lgpl-2.1", "LGPL-2.1-only", Copyleft, &[By, Sa]),
    near("lgpl-3.0", "LGPL-3.0-only", Copyleft, &[By, Sa]),
    exact("lgpl-lr", "LGPLLR", Copyleft, &[By, Sa]),
    unlisted("llama2", Custom, &[By, Use, Own]),
    unlisted("llama3", Custom, &[By, Use, Own]),
    unlisted("llama3.1", Custom, &[By, Use, Own]),
    unlisted("llama3.2", Custom, &[By, Use, Own]),
    unlisted("llama3.3", Custom, &[By, Use, Own]),
    unlisted("llama4", Custom, &[By, Use, Own]),
    exact("lppl-1.3c", "LPPL-1.3c", Permissive, &[By]),
    exact("mit", "MIT", Permissive, &[By]),
    exact("mpl-2.0", "MPL-2.0", Copyleft, &[By, Sa]),
    exact("ms-pl", "MS-PL", Permissive, &[By]),
    exact("ncsa", "NCSA", Permissive, &[By]),
    exact("odbl", "ODbL-1.0", Copyleft, &[By, Sa]),
    exact("odc-by", "ODC-By-1.0", Permissive, &[By]),
    exact("ofl-1.1", "OFL-1.1", Copyleft, &[By, Sa]),
    exact("openmdw-1.0", "OpenMDW-1.0", Permissive, &[By]),
    unlisted("openmdw-1.1", Permissive, &[By]),
    unlisted("openrail", UseRestricted, &[By, Use]),
    unlisted("openrail++", UseRestricted, &[By, Use]),
    exact("osl-3.0", "OSL-3.0", Copyleft, &[By, Sa]),
    unlisted("other", Undetermined, &[]),
    exact("pddl", "PDDL-1.0", Permissive, &[]),
    exact("postgresql", "PostgreSQL", Permissive, &[By]),
    unlisted("unknown", Undetermined, &[]),
    exact("unlicense", "Unlicense", Permissive, &[]),
    exact("wtfpl", "WTFPL", Permissive, &[]),
    exact("zlib", "Zlib", Permissive, &[By]),
];

/// SPDX's ids of licences that the Hub offers under another id, in lower case, sorted.
const SPELLINGS: &[(&str, &str)] = &[
    ("agpl-3.0+", "agpl-3.0-or-later"),
    ("c-uda-1.0", "c-uda"),
    ("gpl-2.0+", "gpl-2.0-or-later"),
    ("gpl-3.0+", "gpl-3.0-or-later"),
    ("lgpl-2.1+", "lgpl-2.1-or-later"),
    ("lgpl-3.0+", "lgpl-3.0-or-later"),
    ("lgpllr", "lgpl-lr"),
    ("odbl-1.0", "odbl"),
    ("odc-by-1.0", "odc-by"),
    ("pddl-1.0", "pddl"),
];

/// Licences of SPDX's list that are met on models and that the Hub does not offer, sorted.
const SPDX: &[Licence] = &[
    exact("0bsd", "0BSD", Permissive, &[]),
    exact("agpl-3.0-only", "AGPL-3.0-only", Copyleft, &[By, Sa]),
    exact("agpl-3.0-or-later", "AGPL-3.0-or-later", Copyleft, &[By, Sa]),
    exact("apache-1.1", "Apache-1.1", Permissive, &[By]),
    exact("artistic-1.0", "Artistic-1.0", Permissive, &[By]),
    exact("blueoak-1.0.0", "BlueOak-1.0.0", Permissive, &[By]),
    exact("bsd-4-clause", "BSD-4-Clause", Permissive, &[By]),
    exact("busl-1.1", "BUSL-1.1", Custom, &[By, Use, Own]),
    exact("cc-by-1.0", "CC-BY-1.0", Permissive, &[By]),
    exact("cc-by-nc-1.0", "CC-BY-NC-1.0", Nc, &[By, NonCommercial]),
    exact("cc-by-nc-2.5", "CC-BY-NC-2.5", Nc, &[By, NonCommercial]),
    exact("cc-by-nc-nd-2.0", "CC-BY-NC-ND-2.0", Nc, &[By, NonCommercial, Nd]),
    exact("cc-by-nc-nd-2.5", "CC-BY-NC-ND-2.5", Nc, &[By, NonCommercial, Nd]),
    exact("cc-by-nc-sa-2.5", "CC-BY-NC-SA-2.5", Nc, &[By, Sa, NonCommercial]),
    exact("cc-by-nd-2.0", "CC-BY-ND-2.0", Custom, &[By, Nd]),
    exact("cc-by-nd-3.0", "CC-BY-ND-3.0", Custom, &[By, Nd]),
    exact("cc-by-sa-2.0", "CC-BY-SA-2.0", Copyleft, &[By, Sa]),
    exact("cc-by-sa-2.5", "CC-BY-SA-2.5", Copyleft, &[By, Sa]),
    exact("cddl-1.0", "CDDL-1.0", Copyleft, &[By, Sa]),
    exact("cddl-1.1", "CDDL-1.1", Copyleft, &[By, Sa]),
    exact("cecill-2.1", "CECILL-2.1", Copyleft, &[By, Sa]),
    exact("cecill-b", "CECILL-B", Permissive, &[By]),
    exact("cecill-c", "CECILL-C", Copyleft, &[By, Sa]),
    exact("gfdl-1.2-only", "GFDL-1.2-only", Copyleft, &[By, Sa]),
    exact("gfdl-1.2-or-later", "GFDL-1.2-or-later", Copyleft, &[By, Sa]),
    exact("gfdl-1.3-only", "GFDL-1.3-only", Copyleft, &[By, Sa]),
    exact("gfdl-1.3-or-later", "GFDL-1.3-or-later", Copyleft, &[By, Sa]),
    exact("gpl-2.0-only", "GPL-2.0-only", Copyleft, &[By, Sa]),
    exact("gpl-2.0-or-later", "GPL-2.0-or-later", Copyleft, &[By, Sa]),
    exact("gpl-3.0-only", "GPL-3.0-only", Copyleft, &[By, Sa]),
    exact("gpl-3.0-or-later", "GPL-3.0-or-later", Copyleft, &[By, Sa]),
    exact("hpnd", "HPND", Permissive, &[By]),
    exact("lgpl-2.0-only", "LGPL-2.0-only", Copyleft, &[By, Sa]),
    exact("lgpl-2.0-or-later", "LGPL-2.0-or-later", Copyleft, &[By, Sa]),
    exact("lgpl-2.1-only", "LGPL-2.1-only", Copyleft, &[By, Sa]),
    exact("lgpl-2.1-or-later", "LGPL-2.1-or-later", Copyleft, &[By, Sa]),
    exact("lgpl-3.0-only", "LGPL-3.0-only", Copyleft, &[By, Sa]),
    exact("lgpl-3.0-or-later", "LGPL-3.0-or-later", Copyleft, &[By, Sa]),
    exact("mit-0", "MIT-0", Permissive, &[]),
    exact("mpl-1.1", "MPL-1.1", Copyleft, &[By, Sa]),
    exact("ms-rl", "MS-RL", Copyleft, &[By, Sa]),
    exact("mulanpsl-2.0", "MulanPSL-2.0", Permissive, &[By]),
    exact("ogl-uk-3.0", "OGL-UK-3.0", Permissive, &[By]),
    exact("psf-2.0", "PSF-2.0", Permissive, &[By]),
    exact("python-2.0", "Python-2.0", Permissive, &[By]),
    exact("x11", "X11", Permissive, &[By]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sorted_and_found_in_any_case() {
        assert!([LICENCES, SPDX].iter().all(|table| table.windows(2).all(|pair| pair[0].id < pair[1].id)));
        assert!(SPELLINGS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for licence in LICENCES.iter().chain(SPDX) {
            assert_eq!(lookup(&licence.id.to_ascii_uppercase()), Some(licence));
        }
        assert_eq!(lookup("my-own-licence"), None);
    }

    #[test]
    fn an_spdx_id_is_known_as_the_hubs_is() {
        for licence in LICENCES.iter().chain(SPDX) {
            let Some(spdx) = licence.spdx else { continue };
            let found = lookup(spdx).unwrap_or_else(|| panic!("{spdx} is not known"));
            assert_eq!((found.spdx, found.family), (Some(spdx), licence.family));
        }
        assert!(SPELLINGS.iter().all(|(spelling, _)| lookup(spelling).is_some()));
        assert_eq!(spdx_expression("GPL-3.0-only"), "GPL-3.0-only");
        assert_eq!(spdx_expression("mit-0"), "MIT-0");
        assert_eq!(spdx_expression("Apache 2.0"), "Apache-2.0");
    }

    #[test]
    fn an_expression_has_spdx_case_or_is_a_reference() {
        assert_eq!(spdx_expression("apache-2.0"), "Apache-2.0");
        assert_eq!(spdx_expression("llama3.1"), "LicenseRef-hf-llama3.1");
        assert_eq!(spdx_expression("a b\"<c>"), "LicenseRef-hf-a-b--c-");
    }
}
