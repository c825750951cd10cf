//! HTML made shallow before it is parsed: a parser walks its stack of open elements for every tag, so a short text of
//! many open ones would cost a minute. Tags beyond a depth are left out, their content stays.

/// Elements open at once; beyond them tags are left out.
const DEEPEST: usize = 64;
/// Elements of formatting open at once: a parser opens all of them again in every paragraph that follows.
const MOST_FORMATS: usize = 6;
/// Bytes of one tag with its attributes, which a parser compares with one another.
const LONGEST_TAG: usize = 8 * 1024;

/// Elements whose content is no HTML, or is parsed by other rules: left out with it.
const OPAQUE: [&str; 15] = [
    "iframe",
    "math",
    "noembed",
    "noframes",
    "noscript",
    "object",
    "plaintext",
    "script",
    "select",
    "style",
    "svg",
    "template",
    "textarea",
    "title",
    "xmp",
];
/// Elements of formatting that a parser opens again by itself.
const FORMATS: [&str; 14] =
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];
/// Blocks: the end of one is the end of all that is open inside it.
const BLOCKS: [&str; 17] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "center",
    "details",
    "div",
    "dl",
    "figure",
    "footer",
    "header",
    "main",
    "nav",
    "ol",
    "pre",
    "section",
    "ul",
];
/// Elements that no end tag inside them reaches out of.
const FENCES: [&str; 3] = ["applet", "marquee", "table"];
/// Elements of a whole document: left out.
const OUTER: [&str; 6] = ["base", "body", "frame", "frameset", "head", "html"];
/// Elements without content, and those that the next of their kind closes: they do not nest by themselves.
const LEVEL: [&str; 22] = [
    "br", "caption", "col", "colgroup", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "p",
    "source", "tbody", "td", "tfoot", "th", "thead", "tr", "wbr",
];

/// The same HTML without comments, without what is never shown, and with no more than 64 elements open at once.
pub fn shallow(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let tag = &rest[at..];
        rest = match tag.as_bytes().get(1) {
            Some(b'!' | b'?') => after_comment(tag),
            Some(b'/') if tag.as_bytes().get(2).is_some_and(u8::is_ascii_alphabetic) => {
                let end = end_of(tag);
                let name = name_of(&tag[2..]);
                close(&mut open, &name);
                if end <= LONGEST_TAG && !left_out(&name) {
                    out.push_str(&tag[..end]);
                }
                &tag[end..]
            }
            Some(letter) if letter.is_ascii_alphabetic() => {
                let end = end_of(tag);
                let name = name_of(&tag[1..]);
                if OPAQUE.contains(&name.as_str()) {
                    after_opaque(&tag[end..], &name)
                } else {
                    let level = LEVEL.contains(&name.as_str());
                    if end <= LONGEST_TAG && !left_out(&name) && (level || may_open(&open, &name)) {
                        out.push_str(&tag[..end]);
                        if name == "a" {
                            close(&mut open, &name);
                        }
                        if !level {
                            open.push(name);
                        }
                    }
                    &tag[end..]
                }
            }
            _ => {
                out.push_str("&lt;");
                &tag[1..]
            }
        };
    }
    out.push_str(rest);
    out
}

fn may_open(open: &[String], name: &str) -> bool {
    let formats = || open.iter().filter(|name| FORMATS.contains(&name.as_str())).count();
    // A link closes the one before it.
    name == "a" || open.len() < DEEPEST && (!FORMATS.contains(&name) || formats() < MOST_FORMATS)
}

/// Takes out what an end tag closes in a parser as well: a format wherever it is open, a block with all inside it but formats, and
/// of other elements the innermost. What is around a table is not closed from inside it.
fn close(open: &mut Vec<String>, name: &str) {
    let inside = open.iter().rposition(|other| FENCES.contains(&other.as_str())).map_or(0, |at| at + 1);
    if inside > 0 && open[inside - 1] == name {
        return end_block(open, inside - 1);
    }
    let found = open.iter().rposition(|other| other == name).filter(|at| *at >= inside);
    match found {
        Some(at) if FORMATS.contains(&name) => drop(open.remove(at)),
        Some(at) if BLOCKS.contains(&name) => end_block(open, at),
        _ if open.last().is_some_and(|last| last == name) => drop(open.pop()),
        _ => {}
    }
}

