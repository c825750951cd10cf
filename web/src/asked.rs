//! Fields of a query string or a form: repeated keys kept, empty ones dropped; reading them as text cannot fail.

use actix_web::web::Query;
use domain::Class;

use crate::source::Failure;

/// What was asked.
#[derive(Debug, Clone, Default)]
pub struct Asked(Vec<(String, String)>);

impl Asked {
    /// Reads `a=1&b=2`; an unreadable string asks nothing.
    pub fn read(text: &str) -> Self {
        let pairs =
            Query::<Vec<(String, String)>>::from_query(text).map(Query::into_inner).unwrap_or_default();
        Self(pairs.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect())
    }

    /// Reads the body of a form.
    pub fn body(bytes: &[u8]) -> Self {
        std::str::from_utf8(bytes).map(Self::read).unwrap_or_default()
    }

    /// The first value of a key, trimmed.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.trim())
    }

    /// The first value as text, empty when absent.
    pub fn text(&self, key: &str) -> String {
        self.get(key).unwrap_or_default().to_owned()
    }

    /// A number of generations: all of them where it says so or says nothing.
    ///
    /// # Errors
    /// For a word that is neither.
    pub fn generations(&self, key: &str) -> Result<Option<u32>, Failure> {
        let Some(word) = self.get(key).filter(|word| *word != "all") else { return Ok(None) };
        let told = || format!("`{key}` is a number of generations or `all`, not `{word}`.");
        word.parse().map(Some).map_err(|_| Failure::new(Class::Invalid, "invalid_request", told()))
    }

    /// Every value of a key, trimmed; at most 100.
    pub fn all(&self, key: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(known, _)| known == key)
            .take(100)
            .map(|(_, value)| value.trim().to_owned())
            .collect()
    }
}
