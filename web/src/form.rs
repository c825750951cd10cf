//! A form as it was sent; one that cannot be read is answered with the page that says why.

use std::fmt;

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, ResponseError, dev::Payload, http::StatusCode, web::Bytes,
};
use futures::future::{FutureExt as _, LocalBoxFuture};

use crate::{answer, asked::Asked};

/// The fields of a form.
pub struct Form(pub Asked);

/// A form that cannot be read, by the status of what went wrong.
#[derive(Debug)]
pub struct Unread(StatusCode);

impl FromRequest for Form {
    type Error = Unread;
    type Future = LocalBoxFuture<'static, Result<Self, Unread>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = Bytes::from_request(request, payload);
        async move {
            let body = body.await.map_err(|error| Unread(error.as_response_error().status_code()))?;
            Ok(Self(Asked::body(&body)))
        }
        .boxed_local()
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the form cannot be read: {}", self.0)
    }
}

impl ResponseError for Unread {
    fn status_code(&self) -> StatusCode {
        match self.0 {
            StatusCode::PAYLOAD_TOO_LARGE => self.0,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let told = match self.0 {
            StatusCode::PAYLOAD_TOO_LARGE => {
                ("Too large", "The form is longer than is accepted here. Shorten it and send it again.")
            }
            _ => (
                "The form cannot be read",
                "Something went wrong while it was sent. Go back and send it again.",
            ),
        };
        answer::error_page(self.status_code(), told.0, told.1)
    }
}
