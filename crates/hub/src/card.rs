//! Model cards: YAML front matter and a Markdown body, read as tolerantly as people write them.

mod scan;

use domain::{FIXED, Limits, Note, files::Beginning};
use serde_json::{Map, Value};
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Options};

/// A README.md taken apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Card {
    /// The front matter; empty when there is none or it cannot be read.
    pub front: Map<String, Value>,
    /// The Markdown below it.
    pub body: String,
    /// What was odd.
    pub notes: Vec<Note>,
}

/// Most documents that are read of one stream of YAML.
const DOCUMENTS: usize = 100;

/// Reads a card. Never fails: what cannot be read becomes a note.
///
/// Tolerates a byte order mark, CRLF, blank lines before the first fence, blanks after both, tabs, repeated keys (the last one counts) and
/// a missing closing fence; aliases and depth are bounded; `no`, `yes`, dates stay strings; a number that is
/// not finite is null. Front matter that is not YAML is read line by line for the keys that matter most.
pub fn parse(text: &str, limits: &Limits) -> Card {
    let mut card = Card::default();
    let max = usize::try_from(limits.card_bytes).unwrap_or(usize::MAX);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let cut = floor(text, max);
    if cut < text.len() {
        card.notes.push(truncated(text.len() as u64, cut));
    }
    let text = text[..cut].replace("\r\n", "\n");
    let Some((yaml, body)) = split(&text, &mut card.notes) else {
        card.body = text;
        return card;
    };
    card.body = body.to_owned();
    let (front, fault) = front_matter(yaml);
    card.front = front;
    card.notes.extend(fault);
    card
}

/// A README.md, as far as it was read, as text and [`parse`]d. Bytes that are no UTF-8 are replaced, and a note says so; one says
/// too where the file goes on.
pub fn read(Beginning { bytes, size }: &Beginning, limits: &Limits) -> (String, Card) {
    let goes_on = *size > bytes.len() as u64;
    let fault = std::str::from_utf8(bytes).err();
    // A character that the end of what was read cuts in two is no fault of the card.
    let cut = fault.filter(|fault| goes_on && fault.error_len().is_none());
    let whole = cut.map_or(&**bytes, |cut| &bytes[..cut.valid_up_to()]);
    let text = String::from_utf8_lossy(whole).into_owned();
    let mut card = parse(&text, limits);
    if goes_on && card.notes.iter().all(|note| note.code != TRUNCATED) {
        card.notes.push(truncated(*size, whole.len()));
    }
    if let (Some(fault), None) = (fault, cut) {
        let at = fault.valid_up_to();
        let told = format!("the card is not UTF-8 after byte {at}; what is no character reads as \u{fffd}");
        card.notes.push(note("card_not_utf8", told));
    }
    (text, card)
}

const TRUNCATED: &str = "card_truncated";

fn truncated(size: u64, read: usize) -> Note {
    note(TRUNCATED, format!("the card has {size} bytes; the first {read} were read"))
}

/// Front matter as a mapping; what is no YAML is read line by line, which the note says.
pub(crate) fn front_matter(yaml: &str) -> (Map<String, Value>, Option<Note>) {
    match yaml_value(yaml) {
        Ok(Value::Object(front)) => (front, None),
        Ok(Value::Null) => (Map::new(), None),
        Ok(_) => {
            let detail = "the front matter is not a mapping of keys to values".to_owned();
            (Map::new(), Some(note("card_front_matter", detail)))
        }
        Err(reason) => {
            let front = scan::scan(yaml);
            let mut detail = format!("the front matter is not YAML: {reason}");
            if !front.is_empty() {
                let keys: Vec<&str> = front.keys().map(String::as_str).collect();
                detail.push_str(&format!("; read line by line instead: {}", keys.join(", ")));
            }
            (front, Some(note("card_front_matter", detail)))
        }
    }
}

