//! Pages of lists: how long they are, and where they begin.

use std::fmt;

use actix_web::{HttpRequest, HttpResponse};
use domain::Item;
use http::{Problem, Result};
use jobs::Registry;
use serde::{Deserialize, Serialize};
use store::{Page, Slice};
use utoipa::IntoParams;

use crate::hub;

/// A page length within the limits.
pub fn page_size(registry: &Registry, wanted: Option<u64>) -> Result<u64> {
    limit_of(wanted.unwrap_or(registry.limits.page), registry.limits.page_max)
}

/// The same of what is counted in memory.
pub fn page_length(registry: &Registry, wanted: Option<u64>) -> Result<usize> {
    page_size(registry, wanted).map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Listed {
    /// 1 to 1,000, default 1,000.
    limit: Option<u64>,
    /// As in the `Link` of the page before.
    cursor: Option<String>,
}

impl Listed {
    /// The part within the limits.
    ///
    /// # Errors
    /// 400 for another limit.
    pub fn part(&self, registry: &Registry) -> Result<Slice<'_>> {
        let most = registry.limits.list_rows;
        Ok((self.cursor.as_deref(), limit_of(self.limit.unwrap_or(most), most)?))
    }
}

/// A part of a list, with the address of the next in `Link`.
pub fn listed<T, V: From<T> + Serialize>(request: &HttpRequest, page: Page<T>) -> HttpResponse {
    let items: Vec<V> = page.items.into_iter().map(V::from).collect();
    hub::page(request, &items, page.next.as_deref())
}

/// The parameter `limit`, from 1 to `most`.
///
/// # Errors
/// 400 naming the parameter.
pub fn limit_of<T: PartialOrd + From<u8> + fmt::Display>(limit: T, most: T) -> Result<T> {
    if limit >= T::from(1) && limit <= most {
        return Ok(limit);
    }
    let message = format!("limit is 1 to {most}, not {limit}");
    Err(Problem::misasked(vec![Item { pointer: "limit".to_owned(), message }]))
}

/// Which page to answer.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// 1 to 100, default 20.
    pub limit: Option<u64>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// Which part of a list that is whole unless cut.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Window {
    /// 1 to 100, default 100.
    pub limit: Option<u64>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// The rows after the one that the cursor names, and the cursor of the rows after those.
///
/// # Errors
/// 400 for a limit beyond `max`; 422 `bad_cursor` for a row that is not in the list.
pub fn cut<T>(
    rows: Vec<T>,
    window: &Window,
    max: u64,
    key: fn(&T) -> &str,
) -> Result<(Vec<T>, Option<String>)> {
    let limit = limit_of(window.limit.unwrap_or(max), max)?;
    let start = match &window.cursor {
        None => 0,
        Some(cursor) => match rows.iter().position(|row| key(row) == cursor) {
            Some(last) => last + 1,
            None => return Err(no_place(cursor)),
        },
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() - start > limit;
    let page: Vec<T> = rows.into_iter().skip(start).take(limit).collect();
    let next = page.last().filter(|_| more).map(|last| key(last).to_owned());
    Ok((page, next))
}

/// The place in a list at which a page begins, where its cursor is one; 0 without a cursor.
///
/// # Errors
/// 422 `bad_cursor`.
pub fn place(cursor: Option<&str>) -> Result<usize> {
    cursor.map_or(Ok(0), |text| text.parse().map_err(|_| no_place(text)))
}

fn no_place(cursor: &str) -> Problem {
    store::Error::bad_cursor(cursor).into()
}

#[cfg(test)]
mod tests {
    use super::{Window, cut, place};

    #[test]
    fn every_row_stands_on_exactly_one_page() {
        let all: Vec<String> = ["b", "a", "d", "c", "e"].map(str::to_owned).to_vec();
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let window = Window { limit: Some(2), cursor: cursor.clone() };
            let (page, next) = cut(all.clone(), &window, 100, |row| row).unwrap();
            seen.extend(page);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }

        assert_eq!(seen, all);
    }

    #[test]
    fn a_cursor_or_limit_of_nowhere_is_refused() {
        for window in [
            Window { limit: Some(0), cursor: None },
            Window { limit: Some(101), cursor: None },
            Window { limit: None, cursor: Some("x".to_owned()) },
        ] {
            assert!(cut(vec!["a".to_owned()], &window, 100, |row| row).is_err(), "{window:?}");
        }
    }

    #[test]
    fn a_place_is_a_number_and_the_first_page_has_none() {
        assert_eq!((place(None).unwrap(), place(Some("40")).unwrap()), (0, 40));
        for other in ["", "zz", "-1", "1.5"] {
            assert_eq!(place(Some(other)).unwrap_err().code, "bad_cursor", "{other}");
        }
    }
}
