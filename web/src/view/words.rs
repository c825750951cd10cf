//! Numbers, names and dates as people read them.

use std::fmt;

use domain::Item;

/// Percent-encodes one path segment or query value.
pub fn encoded(text: &str) -> String {
    domain::address::segment(text)
}

/// `noun` with an `s` unless there is exactly one.
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", Count(count), if count == 1 { one } else { many })
}

/// What stands above a list of faults: the detail without the faults that it spells out, or their number.
pub fn heading(detail: &str, items: &[Item]) -> String {
    // A place alone may be as short as a letter.
    let placed = |item: &Item| detail.find(&format!("{}: {}", item.pointer, item.message));
    let alone = |item: &Item| detail.find(&item.message).filter(|_| !item.message.is_empty());
    let spelled = items.iter().flat_map(|item| [placed(item), alone(item)]).flatten().min();
    match spelled.map(|at| detail[..at].trim_end_matches([':', ' '])) {
        None => match detail.strip_prefix("the ") {
            Some(rest) => format!("The {}.", rest.trim_end_matches('.')),
            None => detail.to_owned(),
        },
        Some("") => format!("The request has {}.", plural(items.len() as u64, "fault", "faults")),
        Some(before) => format!("{before}:"),
    }
}

/// A model's name as written, and the addresses made from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name(pub String);

impl Name {
    /// The page of this model; every segment is percent-encoded, so no name can leave the site.
    pub fn href(&self) -> String {
        format!("/{}", self.path())
    }

    /// An address below the model's page, e.g. `lineage`.
    pub fn below(&self, tail: &str) -> String {
        format!("/{}/{tail}", self.path())
    }

    /// The name as a query value.
    pub fn query(&self) -> String {
        encoded(&self.0)
    }

    /// The comparison page of this model and another.
    pub fn compare(&self, other: &Self) -> String {
        format!("/compare/{}...{}", self.path(), other.path())
    }

    /// The page that compares two revisions of it, each a branch, a tag, a commit or a digest.
    pub fn revisions(&self, (from, to): (&str, &str)) -> String {
        self.below(&format!("compare/{}...{}", encoded(from), encoded(to)))
    }

    /// A file of it at a revision, below `blob`, `raw` or `resolve`.
    pub fn file(&self, verb: &str, (revision, path): (&str, &str)) -> String {
        let segments: Vec<String> = path.split('/').map(encoded).collect();
        self.below(&format!("{verb}/{}/{}", encoded(revision), segments.join("/")))
    }

    /// The organisation with its slash, or nothing.
    pub fn org(&self) -> &str {
        self.0.rfind('/').map_or("", |at| &self.0[..=at])
    }

    /// The page of its organisation; none for a bare name.
    pub(crate) fn namespace(&self) -> Option<String> {
        self.0.split_once('/').map(|(org, _)| format!("/{}", encoded(org)))
    }

    /// The part after the slash.
    pub fn short(&self) -> &str {
        self.0.rfind('/').map_or(self.0.as_str(), |at| &self.0[at + 1..])
    }

    fn path(&self) -> String {
        self.0.split('/').filter(|part| !part.is_empty()).map(encoded).collect::<Vec<_>>().join("/")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// A whole number with thin spaces between thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str("\u{202f}")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// [`Count`] for templates, which pass references.
pub fn count(value: &u64) -> Count {
    Count(*value)
}

/// [`Bytes`] for templates.
pub fn bytes(value: &u64) -> Bytes {
    Bytes(*value)
}

/// [`When`] for templates.
pub fn when(value: &i64) -> When {
    When(*value)
}

/// A sentence in which names stand between backticks, as HTML.
#[derive(Debug, Clone)]
pub struct Said(String);

/// [`Said`] for templates.
pub fn said(text: &str) -> Said {
    Said(text.to_owned())
}

impl askama::filters::HtmlSafe for Said {}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = self.0.split('`').collect();
        // An odd backtick opens nothing.
        let paired = parts.len() % 2 == 1;
        for (at, part) in parts.iter().enumerate() {
            let text = escaped(part);
            match (paired, at % 2) {
                (true, 1) => write!(f, "<code>{text}</code>")?,
                (true, _) => f.write_str(&raised(&text))?,
                (false, _) => write!(f, "{}{text}", if at > 0 { "`" } else { "" })?,
            }
        }
        Ok(())
    }
}

