//! Licences: whether a child keeps what its ancestors' licences ask. Indicative only.

mod path;
mod rules;
mod survey;

pub use domain::licence::{Family, LICENCES, Licence, Obligation, lookup, spdx_expression};
pub use path::{Carried, Judged, LicencePath, Tension, licence_path};
pub use rules::{Judgement, Rule, Verdict, covering, judge};
pub use survey::{Conflict, LicenceSurvey, PairCount, VerdictCount, survey};
