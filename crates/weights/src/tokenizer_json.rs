//! A whole `tokenizer.json`: kept as the document it is, and grown by the tokens of others.

use std::collections::HashSet;

use domain::Limits;
use serde_json::{Map, Value, json};

use crate::{Result, Vocabulary, json};

/// A `tokenizer.json` with its tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokenizer {
    document: Value,
    vocabulary: Vocabulary,
}

/// Why tokens cannot be added to a tokenizer, with what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CannotGrow(String);

impl Tokenizer {
    /// Reads a `tokenizer.json`, strictly.
    ///
    /// # Errors
    /// As [`Vocabulary::tokenizer_json`], and `too_deep`.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let vocabulary = Vocabulary::tokenizer_json(bytes, limits)?;
        let document = json::config(bytes, "tokenizer.json", limits.tokenizer_bytes)?;
        Ok(Self { document, vocabulary })
    }

    /// Its tokens with their rows, added ones among them.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The document as JSON.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// `BPE`, `Unigram`, `WordPiece` or `WordLevel`; older files do not name it.
    pub fn kind(&self) -> &str {
        let model = &self.document["model"];
        match (model["type"].as_str(), &model["vocab"]) {
            (Some(kind), _) => kind,
            (None, Value::Array(_)) => "Unigram",
            (None, _) if model.get("merges").is_some() => "BPE",
            (None, _) if model.get("max_input_chars_per_word").is_some() => "WordPiece",
            (None, _) => "WordLevel",
        }
    }

    /// The tokens that are cut out of a text before the model sees it.
    pub fn added(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.document["added_tokens"].as_array().into_iter().flatten().filter_map(Value::as_object)
    }

    fn added_texts(&self) -> HashSet<&str> {
        self.added().filter_map(|token| token["content"].as_str()).collect()
    }

    /// This tokenizer with every token of `others` that it lacks: ordinary ones in their order, so that the model
    /// produces them (with the merge rules that lead to them, with their scores), then added ones as the first
    /// tokenizer that has them defines them, then `texts` as added tokens. Its own tokens keep their rows.
    ///
    /// # Errors
    /// [`CannotGrow`] when the kinds differ or rows would have to move.
    pub fn grown(&self, others: &[&Self], texts: &[&str]) -> Result<Self, CannotGrow> {
        let mut growth = Growth::of(self);
        for other in others {
            growth.ordinary(other)?;
        }
        growth.rules(others);
        for token in others.iter().flat_map(|other| other.added()) {
            growth.added(token)?;
        }
        for text in texts {
            if growth.vocabulary.row(text).is_some() {
                continue;
            }
            let plain = json!({
                "id": 0, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": false,
            });
            plain.as_object().map_or(Ok(()), |token| growth.added(token))?;
        }
        Ok(growth.finish())
    }
}

impl Tokenizer {
    /// This tokenizer without the tokens of row `rows` and later ones, and without the merge rules that lead to them. None
    /// where its model is not BPE, or what it does after the model names such a token.
    pub fn cut(&self, rows: u32) -> Option<Self> {
        let held = |text: &str| self.vocabulary.row(text).is_some_and(|row| row < rows);
        let lost = |text: &str| self.vocabulary.row(text).is_some_and(|row| row >= rows);
        if self.kind() != "BPE" || names(&self.document["post_processor"], &lost) {
            return None;
        }
        let mut document = self.document.clone();
        let model = document.get_mut("model")?;
        let prefix = self.document["model"]["continuing_subword_prefix"].as_str().unwrap_or_default();
        model.get_mut("vocab")?.as_object_mut()?.retain(|text, _| held(text));
        if let Some(Value::Array(rules)) = model.get_mut("merges") {
            let leads = |(left, right): (&str, &str)| {
                held(left) && held(right) && held(&outcome((left, right), prefix))
            };
            rules.retain(|rule| pair(rule).is_none_or(leads));
        }
        if let Some(Value::Array(added)) = document.get_mut("added_tokens") {
            added.retain(|token| token["content"].as_str().is_none_or(held));
        }
        let vocabulary = self.vocabulary.tokens().filter(|(_, row)| *row < rows).collect();
        Some(Self { document, vocabulary })
    }
}

