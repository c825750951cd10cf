//! Everything that takes a while: ingest, dumps, merges, transfers, diffs, and the queue that runs them.
//!
//! Knows no HTTP. A job can run twice and publishes once: results go out under the fence of its claim.

mod adapter;
mod adapters;
mod advisories;
mod ancestor;
mod applied;
mod artefact;
mod asking;
mod cancel;
mod catalogue;
mod comparable;
mod compared;
mod contents;
mod counted;
mod devices;
mod documents;
mod doubts;
mod dump;
mod error;
mod evaluations;
mod faults;
mod find;
mod forecast;
mod foreseen;
mod forests;
mod fsck;
mod glimpse;
mod holding;
mod ingest;
mod inherit;
mod kinds;
mod licences;
mod live;
mod local;
mod manifest;
mod measure;
mod member;
mod meter;
mod mirror;
mod notes;
mod operand;
mod output;
mod parentage;
mod pedigrees;
mod people;
mod pinned;
mod planned;
mod prefix;
mod provenance;
mod published;
mod pull;
mod push;
mod recover;
mod recycled;
mod refetch;
mod registry;
mod relatives;
mod remote;
mod repeated;
mod reports;
mod resketch;
mod retry;
mod revisions;
mod rights;
mod searches;
mod shapes;
mod sketches;
mod sparql;
mod stages;
mod strangers;
mod streamed;
mod submit;
mod suggest;
mod taken;
#[cfg(test)]
mod testing;
mod tokens;
mod transfers;
mod transplants;
mod trust;
mod turns;
mod unified;
mod versions;
mod vocabulary;
mod watch;
mod watched;
mod wording;
mod worker;
mod workplace;

pub use adapters::{Adapter, BakePlan, ExtractForecast, ExtractPlan, extract, plan_bake, plan_extract};
pub use advisories::{
    Affected, AffectedModel, Descent, Filing, Threat, Threats, advised, advisories, advisories_of, advisory,
    affected, file_advisory, warned, withdraw_advisory,
};
pub use ancestor::{common_ancestor, lacking_base};
pub use applied::{AppliedForecast, AppliedPlan, plan_apply, plan_stored_transfer};
pub use artefact::{DiffFile, DiffForm, Form, write_diff};
pub use cancel::{cancel, may_cancel};
pub use catalogue::Catalogue;
pub use comparable::comparable;
pub use compared::{Compared, compare};
pub use counted::ReadSoFar;
pub use devices::{Devices, Found};
pub use dump::{DumpReport, Noted, SkippedRow, import_dump};
pub use error::Error;
pub use evaluations::{eval_results, evaluations, front_matter, front_matters};
pub use faults::{beside, refused};
pub use find::{FindQuery, Finds, after_kin, find, kin_cursor, near_names, typeahead};
pub use forecast::Forecast;
pub use foreseen::{Foreseen, foreseen};
pub use forests::Forests;
pub use fsck::{Damage, Fsck, LeftOver, Place, fsck};
pub use holding::{Holders, holders};
pub use hub::metadata::{AutoClass, auto_class};
pub use hub::{Evaluation, Repository as Coming};
pub use ingest::{Gathered, Incoming, Made, UNREAD, ingest_files, ingest_folder, ingest_made};
pub use kinds::{
    ApplyPayload, Asked, BakePayload, DiffPayload, ExtractPayload, KINDS, Kind, MergePayload, StoredPayload,
    TransferPayload, TransplantPayload,
};
pub use manifest::{FolderManifest, FolderManifestFile, Manifest, manifest, manifest_in};
pub use measure::{KinshipQuery, Reading, kinship};
pub use meter::paced;
pub use mirror::{Mirror, Mirrored, Take, mirror, submit_mirror};
pub use notes::{newest_version, notes};
pub use operand::{Access, Operand, Pin, open_operand};
pub use output::{Derived, Extras, persist, workplace_of, write_folder};
pub use parentage::{Examined, examine, examine_all, examine_import};
pub use pedigrees::{licence_of, pedigree};
pub use people::{
    NewToken, Standing, account_name, add_user, ask_access, create_organisation, create_token, decide_access,
    members, open_session, organisations, own_tokens, remove_account, remove_member, revoke_own, set_member,
    somebody, standing, users,
};
pub use provenance::provenance_in;
pub use pull::{Pulled, Pulls, pull};
pub use push::{Change, Push, card_notes, create_repository, push};
pub use recover::{LeftOut, Recovered, recover};
pub use recycled::tuned_from;
pub use registry::{Pulling, Registry};
pub use relatives::{Relatives, RelativesQuery, RelativesReport, WeightRelative, relatives};
pub use repeated::made_before;
pub use reports::{Report, Reports, Subject, Table, report, report_at_hand};
pub use retry::{can_retry, retry};
pub use revisions::{RevisionDiff, compare_revisions, record_of};
pub use searches::{
    Ending, Pending, SearchReport, create_search, create_search_from, end_search, merge_candidate,
    search_report, tell,
};
pub use shapes::stored_header;
pub use sparql::{Answer, AnswerForm, Rows, sparql};
pub use stages::plan_read;
pub use streamed::{Streamed, stream_merge};
pub use submit::{DiffForecast, MergePlan, Needs, plan_config, plan_diff, plan_merge, submit, with_output};
pub use suggest::{CAVEAT, SuggestQuery, Suggestion, Suggestions, mates, suggest};
pub use tokens::MovedTokens;
pub use transfers::{TransferPlan, check_transfer, plan_transfer};
pub use transplants::{TransplantPlan, plan_transplant, solve_transplant};
pub use trust::{Contradiction, Ground, Ruling, contradicted, contradictions, mark_known, rule};
pub use unified::{Members, open_members, write_unified};
pub use versions::{Versions, version_step, versions};
pub use watch::{WatchPayload, changed_models, unwatch, watch};
pub use wording::{Wording, wording};
pub use worker::{COMPUTES_ON, Pulse, run_worker};
pub use workplace::Workplace;
