//! The registry as whoever asks may see it: the only way in which a handler gets it.

use std::ops::Deref;

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use futures::future::{FutureExt as _, LocalBoxFuture};
use http::Problem;
use jobs::Registry;

/// A registry in which private models of others are not there.
pub struct Seen(Registry);

impl Deref for Seen {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.0
    }
}

impl FromRequest for Seen {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            let whole =
                request.app_data::<web::Data<Registry>>().ok_or_else(|| Problem::not_found("this"))?;
            Ok(Self(whole.seen_by(http::viewer(&request).await?)))
        }
        .boxed_local()
    }
}