/// Whether a text in `value`, or one of its keys, is one that `asked` holds for.
fn names(value: &Value, asked: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => asked(text),
        Value::Array(items) => items.iter().any(|item| names(item, asked)),
        Value::Object(fields) => fields.iter().any(|(key, item)| asked(key) || names(item, asked)),
        _ => false,
    }
}

/// The token that a merge rule makes.
fn outcome((left, right): (&str, &str), prefix: &str) -> String {
    format!("{left}{}", right.strip_prefix(prefix).unwrap_or(right))
}

struct Growth<'a> {
    document: Value,
    vocabulary: Vocabulary,
    next: u32,
    /// The vocabulary that the model gets; none when it stays as it is.
    model: Option<Value>,
    /// Ordinary tokens that are new.
    ordinary: HashSet<String>,
    /// Texts of the added tokens of the document.
    added: HashSet<String>,
    own: &'a Tokenizer,
}

impl<'a> Growth<'a> {
    fn of(own: &'a Tokenizer) -> Self {
        Self {
            document: own.document.clone(),
            vocabulary: own.vocabulary.clone(),
            next: own.vocabulary.next_row(),
            model: None,
            ordinary: HashSet::new(),
            added: own.added_texts().into_iter().map(str::to_owned).collect(),
            own,
        }
    }

    /// A reader numbers an added token by the size of the model's vocabulary unless it is part of it, so with
    /// ordinary tokens behind it every added one has to be part of it.
    fn opened(&mut self) -> Result<&mut Value, CannotGrow> {
        if self.model.is_none() {
            let mut vocab = self.own.document["model"]["vocab"].clone();
            let mut added: Vec<(u32, &str)> = self
                .own
                .added_texts()
                .into_iter()
                .filter_map(|text| Some((self.own.vocabulary.row(text)?, text)))
                .collect();
            added.sort_unstable();
            match &mut vocab {
                Value::Array(list) => {
                    let lowest = list.iter().filter_map(|entry| entry[1].as_f64()).fold(0.0, f64::min);
                    for (row, text) in
                        added.into_iter().filter(|(row, _)| *row as usize >= list.len()).collect::<Vec<_>>()
                    {
                        if row as usize != list.len() {
                            return Err(CannotGrow(format!(
                                "its token `{text}` has row {row} where its Unigram model ends at {}; rows without a gap are \
                                 needed to add tokens",
                                list.len()
                            )));
                        }
                        list.push(json!([text, lowest - 10.0]));
                    }
                    if self.next as usize != list.len() {
                        return Err(CannotGrow(
                            "two of its tokens share a row; rows cannot be added to it".into(),
                        ));
                    }
                }
                Value::Object(map) => {
                    for (row, text) in added {
                        map.entry(text).or_insert(json!(row));
                    }
                }
                _ => {}
            }
            self.model = Some(vocab);
        }
        Ok(self.model.get_or_insert(Value::Null))
    }

    fn ordinary(&mut self, other: &Tokenizer) -> Result<(), CannotGrow> {
        if other.kind() != self.own.kind() {
            return Err(CannotGrow(format!(
                "one is {}, the other {}; only tokenizers of one kind have a union",
                self.own.kind(),
                other.kind()
            )));
        }
        let added = other.added_texts();
        let vocab = &other.document["model"]["vocab"];
        let tokens: Vec<(&str, Option<f64>)> = match vocab {
            Value::Array(list) => {
                list.iter().filter_map(|entry| Some((entry[0].as_str()?, entry[1].as_f64()))).collect()
            }
            Value::Object(map) => {
                let mut tokens: Vec<(u64, &str)> =
                    map.iter().filter_map(|(text, row)| Some((row.as_u64()?, text.as_str()))).collect();
                tokens.sort_unstable();
                tokens.into_iter().map(|(_, text)| (text, None)).collect()
            }
            _ => Vec::new(),
        };
        for (text, score) in tokens {
            if self.vocabulary.row(text).is_some() || added.contains(text) {
                continue;
            }
            self.opened()?;
            let row = self.give(text);
            match self.opened()? {
                Value::Array(list) => list.push(json!([text, score.unwrap_or_default()])),
                Value::Object(map) => drop(map.insert(text.to_owned(), json!(row))),
                _ => {}
            }
            self.ordinary.insert(text.to_owned());
        }
        Ok(())
    }

