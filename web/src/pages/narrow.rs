//! The chips by which trees and lists of children are narrowed. Every chip is a link, so that the state is in the
//! address and no script is needed.

use crate::{
    asked::Asked,
    view::{LicenceClass, Narrowing, plural, side_label},
};

/// The chips of a page.
pub struct Chips {
    pub groups: Vec<Group>,
    /// Whether something is held back.
    pub on: bool,
    /// How many that is, in words.
    pub told: String,
    /// The page without the filter.
    pub bare: String,
    /// Fields that a form on the page sends along.
    pub kept: Vec<(&'static str, String)>,
}

pub struct Group {
    pub parameter: &'static str,
    pub title: &'static str,
    pub chips: Vec<Chip>,
}

pub struct Chip {
    pub label: String,
    /// The letter of a class of licences.
    pub letter: Option<LicenceClass>,
    pub href: String,
    pub on: bool,
}

/// Reads what is asked for: keys repeated, or values that commas part.
pub fn read(asked: &Asked) -> Narrowing {
    let mut narrowing = Narrowing::default();
    for (parameter, ..) in Narrowing::SIDES {
        let values = asked.all(parameter);
        for value in values.iter().flat_map(|list| list.split(',')).map(|value| value.trim().to_lowercase()) {
            let side = narrowing.side(parameter);
            if !value.is_empty() && !side.contains(&value) && side.len() < 20 {
                side.push(value);
            }
        }
    }
    narrowing
}

impl Chips {
    /// The chips of what is narrowed; `address` is the page with another query of theirs.
    pub fn of(narrowing: &Narrowing, told: String, address: impl Fn(&str) -> String) -> Self {
        let group = |((parameter, title, offered), chosen): ((&'static str, _, &[&str]), &Vec<String>)| {
            let mut values: Vec<&str> = offered.to_vec();
            values.extend(chosen.iter().map(String::as_str).filter(|value| !offered.contains(value)));
            let class =
                |value: &str| LicenceClass::ALL.into_iter().zip(offered).find(|(_, word)| **word == value);
            let chip = |value: &str| Chip {
                label: side_label(parameter, value),
                letter: class(value).filter(|_| parameter == "license").map(|(class, _)| class),
                href: address(&narrowing.toggled(parameter, value).query()),
                on: chosen.iter().any(|known| known == value),
            };
            Group { parameter, title, chips: values.into_iter().map(chip).collect() }
        };
        Self {
            groups: Narrowing::SIDES.into_iter().zip(narrowing.sides()).map(group).collect(),
            on: !narrowing.is_empty(),
            told,
            bare: address(""),
            kept: narrowing.fields(),
        }
    }
}

/// How many models a filter hides in what is drawn, in words.
pub fn held_back(models: u64) -> String {
    let told = plural(models, "model is", "models are");
    format!("{told} hidden by the filter; what leads to a model that is shown stays.")
}

/// An address with one more part of its query.
pub fn with(address: impl AsRef<str>, query: &str) -> String {
    let address = address.as_ref();
    match (query.is_empty(), address.contains('?')) {
        (true, _) => address.to_owned(),
        (false, true) => format!("{address}&{query}"),
        (false, false) => format!("{address}?{query}"),
    }
}
