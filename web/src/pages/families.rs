//! Families, largest first.

use actix_web::HttpRequest;
use askama::Template;
use domain::Class;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    source::Failure,
    view::{Count, FamilyRow, plural},
};

#[derive(Template)]
#[template(path = "pages/families.html")]
struct Page {
    families: Vec<FamilyRow>,
    /// How many there are, and which of them are listed.
    told: String,
    next: Option<String>,
}

/// `GET /families?cursor=`
pub async fn list(source: Data, request: HttpRequest) -> Answer {
    let from = match Asked::read(request.query_string()).get("cursor") {
        None => 0,
        Some(text) => text.parse::<usize>().map_err(|_| no_place(text))?,
    };
    let (families, all) = source.families(from).await?;
    let (before, end) = (from as u64, from.saturating_add(families.len()) as u64);
    let listed = plural(all, "family", "families");
    let told = match (before, end) {
        (0, end) if end == all => format!("{listed}."),
        (0, end) => format!("The {} largest of {listed}.", Count(end)),
        _ => format!("Numbers {} to {} of {listed}, by size.", Count(before + 1), Count(end)),
    };
    let next = (end < all && !families.is_empty()).then(|| format!("/families?cursor={end}"));
    Ok(answer::ok(&Page { families, told, next }))
}

fn no_place(cursor: &str) -> Failure {
    let cursor: String = cursor.chars().take(120).collect();
    let told = format!("`{cursor}` is no place in the list of families; begin at `/families`.");
    Failure::new(Class::Invalid, "bad_cursor", told)
}
