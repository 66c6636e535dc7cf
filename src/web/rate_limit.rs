//! Limits how many events each account may send (`--account-rate`). The token buckets themselves are in
//! `domain/rate.rs`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use poem::http::header::RETRY_AFTER;
use poem::http::{HeaderValue, StatusCode};

use super::problem::{ApiError, ApiResult};
use crate::domain::ids::AccountKey;
use crate::domain::rate::{Buckets, Rate};

/// How much each account may still send.
pub struct RateLimiter {
    buckets: Option<Mutex<Buckets<AccountKey>>>,
    /// Start of the buckets' time. The wall clock is not used, because somebody may set it.
    start: Instant,
}

impl RateLimiter {
    /// Allows `rate` for each account; without a rate, everything.
    pub fn new(rate: Option<Rate>) -> Self {
        Self { buckets: rate.map(|rate| Mutex::new(Buckets::new(rate))), start: Instant::now() }
    }

    /// Counts one request of `account`.
    ///
    /// # Errors
    /// 429 if the account has sent too many.
    pub fn admit(&self, account: AccountKey) -> ApiResult<()> {
        let Some(buckets) = &self.buckets else { return Ok(()) };
        let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(account, self.start.elapsed()).map_err(too_many)
    }
}

/// The 429 response. `document/errors.rs` repeats its text as an example.
pub fn too_many(wait: Duration) -> ApiError {
    // Rounded up to a whole second, so that a client never comes back too early.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let detail = format!("This account sends too fast. Nothing was taken: send it again in {seconds} s.");
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
        .with_header(RETRY_AFTER, HeaderValue::from(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_rate_everything_passes_and_with_one_each_account_has_its_own() {
        let (ada, bob) = (AccountKey(1), AccountKey(2));
        let (open, narrow) = (RateLimiter::new(None), RateLimiter::new(Some(Rate::parse("2/h").unwrap())));
        assert!((0..1_000).all(|_| open.admit(ada).is_ok()));
        assert!((0..2).all(|_| narrow.admit(ada).is_ok()));
        let refused = narrow.admit(ada).unwrap_err();
        assert_eq!((refused.problem.status, refused.problem.code.as_str()), (429, "rate_limited"));
        assert!(narrow.admit(bob).is_ok());
    }

    #[test]
    fn a_part_of_a_second_is_waited_for_as_a_whole_one() {
        for (millis, seconds) in [(1, "1 s"), (1_000, "1 s"), (1_001, "2 s")] {
            assert!(too_many(Duration::from_millis(millis)).problem.detail.contains(seconds));
        }
    }
}
