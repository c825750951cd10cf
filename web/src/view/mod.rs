//! What the pages show: plain data with a face, no storage and no analysis behind it.

mod about;
mod account;
mod advisory;
mod compare;
mod evidence;
mod families;
mod family;
mod faults;
mod file;
mod heritage;
mod job;
mod kinship;
mod lineage;
mod make;
mod model;
mod namespace;
mod narrowing;
mod path;
mod report;
mod revisions;
mod search;
mod sign_in;
mod trust;
mod way;
mod words;

pub use about::AboutPage;
pub use account::{AccountPage, Closure, RequestLine, TokenForm, TokenLine};
pub use advisory::{AdvisoryForm, AdvisoryNotice, AdvisoryPage, AdvisoryRow, AffectedRow, KINDS, SEVERITIES};
pub use compare::{
    ComparePage, Cut, FieldDiff, FileDiff, MOST_ROWS, Numbers, Sides, TensorDiff, ThreeWay, ThreeWayTensor,
    VocabularyDiff,
};
pub use evidence::{days, measured};
pub use families::{FamilyRow, HomePage, RecentRow};
pub use family::{
    AtlasPage, AtlasQuery, AtlasTile, ChildRow, ChildrenPage, ChildrenQuery, Family, FamilySlice,
};
pub(crate) use faults::{Faults, Field};
pub use file::{FileBody, FilePage, TensorLine};
pub use heritage::{LicenceConflict, LicenceHeritage, LicenceTension, VersionRow};
pub use job::{JobLink, JobPage, JobRow, JobState};
pub(crate) use kinship::told;
pub use kinship::{Cell, Join, KinshipPage, KinshipQuery, MeasureCard, Skipped, Strip, StripCell};
pub use lineage::{
    AncestorRow, ChildLink, FurtherParent, Growth, LineageNode, LineagePage, LineageQuery, RejectedEdge, Rest,
};
pub(crate) use lineage::{known_class, known_line};
pub use make::{
    DifferenceForm, MergeCheck, MethodCard, ParamField, Partner, Partners, RecipeForm, TransferCheck,
    TransferForm,
};
pub use model::{
    ChildGroup, CommitView, DecisionMark, DtypeRow, EvaluationRow, FileRow, ModelPage, ParentLink,
    RevisionView, VerdictMark, WeightChange,
};
pub use namespace::NamespacePage;
pub use narrowing::Narrowing;
pub(crate) use narrowing::side_label;
pub use path::{PathLine, PathLink, PathPage};
pub use report::{Bars, ReportAnswer, ReportBar, ReportCard, ReportCell, ReportPage, ReportSection};
pub use revisions::{Differing, NameList, RevisionsPage};
pub use search::{Counts, FACETS, FacetGroup, Found, SearchPage, SearchQuery, Sort};
pub(crate) use search::{facet_label, tensor_of};
pub(crate) use sign_in::SignIn;
pub use trust::{ContradictionRow, Contradictions, EdgeForm};
pub use way::Way;
pub use words::plural;
pub use words::{Bytes, Count, Fraction, LicenceClass, Name, Parameters, When};
pub(crate) use words::{bytes, count, encoded, heading, said, when};

/// A page that is either ready or being computed by a job.
#[derive(Debug, Clone)]
pub enum Answer<T> {
    /// The page.
    Ready(Box<T>),
    /// The job that computes it; the reader is sent there.
    Job(String),
}
