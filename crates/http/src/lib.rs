//! What the API and the pages share at the HTTP edge: problem details, statuses, tags, origins.

mod address;
mod attachment;
mod caching;
mod codes;
mod compress;
mod entrance;
mod etag;
mod gate;
mod head;
pub mod hub_path;
mod names;
mod origin;
mod pace;
mod precondition;
mod problem;
mod rate;
mod readers;
mod request_id;

pub use address::{PublicUrl, address};
pub use attachment::attachment;
pub use caching::limit_caches;
pub use codes::{CODES, Code};
pub use compress::{Effort, compress_pages, gzip, reads_gzip};
pub use entrance::{Lack, place, way_in, whence};
pub use etag::{State, not_modified, strong_etag, tag_answers};
pub use gate::{
    Door, Doors, Gate, authorise, bad_token, bearer, lack, person, session, session_cookie, upload_key,
    viewer,
};
pub use head::{answer_head, asked_by_head};
pub use names::may_be_a_model;
pub use origin::{refuse_cross_site, same_origin};
pub use pace::{Pace, keep_pace};
pub use precondition::Precondition;
pub use problem::{
    MOST_FAULTS, Problem, ProblemItem, Result, body_problem, json_error_handler, logged, path_error_handler,
    query_error_handler, status_of,
};
pub use rate::{Rates, limit_rates};
pub use readers::hurry_readers;
pub use request_id::identify;
