//! A namespace as its page shows it.

use ::web::{
    Failure,
    view::{NamespacePage, SearchQuery},
};
use domain::{Class, Fault as _, RepoId};
use jobs::Registry;

use super::{Result, search};

/// Models that the page lists.
const LISTED: u32 = 30;

/// Models and members below a name; `None` where there is nothing that the viewer may see.
pub async fn page(registry: &Registry, name: &str) -> Result<Option<NamespacePage>> {
    if RepoId::parse(name).is_err() || name.contains('/') {
        return Ok(None);
    }
    let query = SearchQuery { org: Some(name.to_owned()), limit: LISTED, ..SearchQuery::default() };
    let found = search::page(registry, &query).await?;
    // Whether an organisation without models that one sees is there is for its members to know.
    let mut more_members = false;
    let members = match jobs::members(registry, name, (None, registry.limits.list_rows)).await {
        Ok(page) => {
            more_members = page.next.is_some();
            Some(page.items.into_iter().map(|row| (row.person, row.role.as_str())).collect())
        }
        Err(error) if matches!(error.class(), Class::Forbidden | Class::NotFound) => None,
        Err(error) => return Err(Failure::from(error)),
    };
    if found.items.is_empty() && members.is_none() {
        return Ok(None);
    }
    let written = found.items.first().map_or(name, |first| first.name.org().trim_end_matches('/'));
    Ok(Some(NamespacePage {
        name: written.to_owned(),
        items: found.items,
        total: found.total,
        members,
        more_members,
    }))
}
