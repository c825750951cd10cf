//! The way in: the address of the sign-in page, which leads back to where somebody was.

use std::borrow::Cow;

use actix_web::{HttpRequest, http::header};
use percent_encoding::percent_decode_str;

use crate::{address, gate::UPLOADS};

/// Bytes of an address up to which it is remembered.
const LONGEST: usize = 2_000;

/// What somebody lacks for what they ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// A token.
    Token,
    /// One that lives: the one at hand has ended.
    Life,
    /// One that may write: the one at hand may only read.
    Writing,
}

/// The address of the sign-in page that leads on to `next`, where that is a [`place`].
pub fn way_in(lack: Lack, next: Option<&str>) -> String {
    let need = (lack == Lack::Writing).then(|| "need=write".to_owned());
    let next = next.and_then(place).map(|next| format!("next={}", domain::address::path(next)));
    let asked: Vec<String> = need.into_iter().chain(next).collect();
    if asked.is_empty() { "/login".to_owned() } else { format!("/login?{}", asked.join("&")) }
}

/// Where whoever asks is: at the address itself, or, where a form was sent, on the page that it stands on.
pub fn whence(request: &HttpRequest) -> Option<String> {
    if request.method().is_safe() {
        return request.uri().path_and_query().map(ToString::to_string);
    }
    let referer = request.headers().get(header::REFERER)?.to_str().ok()?;
    let (own, (_, from)) = (address(request), referer.split_once("://")?);
    let rest = from.strip_prefix(own.split_once("://")?.1)?;
    rest.starts_with('/').then(|| rest.to_owned())
}

/// An address to which a browser can be sent after it signed in: a path of this service, which no reading of it leads to
/// another one, and in which no secret stands.
pub fn place(text: &str) -> Option<&str> {
    let plain = text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let path = text.split(['?', '#']).next().unwrap_or_default();
    (plain && path.starts_with('/') && stays(path)).then_some(text)
}

/// Whether a path stays here, however often somebody on the way decodes it.
fn stays(path: &str) -> bool {
    let mut path = Cow::Borrowed(path);
    loop {
        let strange = path.contains("//") || path.contains(|c: char| c == '\\' || c.is_control());
        let way_in = matches!(&*path, "/login" | "/logout");
        if strange || way_in || path.starts_with(UPLOADS) {
            return false;
        }
        match percent_decode_str(&path).decode_utf8() {
            Err(_) => return false,
            Ok(decoded) if decoded == path => return true,
            Ok(decoded) => path = Cow::Owned(decoded.into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::{Lack, place, way_in, whence};

    #[test]
    fn no_way_back_leaves_the_site_or_tells_a_secret() {
        for stays in [
            "/",
            "/compare/a/b...c/d?view=base#tensors",
            "/o/n/tree/refs%2Fpr%2F1",
            "/search?search=https%3A%2F%2Fx//y&tag=%0A",
            "/o/n%C3%A9",
            "/login-models/n",
        ] {
            assert_eq!(place(stays), Some(stays));
        }
        for strange in [
            "",
            "evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "/a\\b",
            "/%2Fevil.example",
            "/%252Fevil.example",
            "/%5Cevil.example",
            "/%25255Cevil.example",
            "/.%2F/evil.example",
            "/a/..//evil.example",
            "/\t/evil.example",
            "/%09/evil.example",
            "/a%0D%0ASet-Cookie:x=y",
            "/a\r\nSet-Cookie: x=y",
            "/\u{ff0f}evil.example",
            "/%FF",
            "/login?next=/",
            "/logout",
            "/%6Cogin",
            "/api/lfs/objects/1?key=secret",
        ] {
            assert_eq!(place(strange), None, "{strange:?}");
        }
        assert_eq!(place(&format!("/{}", "a".repeat(2_000))), None);
    }

    #[test]
    fn the_way_in_leads_back_to_the_page_or_to_that_of_the_form() {
        let own = ("host", "models.example");
        let page = TestRequest::get().uri("/o/n?formerly=a%2Fb&x=1").insert_header(own).to_http_request();
        let sent = |from: &str| {
            let form = TestRequest::post().uri("/edges").insert_header(own).insert_header(("referer", from));
            whence(&form.to_http_request())
        };

        let told = way_in(Lack::Token, whence(&page).as_deref());

        assert_eq!(told, "/login?next=/o/n%3Fformerly%3Da%252Fb%26x%3D1");
        assert_eq!(sent("https://models.example/o/n?a=1").as_deref(), Some("/o/n?a=1"));
        for foreign in ["https://evil.example/o/n", "https://models.example.evil/o/n", "about:blank"] {
            assert_eq!(sent(foreign), None, "{foreign}");
        }
        assert_eq!(way_in(Lack::Writing, Some("/jobs")), "/login?need=write&next=/jobs");
        assert_eq!(way_in(Lack::Life, Some("//evil.example")), "/login");
    }
}
