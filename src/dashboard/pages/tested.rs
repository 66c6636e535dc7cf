//! A test of a destination, as its page shows it once.

use crate::dashboard::view::words;
use crate::dashboard::view::{payload, time};
use crate::domain::delivery::Attempt;

/// A test, and what came back.
pub struct Tested {
    /// Whether the status is 2xx.
    pub is_good: bool,
    /// Status or error, in words.
    pub result: String,
    /// What to do about an error.
    pub todo: &'static str,
    /// More about an error.
    pub detail: String,
    /// How long it took.
    pub duration: String,
    /// The body of the response.
    pub body: String,
}

impl Tested {
    /// What came of `attempt`.
    pub fn of(attempt: &Attempt) -> Self {
        let (result, todo) = match attempt.outcome.error() {
            Some(class) => words::error(class, attempt.outcome.status()),
            None => (attempt.outcome.status().map(|status| status.to_string()).unwrap_or_default(), ""),
        };
        Self {
            is_good: attempt.outcome.is_success(),
            result,
            todo,
            detail: attempt.detail.clone().unwrap_or_default(),
            duration: time::short(attempt.duration),
            body: payload::raw(&attempt.body).text,
        }
    }
}
