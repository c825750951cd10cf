//! Texts as they stand in addresses: percent-encoded, but for letters, digits and `-._~` (RFC 3986, 2.3).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &SEGMENT.remove(b'/');

/// One segment of a path, or a value of a query.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A path: what is between its slashes is encoded.
pub fn path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_path_or_a_value_is_encoded() {
        assert_eq!(segment("a#b ?é/c.txt"), "a%23b%20%3F%C3%A9%2Fc.txt");
        assert_eq!(path("a#b ?/c-_~.txt"), "a%23b%20%3F/c-_~.txt");
    }
}
