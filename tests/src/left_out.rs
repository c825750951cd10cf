//! Checks that cannot be made where something is missing.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    io::Write as _,
    sync::{Mutex, PoisonError},
};

/// What the environment variable `name` names; none where it is not set or empty, with a word that `what` is left out.
pub fn named(name: &str, what: &str) -> Option<OsString> {
    let found = env::var_os(name).filter(|value| !value.is_empty());
    if found.is_none() {
        left_out(&format!("{what}: {name} is not set; scripts/test sees to it"));
    }
    found
}

/// Says once in a process that a check is left out; `eprintln!` would be kept back with what a test that passes prints.
pub fn left_out(what: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned()) {
        let _ = writeln!(std::io::stderr(), "LEFT OUT: {what}");
    }
}
