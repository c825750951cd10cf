//! A model card made safe: Markdown to HTML, then everything that could act, load or escape is taken out.
//! Pictures become links, since pages load nothing from elsewhere.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use domain::Digest;
use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};

use crate::shallow::shallow;

/// Bytes of a card that are shown.
const MOST_BYTES: usize = 256 * 1024;

/// Bytes of rendered cards that are kept for the next reader.
const MOST_KEPT: usize = 16 << 20;

/// Cards as they were rendered, by the digest of their text, and the bytes of all.
static KEPT: Mutex<(Option<HashMap<Digest, String>>, usize)> = Mutex::new((None, 0));

/// A card as [`render`] gives it, which happens once for each text.
pub fn rendered(markdown: &str) -> String {
    let digest = Digest::of(markdown.as_bytes());
    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(html) = kept().0.as_ref().and_then(|cards| cards.get(&digest)) {
        return html.clone();
    }
    let html = render(markdown);
    let mut kept = kept();
    if kept.1 + html.len() > MOST_KEPT {
        *kept = (None, 0);
    }
    kept.1 += html.len();
    kept.0.get_or_insert_default().insert(digest, html.clone());
    html
}

/// A card as harmless HTML; headings start at the third level, below the page's own.
pub fn render(markdown: &str) -> String {
    let mut end = markdown.len().min(MOST_BYTES);
    while !markdown.is_char_boundary(end) {
        end -= 1;
    }
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut raw = String::new();
    html::push_html(&mut raw, Parser::new_ext(&markdown[..end], options).map(tame));
    if end < markdown.len() {
        raw.push_str("<p>… the card is longer than is shown here.</p>");
    }
    sanitiser().clean(&shallow(&raw)).to_string()
}

fn tame(event: Event<'_>) -> Event<'_> {
    let lower = |level: HeadingLevel| match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        HeadingLevel::H3 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    };
    match event {
        Event::Start(Tag::Heading { level, .. }) => Event::Start(Tag::Heading {
            level: lower(level),
            id: None,
            classes: Vec::new(),
            attrs: Vec::new(),
        }),
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(lower(level))),
        Event::Start(Tag::Image { dest_url, title, .. }) => {
            Event::Start(Tag::Link { link_type: LinkType::Inline, dest_url, title, id: CowStr::Borrowed("") })
        }
        Event::End(TagEnd::Image) => Event::End(TagEnd::Link),
        other => other,
    }
}

fn sanitiser() -> ammonia::Builder<'static> {
    let mut builder = ammonia::Builder::default();
    builder
        .rm_tags(["img", "h1", "h2", "map", "area", "header", "footer", "nav", "article", "aside", "main"])
        .add_clean_content_tags(["iframe", "object", "form", "svg", "math", "template", "noscript"])
        .rm_tag_attributes("ol", ["start"])
        // A wide table is scrolled by itself, so the keyboard must reach it.
        .set_tag_attribute_value("table", "tabindex", "0")
        .generic_attributes(HashSet::from(["lang", "title"]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("nofollow noopener noreferrer ugc"));
    builder
}

#[cfg(test)]
mod tests {
    use super::{render, rendered};

    #[test]
    fn nothing_in_a_card_can_act_or_load() {
        let card = concat!(
            "# Title\n<script>alert(1)</script><img src=x onerror=alert(2)>\n",
            "[click](javascript:alert(3)) ![p](https://evil.example/p.png)\n",
            "<a href=\"data:text/html,x\" onclick=\"f()\" style=\"color:red\">y</a>\n",
            "<iframe src=//evil.example></iframe><form action=//evil.example><input name=p></form>\n",
            "<svg onload=alert(4)><style>body{}</style></svg><base href=//evil.example>",
        );

        let html = render(card).to_ascii_lowercase();

        let bad = [
            "<script",
            "onerror",
            "javascript:",
            "data:",
            "onclick",
            "style",
            "<iframe",
            "<form",
            "<svg",
            "<base",
            "<img",
            "<h1",
        ];
        for word in bad {
            assert!(!html.contains(word), "{word} in {html}");
        }
        assert!(
            html.contains("<h3>title</h3>") && html.contains("href=\"https://evil.example/p.png\""),
            "{html}"
        );
    }

    #[test]
    fn tables_and_code_survive_and_a_wide_table_is_reached_by_the_keyboard() {
        let html = render("| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint('<b>')\n```\n");
        assert!(
            html.contains("<table tabindex=\"0\">")
                && html.contains("<td>1</td>")
                && html.contains("&lt;b&gt;"),
            "{html}"
        );
    }

    #[test]
    fn the_depth_of_a_card_is_bounded() {
        for (written, tag) in [("> ", "<blockquote>"), ("<div>", "<div>"), ("- ", "<ul>"), ("<b>", "<b>")] {
            let html = render(&format!("{}deep", written.repeat(10_000)));
            assert!(html.contains("deep") && html.matches(tag).count() <= 70, "{written}");
        }
        let formats: String = (0..10_000).map(|n| format!("<b title={n}><p>x")).collect();
        assert!(render(&formats).len() < 20 * formats.len(), "formats are opened again in every paragraph");
    }

    #[test]
    fn a_card_is_rendered_once() {
        assert_eq!(rendered("*once*"), render("*once*"));
        assert_eq!(rendered("*once*"), render("*once*"));
    }

    #[test]
    fn a_huge_card_is_cut_at_a_character() {
        assert!(render(&"é".repeat(300_000)).contains("longer than is shown"));
    }
}
