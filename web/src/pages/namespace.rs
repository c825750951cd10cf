//! A namespace: its models, and its members where it is an organisation.

use askama::Template;

use super::Data;
use crate::{
    answer,
    view::{NamespacePage, plural},
};

#[derive(Template)]
#[template(path = "pages/namespace.html")]
struct Page {
    page: NamespacePage,
}

impl Page {
    fn told(&self) -> String {
        plural(self.page.total.unwrap_or(self.page.items.len() as u64), "model", "models")
    }
}

/// The page of a name that no model has; none where no model here is below it either.
pub async fn page(source: &Data, name: &str) -> crate::source::Result<Option<actix_web::HttpResponse>> {
    Ok(source.namespace(name).await?.map(|page| answer::ok(&Page { page })))
}
