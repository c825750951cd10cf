//! Why somebody should sign in before they fill in a form.

use http::Lack;

/// What is told above a form that would be refused.
#[derive(Debug, Clone)]
pub(crate) struct SignIn {
    pub why: &'static str,
    /// The sign-in page, which leads back.
    pub href: String,
}

impl SignIn {
    pub(crate) fn of(lack: Lack, from: Option<&str>) -> Self {
        let why = match lack {
            Lack::Token => "This needs a token that may write.",
            Lack::Life => "Your session has ended, or its token has.",
            Lack::Writing => "This needs a token that may write; the one you signed in with may only read.",
        };
        Self { why, href: http::way_in(lack, from) }
    }
}
