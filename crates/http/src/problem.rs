//! RFC 9457 problem details: the one place where an error becomes an HTTP status.

use std::fmt;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    error::{JsonPayloadError, PathError, QueryPayloadError},
    http::{StatusCode, header},
};
use domain::{Class, Fault, Item};
use serde::Serialize;
use utoipa::ToSchema;

use crate::request_id;

/// The code of a refusal that the Hub's clients tell from others.
const GATED: &str = "gated";
/// The code of a place in a list that is none; it comes in the parameter of that name.
const BAD_CURSOR: &str = "bad_cursor";

/// Most faults of one request that are told; what comes after them is not looked at.
pub const MOST_FAULTS: usize = 100;

/// After how many seconds somebody who was put off may ask again.
const RETRY_SECONDS: u64 = 5;

/// Handlers answer this.
pub type Result<T> = std::result::Result<T, Problem>;

/// One of several faults found at once.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProblemItem {
    /// Where in what was sent: a JSON pointer into the body, a file or a tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The parameter of the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What was wrong and what would be right.
    pub message: String,
}

impl From<Item> for ProblemItem {
    fn from(item: Item) -> Self {
        Self { pointer: Some(item.pointer), parameter: None, message: item.message }
    }
}

/// `application/problem+json` body.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Documentation of the code.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// What was wrong, where, what would be right.
    pub detail: String,
    /// Stable code.
    pub code: String,
    /// Id of the request, also in `x-request-id` and, where something failed here, in the log.
    pub instance: String,
    /// Every fault, when several were found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemItem>,
    /// What the Hub's clients read from headers.
    #[serde(skip)]
    pub hub: Option<Box<HubMarks>>,
}

/// Headers by which the Hub's clients tell kinds of errors apart.
#[derive(Debug, Clone)]
pub struct HubMarks {
    /// `X-Error-Code`.
    pub code: &'static str,
    /// `X-Repo-Commit`, where a miss may be remembered for that commit.
    pub commit: Option<String>,
}

/// The status of a class of failures.
pub const fn status_of(class: Class) -> StatusCode {
    match class {
        Class::Invalid | Class::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
        Class::NotFound => StatusCode::NOT_FOUND,
        Class::Forbidden => StatusCode::FORBIDDEN,
        Class::Conflict => StatusCode::CONFLICT,
        Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Class::Full => StatusCode::INSUFFICIENT_STORAGE,
        Class::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Class::Damaged => StatusCode::BAD_GATEWAY,
        Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Writes a fault of our own to the log and gives the id it stands under.
pub fn logged(fault: &impl fmt::Display) -> String {
    let instance = request_id::current();
    tracing::error!("internal error {instance}: {fault}");
    instance
}

impl Problem {
    /// A problem with a status and code of its own.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/docs/errors#{code}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            instance: request_id::current(),
            errors: Vec::new(),
            hub: None,
        }
    }

    /// The same with the Hub's code for it.
    #[must_use]
    pub fn for_hub(mut self, code: &'static str, commit: Option<&str>) -> Self {
        self.hub = Some(Box::new(HubMarks { code, commit: commit.map(str::to_owned) }));
        self
    }

    /// 404 for a named thing.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("{what} does not exist in this registry"))
    }

    /// 400 for a request that cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 400 listing every fault of what was sent.
    pub fn misread(items: Vec<Item>) -> Self {
        let detail = match items.as_slice() {
            [Item { pointer, message }] => format!("the body cannot be read: {pointer}: {message}"),
            several => format!("the body has {}", number(several)),
        };
        Self::bad_request(detail).listing(told(items))
    }

    /// 400 listing every fault of the parameters of an address; each item's pointer is the name of one.
    pub fn misasked(items: Vec<Item>) -> Self {
        let detail = match items.as_slice() {
            [Item { message, .. }] => format!("the query string cannot be read: {message}"),
            several => format!("the query string has {}", number(several)),
        };
        Self::bad_request(detail).listing(told(items)).of_parameters()
    }

    /// The same with its faults in parameters of the address, where they were said to be at a pointer.
    #[must_use]
    pub fn of_parameters(mut self) -> Self {
        for item in &mut self.errors {
            item.parameter = item.pointer.take();
        }
        self
    }

    /// The same with 400, which the Hub's clients expect of a request that cannot be read.
    #[must_use]
    pub fn as_misread(mut self) -> Self {
        let status = StatusCode::BAD_REQUEST;
        self.status = status.as_u16();
        self.title = status.canonical_reason().unwrap_or("Error").to_owned();
        self
    }

    /// 422 listing every fault.
    pub fn faults(code: &str, detail: impl Into<String>, items: Vec<Item>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail).listing(items)
    }

    /// The same with every fault in its list.
    #[must_use]
    pub fn listing(mut self, items: Vec<Item>) -> Self {
        self.errors = items.into_iter().map(ProblemItem::from).collect();
        self
    }
}