/// The blocks of a card that hold recipes of mergekit or mergekit-moe, in its order; a block may hold several documents.
pub fn embedded_mergekit(body: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Option<(&str, String)> = None;
    for line in body.lines() {
        let trimmed = line.trim();
        let fence = ["```", "~~~"].into_iter().find(|fence| trimmed.starts_with(fence));
        match (&mut block, fence) {
            (None, Some(fence)) => block = Some((fence, String::new())),
            (Some((open, text)), Some(fence))
                if *open == fence && trimmed.trim_matches(['`', '~']).is_empty() =>
            {
                found.push(std::mem::take(text));
                block = None;
            }
            (Some((_, text)), _) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found.extend(block.map(|(_, text)| text));
    found.retain(|text| is_recipe(text));
    found
}

fn is_recipe(text: &str) -> bool {
    let key = |key: &str| text.lines().any(|line| line.trim_start().starts_with(key));
    let merges = key("models:") || key("slices:") || key("- sources:") || key("- model:");
    (key("merge_method:") && merges) || (key("experts:") && (key("- source_model:") || key("source_model:")))
}

/// The documents of a stream of YAML as values; one that cannot be read is left out.
pub(crate) fn yaml_documents(text: &str) -> Vec<Value> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        let marker = line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        match (marker, documents.last_mut()) {
            (Some(rest), _) => documents.push(format!("{rest}\n")),
            (None, Some(document)) => document.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    let read = documents.iter().filter_map(|document| yaml_value(document).ok());
    read.filter(Value::is_object).take(DOCUMENTS).collect()
}

/// Parses YAML within bounds; scalars that YAML 1.1 would bend (`no`, dates) stay strings.
pub(crate) fn yaml_value(text: &str) -> Result<Value, String> {
    let read = |text: &str| serde_saphyr::from_str_with_options::<Value>(text, options());
    match read(text) {
        Ok(value) => Ok(value),
        // YAML forbids tabs in indentation, people use them.
        Err(_) if text.contains('\t') => read(&text.replace('\t', "  ")).map_err(|error| brief(&error)),
        Err(error) => Err(brief(&error)),
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        strict_booleans: true,
        // JSON has no NaN: one such metric becomes null and costs no other key.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: FIXED.card_depth,
            max_nodes: FIXED.card_values,
            max_events: 200_000,
            max_aliases: FIXED.card_aliases,
            max_anchors: FIXED.card_aliases,
        },
    }
}

fn brief(error: &serde_saphyr::Error) -> String {
    let told = error.to_string();
    // The parser tells its limits as values of its own types.
    if told.contains("budget breached") {
        return "it is larger, deeper or has more aliases than is read".to_owned();
    }
    told.lines().next().unwrap_or_default().chars().take(200).collect()
}

/// The text between the fences and the text after them.
fn split<'a>(text: &'a str, notes: &mut Vec<Note>) -> Option<(&'a str, &'a str)> {
    // The Hub passes over blank lines before the fence; training scripts write one.
    let (first, rest) = text.trim_start().split_once('\n')?;
    if first.trim_end() != "---" {
        return None;
    }
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some((&rest[..at], rest[at + line.len()..].trim_start_matches('\n')));
        }
        at += line.len();
    }
    notes.push(note("card_front_matter", "the front matter is not closed by a line `---`".to_owned()));
    None
}

