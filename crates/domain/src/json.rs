//! JSON as Python writes it, with bare `NaN`, `Infinity` and `-Infinity`, which JSON itself does not know; pointers into it.

use std::borrow::Cow;

/// Most characters of a key in a pointer.
const POINTED: usize = 60;

/// A key as a part of a JSON pointer (RFC 6901), cut to 60 characters.
pub fn pointed(key: &str) -> String {
    key.chars().take(POINTED).collect::<String>().replace('~', "~0").replace('/', "~1")
}

const TOKENS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];

/// The text with every such token outside a string replaced by `null`; nothing else changes.
pub fn without_bare_tokens(text: &str) -> Cow<'_, str> {
    if !TOKENS.iter().any(|token| text.contains(token)) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(at) = rest.find(['"', '\\', 'N', 'I', '-']) {
        let (before, here) = rest.split_at(at);
        clean.push_str(before);
        let token = TOKENS.into_iter().find(|token| !quoted && here.starts_with(token));
        let used = match (token, here.as_bytes()[0]) {
            (Some(token), _) => {
                clean.push_str("null");
                token.len()
            }
            (None, b'"') => {
                quoted = !quoted;
                clean.push('"');
                1
            }
            // What follows a backslash ends no string.
            (None, b'\\') => {
                let used = 1 + here[1..].chars().next().map_or(0, char::len_utf8);
                clean.push_str(&here[..used]);
                used
            }
            (None, byte) => {
                clean.push(char::from(byte));
                1
            }
        };
        rest = &here[used..];
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::without_bare_tokens;

    #[test]
    fn bare_tokens_become_null_and_strings_stay() {
        let text = r#"{"a": [NaN, -Infinity, Infinity, -1], "NaN": "\"Infinity\\", "é": NaN}"#;

        let clean = without_bare_tokens(text);

        assert_eq!(clean, r#"{"a": [null, null, null, -1], "NaN": "\"Infinity\\", "é": null}"#);
        assert_eq!(without_bare_tokens("\"NaN\\"), "\"NaN\\");
    }
}
