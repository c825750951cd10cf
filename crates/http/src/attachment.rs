//! What a file is called that an answer is saved as.

/// `Content-Disposition` of a file of this ending, called like a model: what not every disk takes in a name is a `-`.
pub fn attachment(stem: &str, ending: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
    let stem: String = stem.chars().map(plain).collect();
    format!("attachment; filename=\"{stem}.{ending}\"")
}

#[cfg(test)]
mod tests {
    use super::attachment;

    #[test]
    fn a_name_cannot_end_the_header_or_lead_to_a_folder() {
        assert_eq!(attachment("o/é\"n\r\n-1.5", "svg"), "attachment; filename=\"o---n---1.5.svg\"");
    }
}
