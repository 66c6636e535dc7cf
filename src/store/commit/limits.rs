//! All limits of group commit, since they depend on each other. The rules that use them are in `pacing`.

use std::time::Duration;

/// Write requests that may wait. Another one is refused with 503 (`queue_full`).
pub const MAX_QUEUED: usize = 16_384;

/// Maximum number of write requests in one transaction.
pub const MAX_GROUP: usize = 512;

/// A group runs in this many chunks while it arrives. Running all of it at the end would leave a processor idle.
pub const GROUP_CHUNKS: usize = 4;

/// Linger as a fraction of the last transaction's duration. Clients that were just answered return within this time.
/// Without lingering they split into two groups of half the size that take turns.
pub const LINGER_FRACTION: f64 = 0.3;

/// Longest time that a transaction lingers.
pub const MAX_LINGER: Duration = Duration::from_millis(4);

/// Percent of the expected group at which a transaction is committed, where no outcomes wait. The rest of the group
/// arrives during the fsync. With outcomes there is enough other work, so the whole group is waited for.
pub const EARLY_COMMIT_PERCENT: usize = 60;

/// In place of [`LINGER_FRACTION`] where no outcomes wait.
pub const EARLY_LINGER_FRACTION: f64 = 0.1;

/// How long outcomes wait for a write request whose commit they can share.
pub const OUTCOMES_LINGER: Duration = Duration::from_millis(3);

/// From this many waiting outcomes on they wait for [`MANY_OUTCOMES_LINGER`]: in one commit they share pages.
pub const MANY_OUTCOMES: usize = 48;

/// See [`MANY_OUTCOMES`].
pub const MANY_OUTCOMES_LINGER: Duration = Duration::from_millis(12);

/// Maximum number of outcomes in one transaction.
pub const MAX_OUTCOMES: usize = 512;

/// Outcomes that a transaction takes in any case, if as many wait. Outcomes of low priority have this share too.
pub const MIN_OUTCOMES: usize = 16;

/// Time for outcomes beside a group's write requests, whose callers wait for them. The commit itself, which also takes
/// longer, is not counted.
pub const OUTCOME_TIME_BESIDE_GROUP: Duration = Duration::from_micros(320);

/// Time for outcomes beside fewer write requests than [`GROUP_MIN`].
pub const OUTCOME_TIME_BESIDE_FEW: Duration = Duration::from_micros(1_500);

/// From this many write requests on, a transaction serves a group.
pub const GROUP_MIN: usize = 8;

/// After this time without a write request nobody is expected to return.
pub const RECENT: Duration = Duration::from_millis(50);

const _: () = assert!(MIN_OUTCOMES <= MANY_OUTCOMES && MANY_OUTCOMES <= MAX_OUTCOMES);
const _: () = assert!(GROUP_CHUNKS <= GROUP_MIN && GROUP_MIN <= MAX_GROUP && MAX_GROUP <= MAX_QUEUED);
const _: () = assert!(EARLY_COMMIT_PERCENT <= 100 && MAX_LINGER.as_nanos() < RECENT.as_nanos());
const _: () = assert!(OUTCOMES_LINGER.as_nanos() < MANY_OUTCOMES_LINGER.as_nanos());
