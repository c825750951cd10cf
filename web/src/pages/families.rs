//! Families, largest first.

use askama::Template;

use super::{Answer, Data};
use crate::{answer, view::FamilyRow};

#[derive(Template)]
#[template(path = "pages/families.html")]
struct Page {
    families: Vec<FamilyRow>,
}

/// `GET /families`
pub async fn list(source: Data) -> Answer {
    Ok(answer::ok(&Page { families: source.families().await? }))
}