fn floor(text: &str, max: usize) -> usize {
    if text.len() <= max {
        return text.len();
    }
    (0..=max).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

pub(crate) fn note(code: &str, detail: String) -> Note {
    Note { code: code.to_owned(), detail: plain(&detail) }
}

/// A text with blanks for its control characters: what is taken from a model's metadata is printed on terminals.
pub(crate) fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Card {
        parse(text, &Limits::default())
    }

    #[test]
    fn front_matter_that_unfolds_is_refused_in_words() {
        let bomb: String = (1..9)
            .map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", ")))
            .collect();
        let card = read(&format!("---\na0: &a0 [x, x]\n{bomb}---\n"));

        let note = &card.notes[0].detail;
        assert!(note.contains("more aliases than is read") && !note.contains('{'), "{note}");
    }

    #[test]
    fn marks_line_ends_and_blanks_do_not_hide_the_front_matter() {
        let card = read("\u{feff}--- \r\nlicense: mit\r\nbase_model: a/b\r\n---  \r\n# Title\r\n");

        assert_eq!(card.front["license"], "mit");
        assert_eq!(card.front["base_model"], "a/b");
        assert_eq!(card.body, "# Title\n");
        assert!(card.notes.is_empty());
    }

    #[test]
    fn blank_lines_before_the_fence_do_not_hide_the_front_matter() {
        let card = read("\n \r\n---\nlicense: mit\n---\n# Title\n");

        assert_eq!((&card.front["license"], &*card.body), (&"mit".into(), "# Title\n"));
        assert!(card.notes.is_empty());
        assert_eq!(read("\n# Plain\n").body, "\n# Plain\n");
    }

    #[test]
    fn norwegian_is_a_language_and_a_date_is_a_string() {
        let card =
            read("---\nlanguage:\n- no\n- en\ndate: 2024-01-02\nlicense: mit\nlicense: apache-2.0\n---\n");

        assert_eq!(card.front["language"], serde_json::json!(["no", "en"]));
        assert_eq!(card.front["date"], "2024-01-02");
        assert_eq!(card.front["license"], "apache-2.0");
    }

    #[test]
    fn broken_front_matter_becomes_a_note_and_the_body_stays() {
        for text in ["---\na: [1\n---\nBody", "---\n- a\n- b\n---\nBody"] {
            let card = read(text);
            assert!(card.front.is_empty());
            assert_eq!(card.body, "Body");
            assert_eq!(card.notes[0].code, "card_front_matter");
        }
        assert_eq!(read("---\na: b\nBody").notes[0].code, "card_front_matter");
        assert_eq!(read("# Plain").body, "# Plain");
    }

    #[test]
    fn a_number_that_is_none_costs_no_other_key() {
        let card =
            read("---\nbase_model: a/b\nmodel-index:\n- value: .nan\n- value: -.inf\n- value: 1e999\n---\n");

        assert_eq!(card.front["base_model"], "a/b");
        assert_eq!(card.front["model-index"][0]["value"], Value::Null);
        assert!(card.notes.is_empty(), "{:?}", card.notes);
    }

    #[test]
    fn one_bad_line_costs_no_other_key() {
        let card = read("---\nlicense: mit\nbase_model:\n- a/b\ntitle: \"open\nwidget: a: b: [\n---\nBody");

        assert_eq!(card.front["base_model"], serde_json::json!(["a/b"]));
        assert_eq!(card.front["license"], "mit");
        assert_eq!(card.notes[0].code, "card_front_matter");
        assert!(
            card.notes[0].detail.contains("line by line instead: license, base_model"),
            "{:?}",
            card.notes
        );
        assert_eq!(card.body, "Body");
    }

    #[test]
    fn tabs_in_the_indentation_are_forgiven() {
        assert_eq!(read("---\ntags:\n\t- a\n\t- b\n---\n").front["tags"], serde_json::json!(["a", "b"]));
    }

    #[test]
    fn aliases_that_explode_are_refused() {
        let mut yaml = "---\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(",");
            yaml.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        yaml.push_str("---\n");

        assert_eq!(read(&yaml).notes[0].code, "card_front_matter");
    }

    #[test]
    fn bytes_that_are_no_characters_cost_no_key_of_a_card_and_are_told_of() {
        let read = |beginning: &[u8], size: usize| {
            let readme = Beginning { bytes: beginning.to_vec(), size: size as u64 };
            let (text, card) = super::read(&readme, &Limits::default());
            let codes: Vec<String> = card.notes.into_iter().map(|note| note.code).collect();
            (text, card.front, codes)
        };

        let (text, front, codes) = read(b"---\nbase_model: a/b\n---\nGr\xfc\xdfe", 28);
        assert_eq!((text.ends_with("Gr\u{fffd}\u{fffd}e"), &front["base_model"]), (true, &"a/b".into()));
        assert_eq!(codes, ["card_not_utf8"]);
        let (text, _, codes) = read("Grü".as_bytes(), 4);
        assert_eq!((&*text, codes), ("Grü", vec![]));
        let (text, _, codes) = read(&"Grü".as_bytes()[..3], 9);
        assert_eq!((&*text, codes), ("Gr", vec!["card_truncated".to_owned()]));
        let (text, _, codes) = read(&"Grü".as_bytes()[..3], 3);
        assert_eq!((&*text, codes), ("Gr\u{fffd}", vec!["card_not_utf8".to_owned()]));
    }

    #[test]
    fn an_overlong_card_is_cut_at_a_character() {
        let card = parse("ééééé", &Limits { card_bytes: 5, ..Limits::default() });

        assert_eq!(card.body, "éé");
        assert_eq!(card.notes[0].code, "card_truncated");
    }

    #[test]
    fn the_merge_recipe_in_a_card_is_found() {
        let body = "Text\n```python\nx\n```\n```yaml\nmodels:\n  - model: a/b\nmerge_method: ties\n```\n";

        assert_eq!(embedded_mergekit(body), ["models:\n  - model: a/b\nmerge_method: ties\n"]);
        assert!(embedded_mergekit("```yaml\nx: 1\n```").is_empty());
    }
}
