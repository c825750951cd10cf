//! Lists and dictionaries that a table holds as text: JSON, or what Python and NumPy print for them.

use serde_json::{Map, Number, Value};

/// Lists and dictionaries inside one another that are read.
const DEPTH: usize = 32;

/// The words by which tables and Python say that a value is missing.
const MISSING: [&str; 7] = ["nan", "NaN", "None", "null", "NaT", "<NA>", "n/a"];

/// Whether a text only says that a value is missing.
pub(crate) fn is_missing(text: &str) -> bool {
    MISSING.contains(&text.trim())
}

/// The value a text holds as JSON, or as a literal of Python: `{'a': None}`, `['a' 'b']` as NumPy prints it,
/// `array([…], dtype=object)` and `Name(key=value)`. None where it is neither.
pub(crate) fn read(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| {
        let mut reader = Reader { rest: text.trim(), depth: 0 };
        let value = reader.value()?;
        reader.skip();
        reader.rest.is_empty().then_some(value)
    })
}

/// What is left of a literal.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Passes a mark that comes next.
    fn pass(&mut self, mark: char) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Option<Value> {
        self.skip();
        match self.rest.chars().next()? {
            '[' => self.inside(|reader| reader.list('[', ']')),
            '(' => self.inside(|reader| reader.list('(', ')')),
            '{' => self.inside(Self::braces),
            quote @ ('\'' | '"') => self.text(quote).map(Value::String),
            '0'..='9' | '-' | '+' | '.' => self.number(),
            _ => self.word(),
        }
    }

    fn inside(&mut self, read: impl FnOnce(&mut Self) -> Option<Value>) -> Option<Value> {
        self.depth += 1;
        let value = if self.depth <= DEPTH { read(self) } else { None };
        self.depth -= 1;
        value
    }

    /// Items with commas between them, or with blanks alone; NumPy shortens long ones by `...`.
    fn list(&mut self, open: char, close: char) -> Option<Value> {
        let mut items = Vec::new();
        self.pass(open);
        while !self.pass(close) {
            match self.rest.strip_prefix("...") {
                Some(rest) => self.rest = rest,
                None => items.push(self.value()?),
            }
            self.pass(',');
        }
        Some(Value::Array(items))
    }

    /// A dictionary, or a set as a list.
    fn braces(&mut self) -> Option<Value> {
        let (mut map, mut items) = (Map::new(), Vec::new());
        self.pass('{');
        while !self.pass('}') {
            let value = self.value()?;
            if self.pass(':') {
                let key = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                map.insert(key, self.value()?);
            } else {
                items.push(value);
            }
            self.pass(',');
        }
        Some(if items.is_empty() { Value::Object(map) } else { Value::Array(items) })
    }

    fn text(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            if letter == quote {
                self.rest = &self.rest[at + quote.len_utf8()..];
                return Some(text);
            }
            if letter != '\\' {
                text.push(letter);
                continue;
            }
            let (_, escaped) = letters.next()?;
            let digits = match escaped {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            if digits > 0 {
                let code: String = letters.by_ref().take(digits).map(|(_, digit)| digit).collect();
                text.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                continue;
            }
            match escaped {
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                't' => text.push('\t'),
                '\\' | '\'' | '"' => text.push(escaped),
                '\n' => {}
                other => text.extend(['\\', other]),
            }
        }
        None
    }

    fn number(&mut self) -> Option<Value> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-._".contains(c)));
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let text = text.replace('_', "");
        let whole = text.parse::<i64>().ok().map(Number::from);
        let number = whole.or_else(|| Number::from_f64(text.parse().ok()?));
        number.map(Value::Number).or_else(|| text.ends_with("inf").then_some(Value::Null))
    }

    /// A name: a constant, the letter before a text, or a call.
    fn word(&mut self) -> Option<Value> {
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || "_.<>/".contains(c)));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match (word, rest.chars().next()) {
            ("", _) => None,
            ("True" | "true", _) => Some(true.into()),
            ("False" | "false", _) => Some(false.into()),
            ("inf", _) => Some(Value::Null),
            ("b" | "u" | "r", Some(quote @ ('\'' | '"'))) => self.text(quote).map(Value::String),
            (_, Some('(')) => self.inside(Self::arguments),
            (word, _) => is_missing(word).then_some(Value::Null),
        }
    }

    /// The first argument of a call, or those with names as an object.
    fn arguments(&mut self) -> Option<Value> {
        let (mut first, mut named) = (None, Map::new());
        self.pass('(');
        while !self.pass(')') {
            match self.name() {
                Some(name) if named.is_empty() && first.is_some() && name == "dtype" => {
                    // `dtype=object` is no value of the literal.
                    let end = self.rest.find([',', ')'])?;
                    self.rest = &self.rest[end..];
                }
                Some(name) => {
                    let value = self.value()?;
                    named.insert(name, value);
                }
                None => {
                    let value = self.value()?;
                    first.get_or_insert(value);
                }
            }
            self.pass(',');
        }
        Some(first.unwrap_or(Value::Object(named)))
    }

    /// The name of an argument, passed with the `=` after it.
    fn name(&mut self) -> Option<String> {
        self.skip();
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
        let (name, rest) = self.rest.split_at(end);
        let rest = rest.strip_prefix('=').filter(|_| !name.is_empty())?;
        let name = name.to_owned();
        self.rest = rest;
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;

    #[test]
    fn literals_of_python_and_numpy_are_read_as_json() {
        for (text, value) in [
            (r#"{"a": "caf\u00e9"}"#, json!({ "a": "café" })),
            (
                "{'a': None, 'b': True, 'c': [1, 2.5], 'd': nan}",
                json!({ "a": null, "b": true, "c": [1, 2.5], "d": null }),
            ),
            ("['a' 'b'\n 'c']", json!(["a", "b", "c"])),
            (r#"['it\'s, fine', "x", b'y', '\u00e9\x41\n\d']"#, json!(["it's, fine", "x", "y", "éA\n\\d"])),
            ("('a', 'b',)", json!(["a", "b"])),
            ("{'a', 'b'}", json!(["a", "b"])),
            ("{}", json!({})),
            (
                "{'relation': 'merge', 'models': array([{'_id': '1', 'id': 'a/b'}], dtype=object)}",
                json!({ "relation": "merge", "models": [{ "_id": "1", "id": "a/b" }] }),
            ),
            (
                "[RepoSibling(rfilename='a.gguf', size=None), RepoSibling(rfilename='b', size=1)]",
                json!([{ "rfilename": "a.gguf", "size": null }, { "rfilename": "b", "size": 1 }]),
            ),
        ] {
            assert_eq!(read(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_literal_is_none() {
        let deep = "[".repeat(10_000);
        for text in ["", "[", "['a'", "{'a': }", "[en, de]", "a: b", "'a' 'b'", "f(", &deep] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
