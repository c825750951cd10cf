//! What the API and the pages share at the HTTP edge: problem details, statuses, tags, origins.

mod etag;
mod origin;
mod problem;

pub use etag::{not_modified, strong_etag};
pub use origin::same_origin;
pub use problem::{Problem, Result, json_error_handler, query_error_handler, status_of};
