//! The registry itself: version, health, device and the limits in force.

use askama::Template;

use super::{Answer, Data};
use crate::{answer, view::AboutPage};

#[derive(Template)]
#[template(path = "pages/about.html")]
struct Page {
    about: AboutPage,
}

/// `GET /about`
pub async fn show(source: Data) -> Answer {
    Ok(answer::ok(&Page { about: source.about().await? }))
}
