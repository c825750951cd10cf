//! `license: other`, which says which one by a name and a link beside it.

use domain::Note;
use serde_json::{Map, Value};

use super::{fields::Fields, note};

/// What stands beside `license: other`.
pub struct Other {
    name: Option<String>,
    link: Option<String>,
}

/// What front matter that says `license: other` has beside it; none for any other licence.
pub fn says(front: &Map<String, Value>) -> Option<Other> {
    let fields = Fields(front);
    let first = fields.strings(&["license"]).into_iter().next()?;
    first
        .trim()
        .eq_ignore_ascii_case("other")
        .then(|| Other { name: fields.owned(&["license_name"]), link: fields.owned(&["license_link"]) })
}

/// A note on what is missing: readers cannot tell what such a licence allows.
pub fn fault(other: &Other) -> Option<Note> {
    let missing = match (&other.name, &other.link) {
        (Some(_), Some(_)) => return None,
        (None, None) => "`license_name` and `license_link`",
        (None, Some(_)) => "`license_name`",
        (Some(_), None) => "`license_link`",
    };
    Some(note("license_unnamed", format!("the card says `license: other` without {missing}")))
}
