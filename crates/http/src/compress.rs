//! Compression of what is whole in memory: better than what is compressed while it is sent.

use std::io::{self, Write as _};

use actix_web::{
    HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, AcceptEncoding, Encoding, Header as _, HeaderValue},
    middleware::Next,
};
use flate2::{Compression, write::GzEncoder};

/// Bytes from which on an answer is left to the faster compression that follows the sending.
const MOST: usize = 1 << 20;
/// Bytes below which gzip would make an answer longer.
const LEAST: usize = 256;

/// How much time goes into compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// For what is made for one request.
    Once,
    /// For what is kept and sent often.
    Kept,
}

/// Text as gzip.
///
/// # Errors
/// None that writing to memory can have.
pub fn gzip(text: &[u8], effort: Effort) -> io::Result<Vec<u8>> {
    let level = match effort {
        Effort::Once => Compression::new(6),
        Effort::Kept => Compression::best(),
    };
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(text)?;
    encoder.finish()
}

/// Whether whoever asks reads gzip.
pub fn reads_gzip(request: &HttpRequest) -> bool {
    let offered = [Encoding::gzip(), Encoding::identity()];
    let asked = AcceptEncoding::parse(request).ok().and_then(|asked| asked.negotiate(offered.iter()));
    asked == Some(Encoding::gzip())
}

/// Middleware: pages and pictures that are whole in memory leave as gzip where that is read.
///
/// # Errors
/// Those of the service behind it.
pub async fn compress_pages<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let reads = reads_gzip(request.request());
    let answer = next.call(request).await?.map_into_boxed_body();
    let headers = answer.headers();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let page = kind.starts_with("text/html") || kind.starts_with("image/svg+xml");
    if !page || headers.contains_key(header::CONTENT_ENCODING) {
        return Ok(answer);
    }
    let (request, answer) = answer.into_parts();
    let (mut head, body) = answer.into_parts();
    head.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(stream) => return Ok(ServiceResponse::new(request, head.set_body(stream))),
    };
    let short = match reads && (LEAST..MOST).contains(&bytes.len()) {
        true => gzip(&bytes, Effort::Once).ok(),
        false => None,
    };
    let Some(short) = short else {
        return Ok(ServiceResponse::new(request, head.set_body(BoxBody::new(bytes))));
    };
    head.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Ok(ServiceResponse::new(request, head.set_body(BoxBody::new(short))))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use actix_web::{App, HttpResponse, middleware::from_fn, test, web};
    use flate2::read::GzDecoder;

    use super::*;

    /// The coding and the bytes of a page asked for with an `Accept-Encoding`.
    async fn asked(accept: &str) -> (Option<HeaderValue>, Vec<u8>) {
        let page = || async { HttpResponse::Ok().content_type("text/html").body("<p>page</p>".repeat(100)) };
        let app = App::new().wrap(from_fn(compress_pages)).route("/", web::get().to(page));
        let request = test::TestRequest::get().insert_header((header::ACCEPT_ENCODING, accept.to_owned()));
        let answer = test::call_service(&test::init_service(app).await, request.to_request()).await;
        assert_eq!(answer.headers().get(header::VARY).unwrap(), "accept-encoding");
        (answer.headers().get(header::CONTENT_ENCODING).cloned(), test::read_body(answer).await.to_vec())
    }

    #[actix_web::test]
    async fn a_page_is_compressed_for_those_who_read_it() {
        for accept in ["gzip", "br, gzip;q=0.5", "gzip, deflate, br, zstd"] {
            let (coding, bytes) = asked(accept).await;
            let mut page = String::new();
            GzDecoder::new(&bytes[..]).read_to_string(&mut page).unwrap();
            assert_eq!(coding.unwrap(), "gzip");
            assert_eq!(page, "<p>page</p>".repeat(100));
        }
        for accept in ["identity", "br", "gzip;q=0"] {
            assert_eq!(asked(accept).await, (None, "<p>page</p>".repeat(100).into_bytes()), "{accept}");
        }
    }
}
