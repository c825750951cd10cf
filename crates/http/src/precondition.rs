//! What a write asks to find: the state that `If-Match` names, or nothing at all.

use actix_web::{
    HttpRequest,
    http::{
        StatusCode,
        header::{HeaderName, IF_MATCH, IF_NONE_MATCH},
    },
};

use crate::{Problem, Result};

/// The condition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// There is none.
    Free,
    /// Something is there (`If-Match: *`).
    Exists,
    /// One of these states is there (`If-Match: "…"`).
    Is(Vec<String>),
    /// Nothing is there (`If-None-Match: *`).
    Absent,
}

impl Precondition {
    /// Reads it; of an entity tag the state that it begins with counts, see [`crate::State`].
    ///
    /// # Errors
    /// 400 for `If-None-Match` with anything but `*`, which says nothing about a write.
    pub fn of(request: &HttpRequest) -> Result<Self> {
        let text = |name: HeaderName| {
            let values = request.headers().get_all(name).filter_map(|value| value.to_str().ok());
            values.map(str::trim).collect::<Vec<_>>().join(",")
        };
        match (text(IF_MATCH).as_str(), text(IF_NONE_MATCH).as_str()) {
            ("", "") => Ok(Self::Free),
            ("*", _) => Ok(Self::Exists),
            ("", "*") => Ok(Self::Absent),
            ("", _) => {
                Err(Problem::bad_request("`If-None-Match` of a write is `*`, for what is not there yet"))
            }
            (tags, _) => Ok(Self::Is(tags.split(',').filter_map(state).collect())),
        }
    }

    /// The refusal of a write whose condition does not hold.
    pub fn failed(what: &str) -> Problem {
        let told = format!("{what}; look at it and send the request again, or without its condition");
        Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", told)
    }
}

/// The state that a strong tag begins with; a weak one says of no state that it is the same.
fn state(tag: &str) -> Option<String> {
    let tag = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some(tag.split('.').next().unwrap_or(tag).to_owned())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn read(headers: &[(&'static str, &'static str)]) -> Result<Precondition> {
        let request = headers.iter().fold(TestRequest::post(), |request, one| request.append_header(*one));
        Precondition::of(&request.to_http_request())
    }

    #[test]
    fn a_condition_is_a_state_something_or_nothing() {
        let is = |states: &[&str]| Precondition::Is(states.iter().map(|&state| state.to_owned()).collect());

        assert_eq!(read(&[]).unwrap(), Precondition::Free);
        assert_eq!(read(&[("if-match", "*")]).unwrap(), Precondition::Exists);
        assert_eq!(read(&[("if-none-match", "*")]).unwrap(), Precondition::Absent);
        assert_eq!(read(&[("if-match", "\"ab.cd\", \"ef\", W/\"gh\"")]).unwrap(), is(&["ab", "ef"]));
        assert_eq!(read(&[("if-match", "W/\"gh\"")]).unwrap(), is(&[]), "which nothing fulfils");
        assert_eq!(read(&[("if-none-match", "\"ab\"")]).unwrap_err().status, 400);
    }
}
