//! How many requests one caller may make: a bucket for each kind, which fills evenly over five minutes.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use actix_web::{
    HttpMessage as _, HttpRequest, ResponseError as _,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web::Data,
};
use domain::{Limits, RATE_SECONDS};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};
use store::TokenRow;

use crate::{Problem, PublicUrl};

/// Buckets that are full again are forgotten whenever so many requests have come.
const TIDY_EACH: u32 = 1_024;

/// Addresses below `/api/v1` that read weights, walk through much or make jobs, and the pages that do.
const MEASURED: &[&str] = &[
    "/api/v1/adapters",
    "/api/v1/diffs",
    "/api/v1/imports",
    "/api/v1/kinship",
    "/api/v1/merges",
    "/api/v1/reports",
    "/api/v1/searches",
    "/api/v1/sparql",
    "/api/v1/transfers",
    "/api/v1/transplants",
    "/compare",
    "/kinship",
    "/merges",
    "/reports",
    "/transfers",
];
/// What the addresses of a model end in that do.
const MEASURED_OF_MODEL: &[&str] = &["/kin", "/merge-suggestions", "/relatives"];

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Caller {
    Token(i64),
    /// Of IPv6 the network, for everybody has 2^64 addresses there.
    Network(IpAddr),
}

/// One kind of requests.
struct Kind {
    name: &'static str,
    quota: NonZeroU32,
    buckets: RateLimiter<Caller, HashMapStateStore<Caller>, DefaultClock, StateInformationMiddleware>,
    since_tidied: AtomicU32,
}

/// What a caller has left after a request.
struct Left {
    requests: u32,
    /// Seconds until there is one more.
    seconds: u64,
}

impl Kind {
    /// None for a quota of 0, which is for any number.
    fn new(name: &'static str, quota: u32) -> Option<Self> {
        let quota = NonZeroU32::new(quota)?;
        let one = Duration::from_secs(RATE_SECONDS) / quota.get();
        let rate = Quota::with_period(one)?.allow_burst(quota);
        let buckets = RateLimiter::hashmap_with_clock(rate, DefaultClock::default()).with_middleware();
        Some(Self { name, quota, buckets, since_tidied: AtomicU32::new(0) })
    }

    /// Takes a request out of the caller's bucket.
    ///
    /// # Errors
    /// What is left in an empty one.
    fn take(&self, caller: Caller) -> Result<Left, Left> {
        if self.since_tidied.fetch_add(1, Ordering::Relaxed) >= TIDY_EACH {
            self.since_tidied.store(0, Ordering::Relaxed);
            self.buckets.retain_recent();
        }
        match self.buckets.check_key(&caller) {
            Ok(bucket) => {
                let seconds = RATE_SECONDS.div_ceil(u64::from(self.quota.get()));
                Ok(Left { requests: bucket.remaining_burst_capacity(), seconds })
            }
            Err(empty) => {
                let wait = empty.wait_time_from(DefaultClock::default().now());
                Err(Left { requests: 0, seconds: wait.as_secs() + 1 })
            }
        }
    }

