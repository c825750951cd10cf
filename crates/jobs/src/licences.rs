//! The licence of what is made from several models, and what to know of it before it is passed on.

use std::collections::BTreeSet;

use analysis::licence::covering;
use domain::Item;

use crate::Operand;

/// The licence that a result's card states: its heir's where that keeps what the licences of all `inputs` ask.
pub(crate) fn stated<'o>(heir: &'o Operand, inputs: &'o [Operand]) -> Option<&'o str> {
    let licences: Vec<Option<&str>> =
        std::iter::once(heir).chain(inputs).map(|operand| operand.license.as_deref()).collect();
    covering(&licences)
}

/// Models under different licences: the result has to keep to all of them.
pub(crate) fn caution<'o>(inputs: impl IntoIterator<Item = &'o Operand>) -> Option<Item> {
    let named: BTreeSet<&str> = inputs.into_iter().filter_map(|operand| operand.license.as_deref()).collect();
    let named = Vec::from_iter(named);
    let licences: Vec<Option<&str>> = named.iter().copied().map(Some).collect();
    let stated = covering(&licences).unwrap_or_default();
    let message = || {
        let named = named.join(", ");
        format!(
            "the models have different licences: {named}; the result keeps to all of them, its card states `{stated}`"
        )
    };
    (named.len() > 1).then(|| Item { pointer: "/models".to_owned(), message: message() })
}