    /// Gives `text` the next row.
    fn give(&mut self, text: &str) -> u32 {
        let row = self.next;
        self.vocabulary.insert(text, row);
        self.next = self.next.saturating_add(1);
        row
    }

    /// Merge rules whose outcome is new, behind those that are there: what was merged before still is.
    fn rules(&mut self, others: &[&Tokenizer]) {
        let Some(Value::Array(own)) = self.document["model"].get_mut("merges") else { return };
        let prefix = self.own.document["model"]["continuing_subword_prefix"].as_str().unwrap_or_default();
        let mut known: HashSet<(String, String)> = HashSet::new();
        let mut new = Vec::new();
        for rule in others.iter().flat_map(|other| other.document["model"]["merges"].as_array()).flatten() {
            let Some((left, right)) = pair(rule) else { continue };
            let made = outcome((left, right), prefix);
            if self.ordinary.contains(&made) && known.insert((left.to_owned(), right.to_owned())) {
                new.push((left, right));
            }
        }
        let as_text = own.first().is_none_or(Value::is_string)
            && new.iter().all(|(left, right)| !left.contains(' ') && !right.contains(' '));
        if !as_text {
            for rule in own.iter_mut() {
                if let Some((left, right)) = pair(rule) {
                    *rule = json!([left, right]);
                }
            }
        }
        own.extend(new.into_iter().map(|(left, right)| match as_text {
            true => json!(format!("{left} {right}")),
            false => json!([left, right]),
        }));
    }

    fn added(&mut self, token: &Map<String, Value>) -> Result<(), CannotGrow> {
        let Some(text) = token.get("content").and_then(Value::as_str) else { return Ok(()) };
        if !self.added.insert(text.to_owned()) {
            return Ok(());
        }
        let row = self.vocabulary.row(text).unwrap_or_else(|| self.give(text));
        let mut token = token.clone();
        token.insert("id".to_owned(), json!(row));
        if self.own.document["model"]["vocab"].is_object()
            && let Value::Object(map) = self.opened()?
        {
            map.entry(text).or_insert(json!(row));
        }
        match self.document.get_mut("added_tokens") {
            Some(Value::Array(list)) => list.push(Value::Object(token)),
            _ => self.document["added_tokens"] = json!([token]),
        }
        Ok(())
    }

    fn finish(mut self) -> Tokenizer {
        if let Some(vocab) = self.model.take() {
            self.document["model"]["vocab"] = vocab;
        }
        if let Some(Value::Array(list)) = self.document.get_mut("added_tokens") {
            list.sort_by_key(|token| token["id"].as_u64());
        }
        Tokenizer { document: self.document, vocabulary: self.vocabulary }
    }
}

