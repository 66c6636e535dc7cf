//! All limits of group commit, since they depend on each other. The rules that use them are in `pacing` and `budget`.

use std::time::Duration;

/// Maximum number of write requests that wait. A further one is refused with 503 (`queue_full`), so that the queue
/// stays bounded.
pub const MAX_QUEUED: usize = 16_384;

/// Maximum number of write requests in one transaction. Only the last transaction before a stop takes all that wait.
pub const MAX_GROUP: usize = 512;

/// A group runs in this many chunks while it arrives, inside the open transaction. Running all of it at the end would
/// leave a processor idle.
pub const GROUP_CHUNKS: usize = 4;

/// Longest wait of a transaction for its group, as a fraction of the last transaction's duration. Clients that were
/// just answered return within this time. Without the wait they split into two groups of half the size that take turns.
pub const LINGER_FRACTION: f64 = 0.3;

/// Upper bound of that wait.
pub const MAX_LINGER: Duration = Duration::from_millis(4);

/// Percentage of the expected group at which a transaction is committed, if no outcomes come. The rest of the group
/// arrives during the fsync. With outcomes there is enough other work, so the whole group is waited for.
pub const EARLY_COMMIT_PERCENT: usize = 60;

/// Takes the place of [`LINGER_FRACTION`] if no outcomes come.
pub const EARLY_LINGER_FRACTION: f64 = 0.1;

/// How long outcomes wait for a write request whose commit they can share.
pub const OUTCOMES_LINGER: Duration = Duration::from_millis(3);

/// From this number of waiting outcomes on, they wait for [`MANY_OUTCOMES_LINGER`]: in one commit more of them share a
/// page.
pub const MANY_OUTCOMES: usize = 48;

/// How long outcomes wait for a write request if many of them wait ([`MANY_OUTCOMES`]).
pub const MANY_OUTCOMES_LINGER: Duration = Duration::from_millis(12);

/// Maximum number of outcomes that one transaction takes from the queue, and its budget if no caller waits. Outcomes of
/// a failed commit come on top.
pub const MAX_OUTCOMES: usize = 512;

/// Minimum budget: a transaction takes this many outcomes in any case, if as many wait. The limit for outcomes of low
/// priority is never lower either.
pub const MIN_OUTCOMES: usize = 16;

/// Time for outcomes in a transaction with a group, whose callers wait for them. The commit itself is not counted,
/// though more outcomes make the commit longer too.
pub const OUTCOME_TIME_BESIDE_GROUP: Duration = Duration::from_micros(320);

/// Time for outcomes in a transaction with fewer write requests than [`GROUP_MIN`].
pub const OUTCOME_TIME_BESIDE_FEW: Duration = Duration::from_micros(1_500);

/// From this number of write requests on, a transaction serves a group.
pub const GROUP_MIN: usize = 8;

/// Callers whose transaction began less than this long ago are likely to return.
pub const RECENT: Duration = Duration::from_millis(50);

const _: () = assert!(MIN_OUTCOMES <= MANY_OUTCOMES && MANY_OUTCOMES <= MAX_OUTCOMES);
const _: () = assert!(GROUP_CHUNKS <= GROUP_MIN && GROUP_MIN <= MAX_GROUP && MAX_GROUP <= MAX_QUEUED);
const _: () = assert!(EARLY_COMMIT_PERCENT <= 100 && MAX_LINGER.as_nanos() < RECENT.as_nanos());
const _: () = assert!(OUTCOMES_LINGER.as_nanos() < MANY_OUTCOMES_LINGER.as_nanos());
