//! Which of a record's columns names its model.

use domain::RepoId;

use super::{
    columns,
    fields::{Fields, scalar},
};

/// The name of a record's model: the first with an organisation, else the first that is no row's number. A bare one in a
/// column of names alone stands under the author of its row.
///
/// # Errors
/// When no column has a valid name.
pub(super) fn of(fields: &Fields<'_>) -> Result<RepoId, String> {
    let mut named: Vec<(&str, &str)> = Vec::new();
    for &column in columns::ID {
        named.extend(fields.text(&[column]).map(|text| (column, text.trim())));
    }
    let whole = named.iter().find(|(_, text)| text.contains('/'));
    let Some(&(column, text)) = whole.or_else(|| named.iter().find(|(_, text)| !is_number(text))) else {
        let number = fields.get(columns::ID).and_then(scalar).filter(|found| is_number(found));
        return Err(number.map_or_else(
            || "the record has no id; expected `id` or `modelId`".to_owned(),
            |found| format!("the id is {found}, the number of a row; the name of a model is expected"),
        ));
    };
    let author = fields.text(&["author"]).filter(|_| whole.is_none() && column == "model_name");
    let name = author.map_or_else(|| text.to_owned(), |author| format!("{}/{text}", author.trim()));
    RepoId::parse(&name).map_err(|error| error.to_string())
}

/// Whether a text is what a database numbers its rows by: digits, or an object id of 24 hex digits.
pub(crate) fn is_number(text: &str) -> bool {
    let hex = text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    !text.is_empty() && (hex || text.bytes().all(|byte| byte.is_ascii_digit()))
}
