//! The style sheet and the script, compiled in and addressed by their content.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, Bytes},
};
use http::Effort;

const STYLE: &str = include_str!("../static/stemma.css");
const SCRIPT: &str = include_str!("../static/stemma.js");
// htmx 2.0.11, unchanged; its licence lies beside it.
const HTMX: &str = include_str!("../static/htmx.min.js");
const ICON: &str = include_str!("../static/stemma.svg");

struct Asset {
    name: &'static str,
    text: &'static str,
    mime: &'static str,
    hash: u64,
}

const ASSETS: [Asset; 4] = [
    Asset { name: "stemma.css", text: STYLE, mime: "text/css; charset=utf-8", hash: fnv(STYLE.as_bytes()) },
    Asset {
        name: "stemma.js",
        text: SCRIPT,
        mime: "text/javascript; charset=utf-8",
        hash: fnv(SCRIPT.as_bytes()),
    },
    Asset {
        name: "htmx.min.js",
        text: HTMX,
        mime: "text/javascript; charset=utf-8",
        hash: fnv(HTMX.as_bytes()),
    },
    Asset { name: "stemma.svg", text: ICON, mime: "image/svg+xml", hash: fnv(ICON.as_bytes()) },
];

/// The files as gzip, compressed once; none where that fails, and then they leave as they are.
static COMPRESSED: LazyLock<[Option<Bytes>; ASSETS.len()]> = LazyLock::new(|| {
    ASSETS.each_ref().map(|asset| http::gzip(asset.text.as_bytes(), Effort::Kept).ok().map(Bytes::from))
});

/// FNV-1a, 64 bits: changes when the file changes, no more is asked of it.
const fn fnv(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// The address of a file, with its hash.
pub fn href(name: &str) -> String {
    let hash = ASSETS.iter().find(|asset| asset.name == name).map_or(0, |asset| asset.hash);
    format!("/static/{name}?v={hash:016x}")
}

/// `GET /static/{name}`: for ever when asked by hash, else checked each time.
pub async fn serve(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    let Some((place, asset)) = ASSETS.iter().enumerate().find(|(_, asset)| asset.name == name.as_str())
    else {
        return crate::answer::not_found(&format!("There is no file `{name}`."));
    };
    let version = format!("{:016x}", asset.hash);
    let tag = format!("\"{version}\"");
    let known =
        request.headers().get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let forever = request.query_string() == format!("v={version}");
    let cache = if forever { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((header::ETAG, tag))
        .insert_header((header::VARY, "accept-encoding"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if known {
        return answer.finish();
    }
    answer.content_type(asset.mime);
    match COMPRESSED[place].clone().filter(|_| http::reads_gzip(&request)) {
        Some(short) => answer.insert_header((header::CONTENT_ENCODING, "gzip")).body(short),
        None => answer.body(asset.text),
    }
}
