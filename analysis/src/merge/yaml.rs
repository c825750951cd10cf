//! What is wrong with a text that is not YAML, in the words of this registry.

/// What the reader calls faults that have nothing to do with how YAML is written, and what they are.
const WORDS: [(&str, &str); 4] = [
    ("non-finite float", "a number is not finite; write a finite one instead of `.nan` or `.inf`"),
    ("duplicate mapping key", "a mapping holds the same key twice; write it once"),
    (
        "budget breached",
        "the text holds more values, aliases or levels than are read; a recipe is far smaller",
    ),
    ("recursion", "the text is nested too deep"),
];

/// The fault and where it is; lines and columns begin with 1.
pub fn told(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let Some((_, word)) = WORDS.iter().find(|(theirs, _)| text.contains(theirs)) else { return text };
    match error.location().filter(|place| place.line() > 0) {
        Some(place) => format!("line {}, column {}: {word}", place.line(), place.column()),
        None => (*word).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::told;

    #[test]
    fn faults_that_the_reader_names_after_its_settings_are_told_in_other_words() {
        let fault = |text: &str| told(&serde_saphyr::from_str::<Value>(text).unwrap_err());
        let many = format!("[{}]", "1,".repeat(260_000));

        let infinite = fault("a: 1\nb: .nan\n");
        assert!(infinite.contains("not finite") && infinite.starts_with("line 2"), "{infinite}");
        assert!(fault("a: 1\na: 2\n").contains("same key twice"));
        assert!(fault(&many).contains("more values"), "{}", fault(&many));
        for text in [infinite, fault("a: 1\na: 2\n"), fault(&many)] {
            assert!(!["policy", "Options", "budget"].iter().any(|word| text.contains(word)), "{text}");
        }
    }
}
