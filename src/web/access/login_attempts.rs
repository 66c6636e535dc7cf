//! Slows down clients that guess tokens. The right token is never slowed down, so a client that guesses cannot lock out
//! the token's owner.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use poem::http::header::{CONNECTION, RETRY_AFTER};
use poem::http::{HeaderValue, StatusCode};
use tokio::sync::Semaphore;

use crate::web::problem::ApiError;

/// How long a request with a wrong token waits for its response.
const PAUSE: Duration = Duration::from_millis(250);

/// Requests with a wrong token that may wait at once, over all clients. Further ones are refused without a wait, so
/// that they hold neither memory nor connections.
const WAITING: usize = 64;

/// Permits to wait, one for each request with a wrong token, and the number of all such requests.
#[derive(Debug)]
pub struct FailedLoginLimiter {
    places: Semaphore,
    count: AtomicU64,
}

impl Default for FailedLoginLimiter {
    fn default() -> Self {
        Self { places: Semaphore::new(WAITING), count: AtomicU64::default() }
    }
}

impl FailedLoginLimiter {
    /// Returns the response to a wrong token: `refused` after the pause, or 429 where too many requests wait.
    pub async fn refuse(&self, refused: ApiError) -> ApiError {
        self.count.fetch_add(1, Ordering::Relaxed);
        let Ok(_place) = self.places.try_acquire() else {
            let detail = "Too many wrong tokens are given at the moment.";
            return ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_wrong_tokens", detail)
                .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
                .with_header(CONNECTION, HeaderValue::from_static("close"));
        };
        tokio::time::sleep(PAUSE).await;
        refused
    }

    /// How many requests had a wrong token.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn wrong_tries_wait_and_only_so_many_at_once() {
        let tries = Arc::new(FailedLoginLimiter::default());
        let all: Vec<_> = (0..WAITING + 10)
            .map(|_| {
                let tries = Arc::clone(&tries);
                tokio::spawn(async move {
                    let began = tokio::time::Instant::now();
                    let status = tries.refuse(ApiError::internal()).await.problem.status;
                    (status, began.elapsed())
                })
            })
            .collect();
        let mut waited = 0;
        for task in all {
            match task.await.unwrap() {
                (500, elapsed) => {
                    assert!(elapsed >= PAUSE);
                    waited += 1;
                }
                (status, _) => assert_eq!(status, 429),
            }
        }
        assert_eq!((waited, tries.count()), (WAITING, WAITING as u64 + 10));
        assert_eq!(tries.refuse(ApiError::internal()).await.problem.status, 500);
    }
}
