//! Licences: what the Hub's ids stand for, and whether a child keeps what its ancestors' licences ask. Indicative only.

mod path;
mod rules;
mod survey;
mod table;

pub use path::{Carried, Judged, LicencePath, Tension, licence_path};
pub use rules::{Judgement, Rule, Verdict, covering, judge};
pub use survey::{Conflict, LicenceSurvey, PairCount, VerdictCount, survey};
pub use table::{Family, LICENCES, Licence, Obligation, lookup, spdx_expression};
