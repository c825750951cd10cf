//! Fields of a query string or a form: repeated keys kept, empty ones dropped, nothing can fail.

use actix_web::web::Query;

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
