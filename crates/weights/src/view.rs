//! Stored bytes read in place.

use std::{fmt, ops::Deref};

/// Bytes that lie in memory, or are mapped for as long as the view lives.
pub struct View<'a>(Inner<'a>);

enum Inner<'a> {
    Borrowed(&'a [u8]),
    Held(Box<dyn AsRef<[u8]> + Send + Sync + 'a>),
}

impl<'a> View<'a> {
    /// Keeps what owns the bytes, e.g. a mapping, until the view is dropped.
    pub fn held(owner: impl AsRef<[u8]> + Send + Sync + 'a) -> Self {
        Self(Inner::Held(Box::new(owner)))
    }
}

impl<'a> From<&'a [u8]> for View<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Inner::Borrowed(bytes))
    }
}

impl Deref for View<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Borrowed(bytes) => bytes,
            Inner::Held(owner) => (**owner).as_ref(),
        }
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("View").field(&self.len()).finish()
    }
}
