//! The model that an address names, and the page of a name that nobody has.

use std::{
    collections::BTreeSet,
    future::{Ready, ready},
    ops::Deref,
};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload};
use http::Problem;

use super::Data;
use crate::{answer, view::Name};

/// `{org}/{name}` of an address, or `{name}` of one without an organisation, such as `gpt2`.
pub struct ModelName(pub String);

impl Deref for ModelName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl FromRequest for ModelName {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let part = |key: &str| request.match_info().get(key).unwrap_or_default();
        ready(Ok(Self(match part("org") {
            "" => part("name").to_owned(),
            org => format!("{org}/{}", part("name")),
        })))
    }
}

/// The 404 page of a model, with the names that may have been meant.
pub async fn unknown(source: &Data, name: &str) -> HttpResponse {
    let short = name.split_once('/').map_or(name, |(_, short)| short);
    // A part that is too long for a search has no neighbours.
    let mut near = source.suggest(short).await.unwrap_or_default();
    near.retain(|near| alike(short, near));
    answer::no_model(name, &near)
}

/// Whether a name may have been meant by a word: most of what is written in either is in both. Three letters in a long
/// name are no likeness.
fn alike(word: &str, name: &Name) -> bool {
    let threes = |text: &str| -> BTreeSet<Vec<char>> {
        let letters: Vec<char> = text.to_lowercase().chars().collect();
        letters.windows(3.min(letters.len().max(1))).map(<[char]>::to_vec).collect()
    };
    let (word, name) = (threes(word), threes(name.short()));
    let both = word.intersection(&name).count();
    both > 0 && 2 * both >= word.len().min(name.len())
}

#[cfg(test)]
mod tests {
    use super::alike;
    use crate::view::Name;

    #[test]
    fn a_misspelt_name_is_offered_and_a_stranger_with_three_letters_of_it_is_not() {
        let meant = Name::from("mandoc/scribe-v1");

        assert!(alike("scribe", &meant) && alike("scribe-v2", &meant) && alike("Scrible-v1", &meant));
        assert!(!alike("described-image", &Name::from("o/ribbon-classifier")));
        assert!(!alike("no-such-model", &Name::from("o/modest-net-of-all")));
    }
}
