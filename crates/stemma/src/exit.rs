//! Errors to stderr and exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 refused by limits or rights,
//! 6 unavailable.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use domain::{Class, Fault, Item};
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
    /// Arguments that do not go together.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", Class::Invalid, message)
    }

    /// What the parser of arguments says, for programs.
    pub fn of_arguments(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        // How the command is used follows behind an empty line; people are told, programs need the reason.
        let reason = text.split("\n\nUsage:").next().unwrap_or(text).trim();
        let named = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(name)) => vec![name.clone()],
            Some(ContextValue::Strings(names)) => names.clone(),
            _ => Vec::new(),
        };
        let message = reason.lines().next().unwrap_or_default().trim_end_matches(':');
        let items = named.into_iter().map(|name| Item {
            pointer: name.split(' ').next().unwrap_or_default().to_owned(),
            message: message.to_owned(),
        });
        Self { items: items.collect(), ..Self::usage(reason) }
    }

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
    ExitCode::from(number(failure))
}

fn number(failure: &Failure) -> u8 {
    match failure.class {
        _ if failure.code == "usage" => 2,
        Class::Invalid | Class::Damaged | Class::Internal => 1,
        Class::NotFound => 3,
        Class::Conflict => 4,
        Class::Forbidden | Class::TooLarge | Class::Unsupported => 5,
        Class::Unavailable | Class::TooMany | Class::Full => 6,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Cli;

    /// Every command without commands of its own, as it is typed.
    fn leaves(command: &clap::Command, path: &str) -> Vec<String> {
        let path = format!("{path} {}", command.get_name());
        match command.has_subcommands() {
            true => command.get_subcommands().flat_map(|inner| leaves(inner, &path)).collect(),
            false => vec![path],
        }
    }

    #[test]
    fn arguments_that_lack_or_are_too_many_have_a_code_for_programs_and_a_place() {
        let lines: Vec<String> = leaves(&Cli::command(), "");
        assert!(lines.len() > 40, "{lines:?}");
        for line in lines {
            let words = format!("{line} --json --no-such-option");
            let Err(error) = Cli::try_parse_from(words.split_whitespace()) else { panic!("{words}") };

            let failure = Failure::of_arguments(&error);

            assert_eq!((failure.code.as_str(), number(&failure)), ("usage", 2), "{words}");
            assert!(!failure.message.contains("Usage:") && !failure.items.is_empty(), "{words}: {failure:?}");
        }
        let error = Cli::try_parse_from(["stemma", "tree", "--json"]).unwrap_err();
        let failure = Failure::of_arguments(&error);
        assert_eq!(failure.items[0].pointer, "<ID>", "{failure:?}");
    }

    #[test]
    fn what_one_may_not_do_is_refused_and_no_conflict() {
        let number = |class| number(&Failure::new("any", class, ""));
        assert_eq!((number(Class::Forbidden), number(Class::TooLarge), number(Class::Conflict)), (5, 5, 4));
    }
}
