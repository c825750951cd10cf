//! Differences of two models as the form of their comparison asks for them.

use std::{collections::BTreeMap, str::FromStr};

use ::web::view::DifferenceForm;
use domain::Item;
use jobs::{DiffForm, DiffPayload, Registry};

use super::Result;

/// Starts to store `tuned − base`; the id of its job, or all that is wrong with the form.
pub async fn submit(
    registry: &Registry,
    (tuned, base): (&str, &str),
    form: &DifferenceForm,
) -> Result<String> {
    let mut faults = Vec::new();
    let wanted = DiffForm {
        form: text(&form.form),
        density: number(("/density", &form.density), &mut faults),
        rank: number(("/rank", &form.rank), &mut faults),
        energy: number(("/energy", &form.energy), &mut faults),
        dtype: text(&form.dtype),
    };
    if !faults.is_empty() {
        let checked = async || wanted.check(&registry.limits);
        return Err(jobs::beside(faults, checked).await.into());
    }
    let (tuned, base) = (tuned.to_owned(), base.to_owned());
    let payload = DiffPayload { tuned, with: Vec::new(), base, form: wanted, pins: BTreeMap::new() };
    Ok(jobs::submit(registry, payload, None).await?.id)
}

fn text(typed: &str) -> Option<String> {
    (!typed.is_empty()).then(|| typed.to_owned())
}

/// What a field holds; nothing where it is empty, or is no number, which is a fault.
fn number<T: FromStr>((pointer, typed): (&str, &str), faults: &mut Vec<Item>) -> Option<T> {
    if typed.is_empty() {
        return None;
    }
    let read = typed.parse().ok();
    if read.is_none() {
        let message = format!("`{typed}` is no number that fits here");
        faults.push(Item { pointer: pointer.to_owned(), message });
    }
    read
}
