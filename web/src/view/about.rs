//! What this registry is and how it is set up.

/// The registry at work.
#[derive(Debug, Clone, Default)]
pub struct AboutPage {
    pub version: &'static str,
    /// Parts with how they are: label, state, and whether that is well.
    pub parts: Vec<(&'static str, String, bool)>,
    /// Limits in force, by name.
    pub limits: Vec<(String, String)>,
}
