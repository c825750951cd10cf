//! The small JSON files of a repository.

use serde_json::Value;

use crate::Error;

/// What a file says; `name` tells which one it is.
///
/// # Errors
/// [`Error::Invalid`] for a text that is no JSON, names a field twice or is nested too deeply.
pub(crate) fn parsed(text: &str, name: &str) -> Result<Value, Error> {
    weights::config_document(text).map_err(|error| Error::Invalid(format!("{name}: {error}")))
}

#[cfg(test)]
mod tests {
    use domain::files;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_python_writes_for_a_number_that_is_none_stops_no_reader() {
        let read = parsed(r#"{"rope_scaling": {"factor": Infinity}}"#, files::CONFIG).unwrap();

        assert_eq!(read, json!({ "rope_scaling": { "factor": null } }));
        let told = parsed("{", files::CONFIG).unwrap_err().to_string();
        assert!(told.starts_with("config.json: "), "{told}");
    }
}
