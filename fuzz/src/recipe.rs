//! What must hold for any bytes given as a merge recipe.

use analysis::merge::parse;

/// Panics when a recipe that is read does not survive its canonical form.
pub fn read(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(config) = parse(text) else { return };
    match parse(&config.canonical().to_string()) {
        Ok(again) => assert_eq!(again, config, "the canonical form means something else"),
        Err(error) => panic!("the canonical form is not read: {error}"),
    }
}