/// How many faults there are, as far as they were looked for.
fn number(items: &[Item]) -> String {
    match items.len() {
        count if count > MOST_FAULTS => {
            format!("over {MOST_FAULTS} faults; the first {MOST_FAULTS} are listed")
        }
        count => format!("{count} faults"),
    }
}

fn told(mut items: Vec<Item>) -> Vec<Item> {
    items.truncate(MOST_FAULTS);
    items
}

impl<F: Fault> From<F> for Problem {
    fn from(fault: F) -> Self {
        let status = status_of(fault.class());
        let mut problem = Self::new(status, fault.code(), fault.headline()).listing(fault.items());
        if fault.code() == GATED {
            problem = problem.for_hub("GatedRepo", None);
        }
        if fault.code() == BAD_CURSOR {
            let item = Item { pointer: "cursor".to_owned(), message: problem.detail.clone() };
            problem = problem.listing(vec![item]).of_parameters();
        }
        if fault.class() == Class::Internal {
            problem.instance = logged(&fault);
            problem.detail = format!("something went wrong here; the log has it under {}", problem.instance);
        }
        problem
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut body = serde_json::to_value(self).unwrap_or_default();
        if let Some(members) = body.as_object_mut() {
            // The Hub's clients read this name.
            members.insert("error".to_owned(), self.detail.clone().into());
        }
        let line: String = self
            .detail
            .chars()
            .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
            .take(1_000)
            .collect();
        let mut answer = HttpResponse::build(self.status_code());
        answer
            .insert_header((header::CONTENT_TYPE, "application/problem+json"))
            .insert_header(("x-error-message", line))
            .insert_header(("x-request-id", self.instance.as_str()));
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&self.status_code()) {
            answer.insert_header((header::RETRY_AFTER, RETRY_SECONDS));
        }
        if let Some(marks) = &self.hub {
            answer.insert_header(("x-error-code", marks.code));
            if let Some(commit) = &marks.commit {
                answer.insert_header(("x-repo-commit", commit.as_str()));
            }
        }
        answer.body(body.to_string())
    }
}

/// Turns actix's JSON body errors into problems.
pub fn json_error_handler(error: JsonPayloadError, _: &HttpRequest) -> actix_web::Error {
    let problem = match &error {
        JsonPayloadError::Overflow { limit } | JsonPayloadError::OverflowKnownLength { limit, .. } => {
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("the JSON body is over {limit} bytes"),
            )
        }
        JsonPayloadError::ContentType => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send the body with Content-Type: application/json",
        ),
        JsonPayloadError::Deserialize(error) => {
            let told = error.to_string().replace("invalid type: ", "it is ");
            Problem::bad_request(format!("the JSON body cannot be read: {told}"))
        }
        other => Problem::bad_request(format!("the JSON body cannot be read: {other}")),
    };
    problem.into()
}

/// What is wrong with a body of bytes or of text, such as one over `limit` bytes.
pub fn body_problem(error: &actix_web::Error, limit: usize) -> Problem {
    match error.as_response_error().status_code() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let told = format!("the body is over {limit} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", told)
        }
        _ => Problem::bad_request(format!("the body cannot be read: {error}")),
    }
}

/// Turns a part of an address that is not what stands there, such as a number, into a problem.
pub fn path_error_handler(_: PathError, request: &HttpRequest) -> actix_web::Error {
    let address: String = request.path().chars().take(200).collect();
    Problem::not_found(format!("`{address}`")).into()
}

/// Turns actix's query string errors into problems.
pub fn query_error_handler(error: QueryPayloadError, _: &HttpRequest) -> actix_web::Error {
    Problem::bad_request(format!("the query string cannot be read: {error}")).into()
}
