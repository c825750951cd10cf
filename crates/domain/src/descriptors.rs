//! Whether a failure is that too many files are open, which passes when others are closed.

use std::io;

/// `ENFILE` of the whole machine and `EMFILE` of this process.
const FULL: [i32; 2] = [23, 24];

/// Whether the system gives out no more descriptors for now.
pub fn out_of_descriptors(error: &io::Error) -> bool {
    // An error that names its file keeps what the system said in words only.
    let told = || {
        let text = error.to_string();
        FULL.iter().any(|code| text.ends_with(&format!("(os error {code})")))
    };
    error.raw_os_error().map_or_else(told, |code| FULL.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_open_files_are_told_from_other_failures_also_where_a_file_is_named() {
        let crowded = io::Error::from_raw_os_error(24);
        let named = io::Error::other(format!("failed to open file `x`: {crowded}"));

        assert!(out_of_descriptors(&crowded) && out_of_descriptors(&named));
        assert!(!out_of_descriptors(&io::Error::from_raw_os_error(2)));
    }
}
