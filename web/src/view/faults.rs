//! What is wrong with a form that is shown again, told by its fields in their order.

use std::fmt;

use super::heading;
use crate::source::Failure;

/// A field of a form.
pub(crate) struct Field {
    /// Where a request has what it holds, as `/lambda`; `/` for a text that holds all the rest.
    pub pointer: &'static str,
    /// Its name in the form; its id is this after `field-`.
    pub name: &'static str,
    /// What stands beside it.
    pub label: &'static str,
}

impl Field {
    /// What remains of the place of a fault that lies in this field.
    fn rest<'p>(&self, place: &'p str) -> Option<&'p str> {
        let rest = match self.pointer {
            "/" if place == "/" => "",
            "/" => return place.starts_with('/').then_some(place),
            pointer => place.strip_prefix(pointer)?,
        };
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }
}

/// What is wrong with a form; nothing by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    pub heading: String,
    pub told: Vec<Told>,
}

/// One fault.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Of its line in the list.
    pub id: String,
    /// Name and label of the field, where it has one.
    pub field: Option<(&'static str, &'static str)>,
    /// Where in the field, or in the request.
    pub place: String,
    pub message: String,
}

impl Faults {
    /// The faults of a failure, those of fields first, in the order of `fields`.
    pub(crate) fn of(failure: Failure, fields: &[Field]) -> Self {
        let heading = heading(&failure.detail, &failure.items);
        let told = |item: domain::Item| {
            let mut places = fields.iter().enumerate();
            let found =
                places.find_map(|(at, field)| Some((at, field, field.rest(&item.pointer)?.to_owned())));
            let (rank, field, place) = match found {
                Some((at, field, rest)) => (at, Some((field.name, field.label)), rest),
                None => (fields.len(), None, item.pointer),
            };
            (rank, Told { id: String::new(), field, place, message: item.message })
        };
        let mut told: Vec<(usize, Told)> = failure.items.into_iter().map(told).collect();
        told.sort_by_key(|(rank, _)| *rank);
        let told = told.into_iter().enumerate();
        let told = told.map(|(at, (_, told))| Told { id: format!("fault-{at}"), ..told }).collect();
        Self { heading, told }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heading.is_empty()
    }

    /// The attributes that tie a field to its faults.
    pub(crate) fn marks(&self, name: &str) -> Marks {
        let of = self.told.iter().filter(|told| told.field.is_some_and(|(known, _)| known == name));
        Marks(of.map(|told| told.id.clone()).collect())
    }
}

/// `aria-invalid` and `aria-describedby` of a field, or nothing.
pub(crate) struct Marks(Vec<String>);

impl askama::filters::HtmlSafe for Marks {}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_empty() {
            true => Ok(()),
            false => write!(f, " aria-invalid=\"true\" aria-describedby=\"{}\"", self.0.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{Class, Item};

    use super::*;

    const FIELDS: [Field; 3] = [
        Field { pointer: "/base", name: "base", label: "Base" },
        Field { pointer: "/lambda", name: "strength", label: "λ" },
        Field { pointer: "/", name: "text", label: "Recipe" },
    ];

    #[test]
    fn faults_stand_in_the_order_of_the_form_and_are_tied_to_their_fields() {
        let mut failure = Failure::new(Class::Invalid, "invalid_request", "the request has 4 faults");
        for (pointer, message) in
            [("/lambda/0", "no number"), ("", "too much"), ("/based", "unknown"), ("/base", "missing")]
        {
            failure.items.push(Item { pointer: pointer.into(), message: message.into() });
        }

        let faults = Faults::of(failure, &FIELDS);

        let told: Vec<_> = faults
            .told
            .iter()
            .map(|told| (told.field.map(|(name, _)| name), told.place.as_str(), told.message.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (Some("base"), "", "missing"),
                (Some("strength"), "/0", "no number"),
                (Some("text"), "/based", "unknown"),
                (None, "", "too much"),
            ]
        );
        let marks = " aria-invalid=\"true\" aria-describedby=\"fault-1\"";
        assert_eq!(faults.marks("strength").to_string(), marks);
        assert_eq!(faults.marks("output").to_string(), "");
        assert_eq!(faults.heading, "The request has 4 faults.");
        assert!(!faults.is_empty() && Faults::default().is_empty());
    }
}