/// `10^-12` with its power raised.
fn raised(text: &str) -> String {
    let mut parts = text.split("10^");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (minus, rest) = part.strip_prefix('-').map_or(("", part), |rest| ("\u{2212}", rest));
        let (power, rest) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        told.push_str(&match power {
            "" => format!("10^{part}"),
            power => format!("10<sup>{minus}{power}</sup>{rest}"),
        });
    }
    told
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&#38;"),
            '<' => safe.push_str("&#60;"),
            '>' => safe.push_str("&#62;"),
            '"' => safe.push_str("&#34;"),
            '\'' => safe.push_str("&#39;"),
            plain => safe.push(plain),
        }
    }
    safe
}

/// A size in bytes, in binary units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = &["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        scaled(f, self.0, &Scale { step: 1024.0, units, gap: "\u{202f}" })
    }
}

/// A number of weights: `8.03B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Parameters(pub u64);

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0, &Scale { step: 1000.0, units: &["", "K", "M", "B", "T"], gap: "" })
    }
}

/// Units, each `step` times the one before, and what stands between number and unit.
struct Scale {
    step: f64,
    units: &'static [&'static str],
    gap: &'static str,
}

fn scaled(f: &mut fmt::Formatter<'_>, value: u64, scale: &Scale) -> fmt::Result {
    let Scale { step, units, gap } = *scale;
    let mut rest = value as f64;
    let mut unit = 0;
    while rest >= step && unit + 1 < units.len() {
        rest /= step;
        unit += 1;
    }
    // What rounds up to the next unit, or to one more digit, is told as that.
    if rest >= step - 0.5 && unit + 1 < units.len() {
        rest /= step;
        unit += 1;
    }
    let digits = match rest {
        _ if unit == 0 => 0,
        small if small < 9.995 => 2,
        middle if middle < 99.95 => 1,
        _ => 0,
    };
    write!(f, "{rest:.digits$}{gap}{}", units[unit])
}

/// A share or score to four digits.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fraction(pub f64);

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            0.0 => f.write_str("0"),
            tiny if tiny < 1e-4 => write!(f, "{:.2e}", self.0),
            large if large >= 1e4 => write!(f, "{:.3e}", self.0),
            _ => write!(f, "{:.4}", self.0),
        }
    }
}

/// A moment in unix seconds, shown in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct When(pub i64);

impl When {
    /// `2024-03-01T12:00:00Z`, for `<time datetime>`.
    pub fn machine(&self) -> String {
        let (year, month, day) = self.date();
        let second = self.0.rem_euclid(86_400);
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
    }

    /// `2024-03-01`, in UTC.
    pub fn day(&self) -> String {
        self.machine()[..10].to_owned()
    }

    /// `12:00:00`, in UTC.
    pub fn clock(&self) -> String {
        self.machine()[11..19].to_owned()
    }

    /// Year, month and day of the proleptic Gregorian calendar (Hinnant's `civil_from_days`).
    fn date(self) -> (i64, i64, i64) {
        let days = self.0.div_euclid(86_400) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        (year, month, of_year - (153 * shifted + 2) / 5 + 1)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (year, month, day) = self.date();
        let month = usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).unwrap_or(&"?");
        write!(f, "{day}\u{a0}{month}\u{a0}{year}")
    }
}

/// A rough class of licences, shown as a letter so that colour never stands alone. Not legal advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LicenceClass {
    /// One letter.
    pub letter: &'static str,
    /// What the letter means.
    pub meaning: &'static str,
    /// The CSS class.
    pub class: &'static str,
}

