//! What a card says a model is not for: the beginning of the section about it.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Characters that stand above the fold.
const SHOWN: usize = 160;
/// Bytes of a card that are looked through.
const MOST_BYTES: usize = 256 * 1024;
/// Words of the headings, what says most first.
const HEADINGS: [&[&str]; 3] =
    [&["limitation"], &["out-of-scope", "out of scope", "bias", "risks"], &["intended use"]];
/// What templates leave where nobody wrote anything.
const UNWRITTEN: &str = "more information needed";

/// The first sentences below the heading that speaks of limits; none where no heading does or nothing stands below it.
pub fn of(card: &str) -> Option<String> {
    let mut end = card.len().min(MOST_BYTES);
    while !card.is_char_boundary(end) {
        end -= 1;
    }
    let sections = sections(&card[..end]);
    let speaks = |words: &&[&str]| {
        sections.iter().find(|(heading, text)| {
            let heading = heading.to_lowercase();
            words.iter().any(|word| heading.contains(word)) && !text.is_empty()
        })
    };
    HEADINGS.iter().find_map(speaks).map(|(_, text)| cut(text))
}

/// Headings with the text below each, up to the next of the same or a higher level.
fn sections(card: &str) -> Vec<(String, String)> {
    let mut found: Vec<(HeadingLevel, String, String)> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(card, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(level)) => {
                open.retain(|at| found[*at].0 < level);
                open.push(found.len());
                found.push((level, heading.take().unwrap_or_default(), String::new()));
            }
            Event::Text(text) | Event::Code(text) => match &mut heading {
                Some(heading) => heading.push_str(&text),
                None => open.iter().for_each(|at| found[*at].2.push_str(&text)),
            },
            Event::SoftBreak | Event::HardBreak | Event::End(TagEnd::Paragraph | TagEnd::Item) => {
                open.iter().for_each(|at| found[*at].2.push(' '));
            }
            _ => {}
        }
    }
    let plain = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let written = |text: String| if text.to_lowercase().contains(UNWRITTEN) { String::new() } else { text };
    found.into_iter().map(|(_, heading, text)| (heading, written(plain(text)))).collect()
}

/// As much as is shown, up to the end of a word.
fn cut(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let begin: String = text.chars().take(SHOWN).collect();
    let end = begin.rfind(' ').unwrap_or(begin.len());
    format!("{}…", begin[..end].trim_end_matches([',', ';', ':', ' ']))
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_section_that_speaks_of_limits_most_plainly_is_told() {
        let card = "# A\nText.\n## Intended uses\nFun.\n## Bias, Risks, and **Limitations**\nIt knows\n*no* `law`.\n\n- Nor medicine.\n\
                    ### Recommendations\nAsk a person.\n## Training\nOn books.\n";

        assert_eq!(of(card).as_deref(), Some("It knows no law. Nor medicine. Ask a person."));
        assert_eq!(of("## Intended use\nFun.").as_deref(), Some("Fun."));
    }

    #[test]
    fn what_nobody_wrote_is_nothing_and_what_is_long_is_cut_between_words() {
        let long = format!("## Limitations\n{}", "wörter ".repeat(60));

        assert_eq!(of("## Limitations\n\n[More Information Needed]\n"), None);
        assert_eq!(of("No limits are known.\n"), None);
        let told = of(&long).unwrap();
        assert!(told.ends_with("wörter…") && told.chars().count() <= 161, "{told}");
    }
}
