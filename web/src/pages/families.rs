//! Families, largest first.

use askama::Template;

use super::{Answer, Data};
use crate::{
    answer,
    view::{Count, FamilyRow, plural},
};

#[derive(Template)]
#[template(path = "pages/families.html")]
struct Page {
    families: Vec<FamilyRow>,
    /// How many there are, and how many of them are listed.
    told: String,
}

/// `GET /families`
pub async fn list(source: Data) -> Answer {
    let (families, all) = source.families().await?;
    let told = match families.len() as u64 == all {
        true => format!("{}.", plural(all, "family", "families")),
        false => {
            format!("The {} largest of {}.", Count(families.len() as u64), plural(all, "family", "families"))
        }
    };
    Ok(answer::ok(&Page { families, told }))
}
