//! One file per page: reads the address, asks the source, fills the template.

pub mod about;
pub mod advisories;
pub mod atlas;
pub mod badge;
pub mod children;
pub mod compare;
pub mod edges;
pub mod errors;
pub mod families;
pub mod file;
pub mod home;
pub mod icicle;
pub mod jobs;
pub mod kin;
pub mod kinship;
pub mod licences;
pub mod lineage;
pub mod login;
pub mod merges;
pub mod methods;
pub mod model;
pub mod models;
pub mod named;
pub mod namespace;
pub mod narrow;
pub mod path;
pub mod reports;
pub mod revisions;
pub mod settings;
pub mod transfers;

use std::{ops::Deref, sync::Arc};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, web};
use futures::future::{FutureExt as _, LocalBoxFuture};
use http::Problem;

use crate::{
    source,
    view::{Faults, Name},
};

/// What the pages take their data from, as whoever asks may see it.
pub struct Data(Arc<dyn source::Source>);

impl Deref for Data {
    type Target = dyn source::Source;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl FromRequest for Data {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            let whole = request.app_data::<web::Data<dyn source::Source>>();
            let whole = whole.ok_or_else(|| Problem::not_found("this page"))?;
            Ok(Self(whole.seen_by(http::viewer(&request).await?)))
        }
        .boxed_local()
    }
}

/// Names offered for a field.
const OFFERED: usize = 4;

/// Names that may have been meant in a field.
pub(crate) struct Offer {
    pub label: &'static str,
    /// Each with the address of the page that takes it.
    pub names: Vec<(Name, String)>,
}

/// What may have been meant by the names in fields whose faults are told; `address` takes it in place of what was typed.
pub(crate) async fn offers(
    source: &Data,
    (faults, typed): (&Faults, &[(&str, &str)]),
    address: impl Fn(&str, &Name) -> String,
) -> Vec<Offer> {
    let mut offers = Vec::new();
    for (name, label) in faults.told.iter().filter_map(|told| told.field) {
        let Some((_, text)) = typed.iter().find(|(known, _)| *known == name) else { continue };
        // A text that is too long for a search has no neighbours.
        let mut near = source.suggest(Name::from(*text).short()).await.unwrap_or_default();
        // All of them hold what was typed; the nearest has the least beside it.
        near.sort_by_key(|name| name.0.chars().count().abs_diff(text.chars().count()));
        let names: Vec<_> =
            near.into_iter().take(OFFERED).map(|near| (near.clone(), address(name, &near))).collect();
        if !names.is_empty() {
            offers.push(Offer { label, names });
        }
    }
    offers
}

/// What a page returns.
pub type Answer = source::Result<HttpResponse>;
