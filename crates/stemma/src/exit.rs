//! Errors to stderr and exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 refused, 6 unavailable.

use std::process::ExitCode;

use domain::{Class, Fault};
use serde_json::json;

use crate::output::{Form, harmless};

/// Any failure of a command that carries a code.
#[derive(Debug)]
pub struct Failure {
    pub code: String,
    pub class: Class,
    pub message: String,
    pub items: Vec<domain::Item>,
}

impl<F: Fault> From<F> for Failure {
    fn from(fault: F) -> Self {
        Self {
            code: fault.code().to_owned(),
            class: fault.class(),
            message: fault.headline(),
            items: fault.items(),
        }
    }
}

impl Failure {
    /// A failure of the environment or the arguments.
    pub fn new(code: &str, class: Class, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), class, message: message.into(), items: Vec::new() }
    }
}

/// Prints the failure and gives its exit code.
pub fn report(failure: &Failure, form: Form) -> ExitCode {
    if form == Form::Json {
        let errors: Vec<_> =
            failure.items.iter().map(|i| json!({ "pointer": i.pointer, "message": i.message })).collect();
        eprintln!("{}", json!({ "code": failure.code, "detail": failure.message, "errors": errors }));
    } else {
        eprintln!("error[{}]: {}", failure.code, harmless(&failure.message));
        // One fault is the message itself.
        for item in failure.items.iter().filter(|_| failure.items.len() > 1) {
            let place = if item.pointer.is_empty() { String::new() } else { format!("{}: ", item.pointer) };
            eprintln!("  {}{}", harmless(&place), harmless(&item.message));
        }
    }
    ExitCode::from(match failure.class {
        Class::Invalid | Class::Damaged | Class::Internal => 1,
        Class::NotFound => 3,
        Class::Forbidden | Class::Conflict => 4,
        Class::TooLarge | Class::Unsupported => 5,
        Class::Unavailable | Class::TooMany | Class::Full => 6,
    })
}