/// Formats inside a block outlive it: they are opened again after it.
fn end_block(open: &mut Vec<String>, at: usize) {
    let inside = open.split_off(at);
    open.extend(inside.into_iter().filter(|name| FORMATS.contains(&name.as_str())));
}

fn left_out(name: &str) -> bool {
    OUTER.contains(&name) || OPAQUE.contains(&name)
}

fn name_of(text: &str) -> String {
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>').unwrap_or(text.len());
    text[..end].to_ascii_lowercase()
}

/// Where in a tag's attributes a parser is.
#[derive(Clone, Copy)]
enum In {
    Names,
    /// After `=`.
    Start,
    Bare,
    Quoted(u8),
}

/// The length of the tag at the start; all of the text where it does not end.
fn end_of(tag: &str) -> usize {
    let mut place = In::Names;
    for (at, byte) in tag.bytes().enumerate().skip(2) {
        place = match (place, byte) {
            (In::Quoted(quote), _) if byte == quote => In::Names,
            (In::Quoted(_), _) => place,
            (_, b'>') => return at + 1,
            (In::Names, b'=') => In::Start,
            (In::Start, b'"' | b'\'') => In::Quoted(byte),
            (In::Start, _) if byte.is_ascii_whitespace() => In::Start,
            (In::Start, _) => In::Bare,
            (In::Bare, _) if byte.is_ascii_whitespace() => In::Names,
            _ => place,
        };
    }
    tag.len()
}

fn after_comment(text: &str) -> &str {
    let Some(inside) = text.strip_prefix("<!--") else {
        return text.find('>').map_or("", |at| &text[at + 1..]);
    };
    if let Some(rest) = inside.strip_prefix('>').or_else(|| inside.strip_prefix("->")) {
        return rest;
    }
    inside.find("-->").map_or("", |at| &inside[at + 3..])
}

/// What follows the end tag of an element whose content is left out.
fn after_opaque<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        if rest.as_bytes().get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes())) {
            return rest.find('>').map_or("", |end| &rest[end + 1..]);
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::shallow;

    #[test]
    fn an_ordinary_text_stays_as_it_is() {
        let html = "<p>a &lt; b<br>c<p>d <a title='x > y' href=\"/z\">e</a></p><ul><li>f<li>g</ul> 1 &lt; 2";

        assert_eq!(shallow(html), html);
    }

    #[test]
    fn what_is_too_deep_keeps_its_content() {
        let html = shallow(&format!("{}deep{}", "<div>".repeat(100), "</div>".repeat(100)));

        assert_eq!(html.matches("<div>").count(), 64);
        assert!(html.contains("deep"));
    }

    #[test]
    fn an_end_that_a_parser_does_not_see_closes_nothing() {
        for hidden in [
            "<!-- </div> -->",
            "<b title='</div>'></b>",
            "<svg></div></svg>",
            "<script></div></script>",
            "</q>",
        ] {
            let html = shallow(&format!("<div>{hidden}").repeat(200));
            assert_eq!(html.matches("<div>").count(), 64, "{hidden}");
        }
        assert_eq!(
            shallow(&"<div><b></div>".repeat(200)).matches("<b>").count(),
            6,
            "a format outlives its block"
        );
        let html = shallow(&"<div><table><td></div></table>".repeat(200));
        assert!(
            html.matches("<table>").count() <= 64,
            "a cell keeps the end from the element around its table"
        );
    }

    #[test]
    fn elements_that_overlap_do_not_pile_up() {
        let one = "<b><i>x</b></i><div><center>y</div></center><a name=z><span>z</div>";

        assert_eq!(shallow(&one.repeat(30)).matches("<a name=z>").count(), 30);
        assert_eq!(shallow(&one.repeat(30)).matches("<center>").count(), 30);
    }

    #[test]
    fn what_does_not_end_is_left_out() {
        assert_eq!(shallow("a<!-- b"), "a");
        assert_eq!(shallow("a<script>b"), "a");
        assert_eq!(shallow("a < b <3"), "a &lt; b &lt;3");
    }
}