    /// Tells a client what is left, in the words of the Hub.
    fn tell(&self, headers: &mut HeaderMap, left: &Left) {
        let told = [
            ("ratelimit", format!("\"{}\";r={};t={}", self.name, left.requests, left.seconds)),
            ("ratelimit-policy", format!("\"{}\";q={};w={RATE_SECONDS}", self.name, self.quota)),
        ];
        for (name, value) in told {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// The buckets of all callers; app data of the service, one for all its threads.
pub struct Rates {
    api: Option<Kind>,
    resolve: Option<Kind>,
    pages: Option<Kind>,
    measure: Option<Kind>,
}

impl Rates {
    /// Full buckets of the sizes that the limits name.
    pub fn new(limits: &Limits) -> Self {
        Self {
            api: Kind::new("api", limits.rate_api),
            resolve: Kind::new("resolvers", limits.rate_resolve),
            pages: Kind::new("pages", limits.rate_pages),
            measure: Kind::new("measure", limits.rate_measure),
        }
    }

    /// The kind that a request is of; none for one that is not counted.
    fn kind(&self, path: &str) -> Option<&Kind> {
        let below = |place: &str| {
            path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let measured = MEASURED.iter().any(|place| below(place))
            || MEASURED_OF_MODEL.iter().any(|end| path.ends_with(end));
        if measured && self.measure.is_some() {
            return self.measure.as_ref();
        }
        match path {
            "/livez" | "/readyz" | "/healthz" | "/metrics" => None,
            _ if path.starts_with("/static/") => None,
            _ if path.starts_with("/api/v1/blobs/")
                || path.contains("/resolve/")
                || path.contains("/raw/") =>
            {
                self.resolve.as_ref()
            }
            _ if path.starts_with("/api/") => self.api.as_ref(),
            _ => self.pages.as_ref(),
        }
    }
}

/// Who makes a request: the bearer of a token, else the network that it comes from. Behind a proxy, which there is where
/// the public address is configured, that is what the last proxy says.
fn caller(request: &HttpRequest) -> Option<Caller> {
    if let Some(token) = request.extensions().get::<TokenRow>() {
        return Some(Caller::Token(token.id));
    }
    let behind = request.app_data::<Data<PublicUrl>>().is_some();
    let told = request.headers().get("x-forwarded-for").filter(|_| behind);
    let last = told.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    let address = last.or_else(|| request.peer_addr().map(|peer| peer.ip()))?;
    Some(Caller::Network(match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    }))
}

/// Middleware: answers 429 to who asks more often than the limits let one caller, and tells others what they have left.
///
/// # Errors
/// Those of the service behind it.
pub async fn limit_rates<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let rates = request.app_data::<Data<Rates>>().cloned();
    let counted = rates.as_ref().and_then(|rates| {
        let kind = rates.kind(request.path())?;
        Some((kind, caller(request.request())?))
    });
    let Some((kind, caller)) = counted else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    match kind.take(caller) {
        Ok(left) => {
            let mut answer = next.call(request).await?;
            kind.tell(answer.headers_mut(), &left);
            Ok(answer.map_into_left_body())
        }
        Err(left) => {
            let told = format!(
                "more than {} requests of this kind (`{}`) came from you within {RATE_SECONDS} s; ask again in {} s",
                kind.quota, kind.name, left.seconds
            );
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", told);
            let mut answer = problem.error_response();
            kind.tell(answer.headers_mut(), &left);
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(left.seconds));
            Ok(request.into_response(answer).map_into_right_body())
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn rates(limits: Limits) -> Rates {
        Rates::new(&limits)
    }

    #[test]
    fn an_empty_bucket_says_when_there_is_one_more_and_another_callers_is_full() {
        let rates = rates(Limits { rate_api: 3, ..Limits::default() });
        let kind = rates.kind("/api/v1/models").unwrap();

        let left: Vec<u32> = (0..3).map(|_| kind.take(Caller::Token(1)).ok().unwrap().requests).collect();
        let refused = kind.take(Caller::Token(1)).err().unwrap();

        assert_eq!((left, refused.requests), (vec![2, 1, 0], 0));
        assert!((1..=101).contains(&refused.seconds), "{}", refused.seconds);
        assert!(kind.take(Caller::Token(2)).is_ok());
    }

    #[test]
    fn requests_are_counted_by_what_they_ask_for() {
        let all = rates(Limits {
            rate_api: 1,
            rate_resolve: 1,
            rate_pages: 1,
            rate_measure: 1,
            ..Limits::default()
        });
        let api = rates(Limits { rate_api: 1, ..Limits::default() });
        let kind = |path: &str| all.kind(path).map(|kind| kind.name);

        assert_eq!(kind("/api/models/a/b"), Some("api"));
        assert_eq!(kind("/a/b/resolve/main/config.json"), Some("resolvers"));
        assert_eq!(kind("/a/b"), Some("pages"));
        for measured in ["/api/v1/kinship", "/compare/a/b...c/d", "/api/v1/models/a/b/relatives"] {
            assert_eq!(kind(measured), Some("measure"), "{measured}");
        }
        for free in ["/livez", "/metrics", "/static/style.css"] {
            assert_eq!(kind(free), None, "{free}");
        }
        assert_eq!(kind("/comparers/b"), Some("pages"));
        assert_eq!(api.kind("/api/v1/kinship").map(|kind| kind.name), Some("api"));
        assert!(api.kind("/a/b").is_none());
    }

    #[test]
    fn a_caller_is_known_by_the_network_and_by_a_proxy_only_where_there_is_one() {
        let from = |peer: &str| TestRequest::get().peer_addr(peer.parse().unwrap());
        let told = |peer: &str| from(peer).insert_header(("x-forwarded-for", "9.9.9.9, 8.8.8.8"));
        let url = Data::new(PublicUrl::parse("https://models.example").unwrap());
        let of = |request: TestRequest| caller(&request.to_http_request()).unwrap();

        assert_eq!(of(from("[2001:db8::1]:1")), of(from("[2001:db8::ffff]:2")));
        assert_ne!(of(from("10.0.0.1:1")), of(from("10.0.0.2:1")));
        assert_eq!(of(told("10.0.0.1:1")), of(from("10.0.0.1:1")));
        assert_eq!(of(told("10.0.0.1:1").app_data(url)), of(from("8.8.8.8:1")));
    }
}
