//! Traits by which floors that must not know each other call each other. `app` connects them.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use super::access::Rights;
use super::delivery::Attempt;
use super::destination::Destination;
use super::document::Document;
use super::ids::{AccountKey, DestinationKey};
use super::secret::TokenDigest;
use super::time::Timestamp;

/// What `api` needs of the engine: sending one request to a destination at once. The request does not wait for the
/// queue, a hold or a pause, and is not recorded.
pub trait SendTest: Send + Sync {
    /// Sends `payload`, and calls `done` with the attempt.
    fn send_test(&self, destination: Destination, payload: Document, done: Box<dyn FnOnce(Attempt) + Send>);
}

/// Most destinations in one reply of [`WatchEngine::slow_destinations`].
pub const MAX_SLOW_DESTINATIONS: usize = 50;

/// What the engine knows of a destination that takes long or hangs. Only memory has this: it is gone after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowDestination {
    /// The destination.
    pub destination: DestinationKey,
    /// Usual duration of an attempt that succeeds: a moving average in which each new one counts 1/8. Zero where no
    /// attempt has succeeded yet.
    pub usual: Duration,
    /// Attempts in progress, and those that a worker was given and has not begun.
    pub in_progress: usize,
    /// Whether an attempt has had no response for at least 1 s, and for much longer than usual. No attempt that began
    /// later has succeeded.
    pub is_stalled: bool,
}

/// Takes the reply of [`WatchEngine::slow_destinations`].
pub type SlowDestinationsReply = Box<dyn FnOnce(Vec<SlowDestination>) + Send>;

/// Takes the reply of [`WatchEngine::next_sends`]: one entry for each destination that was asked for, in that order.
pub type NextSendsReply = Box<dyn FnOnce(Vec<Option<Timestamp>>) + Send>;

/// What `api` and `dashboard` need of the engine: which destinations take long, and which wait for their rate.
pub trait WatchEngine: Send + Sync {
    /// Asks for the destinations that usually take 1 s or more, or that are stalled. Slowest first, where a stalled one
    /// counts with the time that it has not answered. At most [`MAX_SLOW_DESTINATIONS`]; with `account`, only its own.
    ///
    /// `reply` is called on the engine's own thread, so it must not block or panic. It is dropped instead if the engine
    /// has stopped.
    fn slow_destinations(&self, account: Option<AccountKey>, reply: SlowDestinationsReply);

    /// Asks when each of `destinations` may send next, on the wall clock. `None` for a destination that does not wait
    /// for its rate now.
    ///
    /// `reply` is called as that of [`WatchEngine::slow_destinations`] is. The question costs a look-up for each
    /// destination.
    fn next_sends(&self, destinations: Vec<DestinationKey>, reply: NextSendsReply);
}

/// What is known of a token that somebody sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenLookup {
    /// It works, and gives these rights.
    Works(Rights),
    /// It worked until its expiry.
    Expired,
    /// No token has this digest. It never existed, or was revoked, or its account was deleted.
    Unknown,
}

/// What `web` needs of the store: which tokens with a role there are. All of it is answered from memory.
pub trait FindTokens: Debug + Send + Sync {
    /// Looks a token up, and notes its use if it works at `now`.
    fn look_up(&self, token: &TokenDigest, now: Timestamp) -> TokenLookup;

    /// Whether a token works at `now`. Notes no use.
    fn works(&self, token: &TokenDigest, now: Timestamp) -> bool;

    /// Resolves when the token does not work any more, for work that must end with it. `now` is the current time.
    fn over(&self, token: &TokenDigest, now: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
