//! The `stemma` program: command line, configuration, telemetry, wiring.

mod cli;
mod commands;
mod config;
mod connections;
mod demo;
mod environment;
mod exit;
mod output;
mod serve;
mod site;
mod wiring;

use std::process::ExitCode;

use clap::{
    Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// The C library's allocator is a third of an import's time, and keeps what a report took for good.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if error.kind() == ErrorKind::UnknownArgument
                && std::env::args_os().any(|word| word == "merge")
                && let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg)
                && let Some(told) = cli::explained(option)
            {
                let told = format!("`{option}` of mergekit-yaml is not an option here: {told}");
                if asks_for_json() {
                    return exit::report(&exit::Failure::usage(told), output::Form::Json);
                }
                eprintln!("error: {told}");
                return ExitCode::from(2);
            }
            if error.use_stderr() && asks_for_json() {
                return exit::report(&exit::Failure::of_arguments(&error), output::Form::Json);
            }
            error.exit();
        }
    };
    let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("stemma: the async runtime cannot start: {error}");
            return ExitCode::from(1);
        }
    };
    for (name, meant) in environment::slips(names.iter().filter_map(|name| name.to_str())) {
        eprintln!("warning: the environment variable {name} is not used; did you mean {meant}?");
    }
    let form = if cli.json { output::Form::Json } else { output::Form::Text };
    let outcome = runtime.block_on(commands::run(cli)).and_then(|()| output::written());
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error, form),
    }
}

/// Whether answers are to be JSON, before the arguments could be read.
fn asks_for_json() -> bool {
    std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json")
}