/// The two sides of a merge rule, in the form of a list or of a text with a space.
fn pair(rule: &Value) -> Option<(&str, &str)> {
    match rule {
        Value::String(text) => text.split_once(' '),
        Value::Array(sides) => Some((sides.first()?.as_str()?, sides.get(1)?.as_str()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer(document: &Value) -> Tokenizer {
        Tokenizer::parse(document.to_string().as_bytes(), &Limits::default()).unwrap()
    }

    fn special(id: u32, content: &str) -> Value {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": true})
    }

    fn bpe(vocab: Value, merges: Value, added: &[Value]) -> Tokenizer {
        tokenizer(&json!({"added_tokens": added, "model": {"type": "BPE", "vocab": vocab, "merges": merges}}))
    }

    #[test]
    fn a_union_of_bpe_keeps_rows_and_gets_the_rules_that_lead_to_new_tokens() {
        let own = bpe(json!({"a": 0, "b": 1, "c": 2, "ab": 3}), json!(["a b"]), &[special(4, "<s>")]);
        let other = bpe(
            json!({"<s>": 0, "c": 1, "b": 2, "a": 3, "bc": 4, "ab": 5, "abc": 6}),
            json!([["b", "c"], ["a", "b"], ["ab", "c"], ["a", "bc"]]),
            &[special(0, "<s>"), special(7, "<x>")],
        );

        let grown = own.grown(&[&other], &["<y>", "ab"]).unwrap();

        let rows = grown.vocabulary().rows();
        let expected = [
            (0, "a"),
            (1, "b"),
            (2, "c"),
            (3, "ab"),
            (4, "<s>"),
            (5, "bc"),
            (6, "abc"),
            (7, "<x>"),
            (8, "<y>"),
        ];
        assert_eq!(rows, expected);
        assert_eq!(grown.document()["model"]["merges"], json!(["a b", "b c", "ab c", "a bc"]));
        // Readers number an added token by the size of the model's vocabulary unless it is part of it.
        assert_eq!(grown.document()["model"]["vocab"]["<s>"], 4);
        let added: Vec<&Value> = grown.added().map(|token| &token["content"]).collect();
        assert_eq!(added, ["<s>", "<x>", "<y>"]);
        assert_eq!(tokenizer(grown.document()), grown);
    }

    #[test]
    fn a_tokenizer_of_more_tokens_than_rows_is_cut_with_the_rules_that_lead_to_them() {
        let own = bpe(
            json!({"a": 0, "b": 1, "ab": 2, "ba": 3, "aba": 4}),
            json!(["a b", ["b", "a"], "ab a"]),
            &[special(5, "<x>")],
        );

        let cut = own.cut(3).unwrap();

        assert_eq!(cut.vocabulary().rows(), [(0, "a"), (1, "b"), (2, "ab")]);
        assert_eq!(cut.document()["model"]["merges"], json!(["a b"]));
        assert_eq!(cut.document()["added_tokens"], json!([]));
        assert_eq!(tokenizer(cut.document()), cut);
        let mut ends = own.document().clone();
        ends["post_processor"] = json!({"type": "BertProcessing", "sep": ["<x>", 5], "cls": ["a", 0]});
        assert_eq!(tokenizer(&ends).cut(3), None, "every text would end with a token that is gone");
        assert_eq!(
            tokenizer(&json!({"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 1}}})).cut(1),
            None
        );
    }

    #[test]
    fn rules_with_spaces_are_written_as_lists() {
        let own = bpe(json!({" ": 0, "a": 1, "aa": 2}), json!(["a a"]), &[]);
        let other = bpe(json!({" ": 0, "a": 1, " a": 2}), json!([[" ", "a"]]), &[]);

        let grown = own.grown(&[&other], &[]).unwrap();

        assert_eq!(grown.document()["model"]["merges"], json!([["a", "a"], [" ", "a"]]));
    }

    #[test]
    fn nothing_new_changes_nothing() {
        let own = bpe(json!({"a": 0, "b": 1, "ab": 2}), json!(["a b"]), &[special(3, "<s>")]);

        assert_eq!(own.grown(&[&own.clone()], &["ab"]).unwrap(), own);
    }

    #[test]
    fn a_unigram_model_gets_pieces_with_their_scores_behind_its_added_tokens() {
        let unigram = |vocab: Value, added: &[Value]| {
            tokenizer(
                &json!({"added_tokens": added, "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab}}),
            )
        };
        let own = unigram(json!([["<unk>", 0.0], ["a", -2.5]]), &[special(2, "<s>")]);
        let other = unigram(json!([["<unk>", 0.0], ["b", -3.5], ["a", -1.0]]), &[special(0, "<unk>")]);

        let grown = own.grown(&[&other], &[]).unwrap();

        let pieces = json!([["<unk>", 0.0], ["a", -2.5], ["<s>", -12.5], ["b", -3.5]]);
        assert_eq!(grown.document()["model"]["vocab"], pieces);
        assert_eq!(grown.vocabulary().row("b"), Some(3));
        assert_eq!(tokenizer(grown.document()).vocabulary(), grown.vocabulary());
        let gap = unigram(json!([["a", 0.0]]), &[special(5, "<s>")]);
        assert!(gap.grown(&[&other], &[]).unwrap_err().to_string().contains("`<s>` has row 5"));
    }

    #[test]
    fn tokenizers_of_different_kinds_have_no_union() {
        let own = bpe(json!({"a": 0}), json!([]), &[]);
        let other = tokenizer(&json!({"model": {"type": "WordPiece", "vocab": {"##a": 0}}}));

        let told = own.grown(&[&other], &[]).unwrap_err().to_string();

        assert!(told.contains("BPE") && told.contains("WordPiece"), "{told}");
    }
}
