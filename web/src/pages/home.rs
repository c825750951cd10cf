//! The front page: one search box, the size of the catalogue, the biggest families.

use askama::Template;

use super::{Answer, Data};
use crate::{answer, view::HomePage};

#[derive(Template)]
#[template(path = "pages/home.html")]
struct Page {
    home: HomePage,
}

/// `GET /`
pub async fn show(source: Data) -> Answer {
    Ok(answer::ok(&Page { home: source.home().await? }))
}