impl LicenceClass {
    /// Every class, in the order of [`domain::LicenceClass::ALL`].
    pub const ALL: [Self; 5] = [
        Self { letter: "P", meaning: "permissive licence", class: "lic-p" },
        Self { letter: "S", meaning: "share-alike licence", class: "lic-s" },
        Self { letter: "N", meaning: "non-commercial licence", class: "lic-n" },
        Self { letter: "C", meaning: "custom licence", class: "lic-c" },
        Self { letter: "?", meaning: "licence unknown", class: "lic-u" },
    ];

    /// The class of a licence identifier as the Hub writes it.
    pub fn of(licence: Option<&str>) -> Self {
        let class = domain::LicenceClass::of(licence);
        let at = domain::LicenceClass::ALL.iter().position(|known| *known == class).unwrap_or(4);
        Self::ALL[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_dates_read_like_a_book() {
        assert_eq!(Count(1_234_567).to_string(), "1\u{202f}234\u{202f}567");
        assert_eq!(Bytes(16_060_522_240).to_string(), "15.0\u{202f}GiB");
        assert_eq!(Parameters(8_030_261_248).to_string(), "8.03B");
        assert_eq!(
            Parameters(999_885_952).to_string(),
            "1.00B",
            "what rounds to the next unit is told in it"
        );
        assert_eq!(Parameters(9_996_000).to_string(), "10.0M");
        assert_eq!(Parameters(999).to_string(), "999");
        assert_eq!(Bytes(1_048_575).to_string(), "1.00\u{202f}MiB");
        assert_eq!(When(0).machine(), "1970-01-01T00:00:00Z");
        assert_eq!(When(1_709_251_199).to_string(), "29\u{a0}Feb\u{a0}2024");
        assert_eq!(When(-1).machine(), "1969-12-31T23:59:59Z");
        assert_eq!(Fraction(0.98765).to_string(), "0.9877");
    }

    #[test]
    fn names_between_backticks_are_code_and_markup_stays_text() {
        assert_eq!(said("no `a/b` here").to_string(), "no <code>a/b</code> here");
        assert_eq!(said("`<b>`").to_string(), "<code>&#60;b&#62;</code>");
        assert_eq!(said("one ` and \"").to_string(), "one ` and &#34;");
        let told = "p = 10<sup>\u{2212}27</sup>, 10<sup>6</sup> or 10^x";
        assert_eq!(said("p = 10^-27, 10^6 or 10^x").to_string(), told);
    }

    #[test]
    fn faults_that_are_listed_are_not_told_in_the_heading_too() {
        let item = |pointer: &str, message: &str| Item { pointer: pointer.into(), message: message.into() };
        let listed = [item("/a", "one"), item("", "two")];

        assert_eq!(
            heading("/a: one; two", &listed),
            "The request has 2\u{202f}faults.".replace('\u{202f}', " ")
        );
        assert_eq!(heading("model `x`: /a: one; two", &listed), "model `x`:");
        assert_eq!(heading("The recipe cannot be read.", &listed), "The recipe cannot be read.");
        assert_eq!(heading("No recipe.", &[]), "No recipe.");
        let short = [item("a", "no model `x`"), item("b", "no model `y`")];
        assert_eq!(heading("the request has 2 faults", &short), "The request has 2 faults.");
        assert_eq!(heading("a: no model `x`; and 1 more", &short[..1]), "The request has 1 fault.");
    }

    #[test]
    fn no_name_leaves_the_site() {
        assert_eq!(Name::from("//evil.example/x").href(), "/evil.example/x");
        assert_eq!(Name::from("a/<script>\"").href(), "/a/%3Cscript%3E%22");
    }

    #[test]
    fn licences_fall_into_classes() {
        let letter = |text: &str| LicenceClass::of(Some(text)).letter;
        assert_eq!([letter("apache-2.0"), letter("cc-by-nc-4.0"), letter("gpl-3.0")], ["P", "N", "S"]);
        assert_eq!([letter("llama3.1"), LicenceClass::of(None).letter], ["C", "?"]);
    }
}
