//! What a family tree is narrowed to, as the address states it.

use super::{encoded, search};

/// Values by side; of one side any may hold, all sides must.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Narrowing {
    pub relation: Vec<String>,
    /// Classes of licences, or licences as written.
    pub license: Vec<String>,
    pub size: Vec<String>,
}

impl Narrowing {
    /// The sides: parameter, title and the values that are offered.
    pub(crate) const SIDES: [(&str, &str, &[&str]); 3] = [
        (
            "relation",
            "Descends by",
            &["finetune", "adapter", "quantized", "merge", "transfer", "conversion", "distil"],
        ),
        ("license", "Licence", &["permissive", "share-alike", "non-commercial", "custom", "unknown"]),
        ("size", "Size", &["under-100m", "100m-1b", "1b-4b", "4b-10b", "10b-40b", "over-40b"]),
    ];

    /// Whether nothing is held back.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The values of relation, licence and size.
    pub fn sides(&self) -> [&Vec<String>; 3] {
        [&self.relation, &self.license, &self.size]
    }

    pub(crate) fn side(&mut self, parameter: &str) -> &mut Vec<String> {
        match parameter {
            "relation" => &mut self.relation,
            "license" => &mut self.license,
            _ => &mut self.size,
        }
    }

    /// The same with a value more, or without it.
    pub(crate) fn toggled(&self, parameter: &str, value: &str) -> Self {
        let mut other = self.clone();
        let side = other.side(parameter);
        match side.iter().position(|known| known == value) {
            Some(at) => drop(side.remove(at)),
            None => side.push(value.to_owned()),
        }
        other
    }

    /// Parameter and values that commas part, of every side that holds something back.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let sides = Self::SIDES.into_iter().zip(self.sides());
        sides
            .filter(|(_, values)| !values.is_empty())
            .map(|((key, ..), values)| (key, values.join(",")))
            .collect()
    }

    /// `relation=merge&size=1b-4b`; empty where nothing is held back.
    pub(crate) fn query(&self) -> String {
        let pair = |(key, value): (&str, String)| format!("{key}={}", encoded(&value).replace("%2C", ","));
        self.fields().into_iter().map(pair).collect::<Vec<_>>().join("&")
    }
}

/// A value as people read it.
pub(crate) fn side_label(parameter: &str, value: &str) -> String {
    match (parameter, value) {
        ("license", "unknown") => "not stated".to_owned(),
        (parameter, value) => search::facet_label(parameter, value),
    }
}
