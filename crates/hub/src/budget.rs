//! How often a Hub may be asked, as its answers say: nothing is sent before a window ends in which nothing is left.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

/// What a Hub lets one kind of requests have: those of its records, or those of its files.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Until when nothing is left.
    spent: Mutex<Option<Instant>>,
}

impl Budget {
    /// Waits until something may be asked.
    pub(crate) async fn turn(&self) {
        let until = *self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Heeds what an answer says of the requests after it. A wait of over `longest` seconds is for whoever is refused then.
    pub(crate) fn heed(&self, headers: &HeaderMap, longest: u64) {
        if let Some(wait) = window(headers).filter(|wait| *wait <= longest) {
            let until = Instant::now() + Duration::from_secs(wait);
            let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
            *spent = spent.map_or(Some(until), |known| Some(known.max(until)));
        }
    }
}

/// The seconds after which the Hub wants to be asked again, where it says.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let plain = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    plain.or_else(|| window(headers))
}

/// Seconds until the last window ends of the policies that have nothing left: `RateLimit: "api";r=0;t=55`.
fn window(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all("ratelimit").iter().filter_map(|value| value.to_str().ok());
    let policies = values.flat_map(|value| value.split(','));
    policies
        .filter_map(|policy| {
            let number = |key| policy.split(';').find_map(|part| part.trim().strip_prefix(key)?.parse().ok());
            (number("r=") == Some(0)).then(|| number("t=")).flatten()
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(&'static str, &'static str)]) -> Option<u64> {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, value.parse().unwrap());
        }
        retry_after(&all)
    }

    #[test]
    fn a_window_is_waited_for_where_a_policy_has_nothing_left() {
        assert_eq!(wait(&[("ratelimit", "\"api\";r=0;t=55")]), Some(55));
        assert_eq!(wait(&[("ratelimit", "\"api\"; r=0; t=8, \"pages\"; r=3; t=99")]), Some(8));
        assert_eq!(wait(&[("ratelimit", "\"a\";r=0;t=8"), ("ratelimit", "\"b\";r=0;t=9")]), Some(9));
        assert_eq!(wait(&[("ratelimit", "\"api\";r=0;t=55"), ("retry-after", "3")]), Some(3));

        for left in ["\"api\";r=1;t=55", "\"api\";t=55", "\"api\";r=0", "", "r=0;t=-4", "r=0;t=x"] {
            assert_eq!(wait(&[("ratelimit", left)]), None, "{left}");
        }
    }
}
