//! The words every room shares: ids, digests, relations, evidence, metadata, limits, error classes.
//!
//! Knows no I/O and no framework.

mod access;
pub mod address;
mod descriptors;
mod device;
mod digest;
mod evidence;
mod fault;
pub mod files;
mod fixed;
mod id;
mod inspection;
pub mod json;
mod known;
pub mod licence;
mod limits;
mod metadata;
mod path;
mod spelling;

pub use access::{ANYBODY, Act, Gating, Refusal, Role, TOKEN_MARK, Thing, Viewer};
pub use descriptors::out_of_descriptors;
pub use device::Used;
pub use digest::{BadDigest, Digest};
pub use evidence::{Claim, EdgeStatus, Evidence, Part, Relation, Source};
pub use fault::{Class, Fault, Item, headline};
pub use fixed::{FIXED, Fixed};
pub use id::{BadRepoId, RESERVED, RepoId};
pub use inspection::{Uninspected, may_be_text};
pub use known::{Known, Told, days_between};
pub use licence::LicenceClass;
pub use limits::{Limits, RATE_SECONDS};
pub use metadata::{DeclaredParent, Metadata, Note, shown_licence};
pub use path::{BadPath, RelativePath, printable};
pub use spelling::{alike, distance, is_commit, nearest};
