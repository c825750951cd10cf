//! How a tokenizer cuts numbers: models whose numbers are cut differently cannot calculate with each other's tokens.

use serde_json::Value;
use weights::Tokenizer;

use super::bytes::{Alphabet, found};

/// Most digits that one token holds.
pub(super) fn grouping(tokenizer: &Tokenizer) -> usize {
    let document = tokenizer.document();
    let alphabet = Alphabet::of(document);
    let longest = tokenizer
        .vocabulary()
        .tokens()
        .filter_map(|(token, _)| {
            let bytes = alphabet.bytes(token);
            let digits = bytes.strip_prefix(b" ").unwrap_or(&bytes);
            (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some(digits.len())
        })
        .max();
    longest.unwrap_or(1).min(cut(&document["pre_tokenizer"]).unwrap_or(usize::MAX))
}

/// Most digits that reach the model together; none when numbers are not cut before it.
fn cut(pre_tokenizer: &Value) -> Option<usize> {
    let single = |node: &Value| node["type"] == "Digits" && node["individual_digits"] == true;
    if found(pre_tokenizer, &single) {
        return Some(1);
    }
    let pattern = |wanted: &dyn Fn(&str) -> bool| {
        found(pre_tokenizer, &|node| node["Regex"].as_str().is_some_and(wanted))
    };
    if pattern(&|regex| regex.contains(r"\p{N}{1,3}") || regex.contains(r"\d{1,3}")) {
        return Some(3);
    }
    let many = pattern(&|regex| regex.contains(r"\p{N}+") || regex.contains(r"\d+"));
    let one = pattern(&|regex| regex.contains(r"\p{N}|") || regex.contains(r"\d|"));
    (one && !many).then_some(1)
}

#[cfg(test)]
mod tests {
    use domain::Limits;
    use serde_json::json;

    use super::*;

    fn of(pre_tokenizer: Value) -> usize {
        let document = json!({
            "pre_tokenizer": pre_tokenizer,
            "model": {"type": "BPE", "merges": [], "vocab": {"1": 0, "12": 1, "1234": 2, "a1": 3}},
        });
        grouping(&Tokenizer::parse(document.to_string().as_bytes(), &Limits::default()).unwrap())
    }

    #[test]
    fn digits_are_cut_by_the_pre_tokenizer_or_by_the_longest_token() {
        let split = |regex: &str| json!({"type": "Split", "pattern": {"Regex": regex}});

        assert_eq!(of(Value::Null), 4);
        assert_eq!(of(json!({"type": "Digits", "individual_digits": true})), 1);
        assert_eq!(of(split(r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+")), 3);
        assert_eq!(of(split(r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+")), 1);
        assert_eq!(of(split(r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+")), 4);
    }
}
