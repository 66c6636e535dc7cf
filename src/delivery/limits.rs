//! All limits of the engine, in one file because they depend on each other. The rules that use them are in `scheduler`
//! and `workers`, not here.

use std::time::Duration;

// The scheduler as a whole.

/// Most jobs in hand of all lanes together, besides the [`FLOOR`] of each lane and manual retries. Bounds memory:
/// further deliveries stay in the file.
pub const SHARED_WINDOW: usize = 4_096;

/// Most bytes of documents in hand, over all lanes. A job beyond this limit has no document in memory, and its worker
/// reads the document before it sends.
pub const DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// Most tests in progress. Tests have threads of their own besides the workers, so that they never take a worker from a
/// delivery.
pub const MAX_TESTS: usize = 64;

/// A lane drops its client after this time without an attempt. The idle connections of its origin are closed earlier,
/// after 15 s.
pub const CLIENT_IDLE: Duration = Duration::from_secs(60);

/// Longest wait of the scheduler for a message, and the time between two sweeps. The wait must be short: the clock of
/// due times goes on while the machine sleeps, the clock of the wait does not.
pub const TICK: Duration = Duration::from_secs(1);

/// Time that cancelled attempts have to end, after the grace of a stop. Then the process ends without them.
pub const AFTER_CUT: Duration = Duration::from_secs(2);

// Lanes.

/// A good lane whose typical duration is shorter is in the fast or the immediate pool. An attempt that is in progress
/// for longer is overdue, except in failing lanes and in lanes that are slower than this.
pub const FAST: Duration = Duration::from_millis(50);

/// A good lane whose typical duration is shorter is in the immediate pool. What bounds such a lane is the processor.
pub const IMMEDIATE: Duration = Duration::from_millis(5);

/// Number of successes that an immediate lane is sent alone after it delayed other lanes of its assignment. Then it
/// shares assignments again.
pub const UNBUNDLED_SUCCESSES: u32 = 16;

/// First back-off of a failing lane, doubled with each further failure. The back-off is short because one failure of a
/// new destination says little, and because all that is queued in the lane waits as long.
pub const MIN_BACKOFF: Duration = Duration::from_millis(50);

/// Longest back-off of a failing lane, before jitter.
pub const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Failures in a row that make a good lane a failing one. One success starts the count again.
pub const MAX_CONSECUTIVE_FAILURES: u32 = 3;

/// Longest typical time of a run: a worker is given as many jobs of one lane as usually fit into it. Longer runs would
/// delay the jobs at their end.
pub const RUN_TIME: Duration = Duration::from_millis(4);

/// Most jobs of a run, also where more would fit into [`RUN_TIME`].
pub const MAX_RUN: usize = 16;

/// A run takes at most one part in this many of a lane's queue, so that several workers share a short queue.
pub const RUN_SHARE: usize = 4;

/// The number of attempts in progress that a lane may always grow to, however short its typical duration. A destination
/// that answers at once has no use for more: they would only compete for processors.
pub const MIN_CONCURRENCY_LIMIT: usize = 8;

/// Lanes with a long typical duration may have more: one attempt for each such step of that duration. So many allow
/// 8,000 requests a second to any destination (Little's law).
pub const CONCURRENCY_STEP: Duration = Duration::from_micros(125);

/// Jobs that any lane may have in hand, however many others have.
pub const FLOOR: usize = 4;

/// Most jobs that a good lane may have in hand. The rest of its backlog stays in the file.
pub const WINDOW: usize = 1_024;

/// Most jobs that a lane in strict order may have in hand. It sends one at a time, and each waits for a commit, so more
/// would only be read again after a failure.
pub const STRICT_WINDOW: usize = 16;

/// A lane with a rate has in hand what it may send in this time. Refills are soon enough then.
pub const PACED_WINDOW: Duration = Duration::from_millis(500);

// Probes of suspect lanes.

/// Wait of a suspect lane after its first overdue probe. Each further overdue probe makes the wait four times as long.
pub const PROBE_WAIT: Duration = Duration::from_millis(250);

/// Longest wait between two probes of a lane.
pub const MAX_PROBE_WAIT: Duration = Duration::from_secs(5);

/// Weight of a probe where the lane's last probe succeeded. A probe of weight `w` needs `2 * w` free permits of the
/// suspect pool, so this one needs only one.
pub const PROBE_WEIGHT_PROVEN: usize = 0;

/// Weight of a probe where the lane's last probe did not succeed, or there was none. The destination has probably
/// stopped answering. Probes of this weight share about two thirds of the suspect permits.
pub const PROBE_WEIGHT_UNPROVEN: usize = 24;

/// Weight of a probe where the destination has never answered. Probes of this weight share a quarter of the suspect
/// permits.
pub const PROBE_WEIGHT_UNKNOWN: usize = 48;

/// Weight that each overdue probe adds to the next probe of its lane.
pub const PROBE_WEIGHT_HUNG: usize = 8;

// Pools. The number of permits is at the table of pools, in `scheduler/pools.rs`.

/// Most recent attempts of failing lanes. An attempt is recent for 10 to 50 ms, see [`RECENT_FAILURE`] and [`FAST`].
/// Without this limit, destinations that fail at once would be most of the work.
pub const RECENT_FAILING: usize = 16;

/// Slow, suspect and failing lanes leave one part in this many of all threads to immediate, fast and new lanes.
pub const RESERVED_FRACTION: usize = 8;

/// Overdue attempts may use one part in this many of all threads before good lanes with several of them are held back.
pub const HANGING_FRACTION: usize = 2;

/// A good lane may use one part in this many of the threads that are left of those for overdue attempts. With more
/// overdue attempts the lane begins no further one.
pub const HANGING_EACH: usize = 4;

/// A good lane is never held back for up to this many overdue attempts. Where threads run out, attempts of lanes with
/// more than one are among the first to be cancelled.
pub const MIN_HANGING: usize = 3;

// Attempts that want a processor.

/// A worker that has been busy for longer probably waits for a response, and no longer counts as wanting a processor. A
/// run that has waited this long for a worker busy with another lane is reclaimed.
pub const RECLAIM_AFTER: Duration = Duration::from_millis(5);

/// New lanes may have this many attempts that want a processor, for each processor. The first success measures how fast
/// a destination is, and a crowd would falsify the measurement.
pub const NEW_PER_PROCESSOR: usize = 8;

/// Fast lanes may have this many attempts that want a processor, for each processor. Nearly all of their duration is
/// waiting. The number is above what a processor can begin within [`RECLAIM_AFTER`].
pub const FAST_PER_PROCESSOR: usize = 32;

// Assignments.

/// An assignment takes runs of at most one part in this many of the ready immediate lanes, so that several workers
/// share them.
pub const ASSIGNMENT_SHARE: usize = 4;

/// Most runs of an assignment.
pub const MAX_RUNS: usize = 16;

/// An assignment with this many jobs gets no further run.
pub const MAX_JOBS: usize = 16;

/// An assignment whose jobs usually take this long together gets no further run. The time is short because the lanes of
/// an assignment wait for each other.
pub const ASSIGNMENT_TIME: Duration = Duration::from_millis(2);

// Attempts in progress.

/// Shortest time for which an attempt of a failing lane counts as recent, even if it failed at once. Together with
/// [`RECENT_FAILING`] this allows at most 1,600 attempts a second.
pub const RECENT_FAILURE: Duration = Duration::from_millis(10);

/// Age at which attempts may be cancelled where threads run out. Only those of failing or suspect lanes are, and those
/// of good lanes with several overdue attempts.
pub const CUT_AFTER: Duration = Duration::from_secs(1);

// Destinations that are shown as slow.

/// A destination is shown as slow if its typical duration is at least this, or if an attempt has had no response for
/// this long. People notice a second; shorter times would make the list useless.
pub const SLOW: Duration = Duration::from_secs(1);

// Manual retries.

/// Most manually retried deliveries that wait in one lane. Further ones are read from the file like all others, as soon
/// as they are due.
pub const MAX_URGENT: usize = 1_024;

// Workers.

/// A worker that has been busy with its assignment for this long begins no further job. What is left is requeued.
pub const MAX_BUSY: Duration = Duration::from_millis(8);

// The times must have this order. What a worker is given should end before it is reclaimed, and should be reclaimed
// before an attempt is overdue.
const _: () = assert!(
    ASSIGNMENT_TIME.as_millis() <= RUN_TIME.as_millis()
        && RUN_TIME.as_millis() < RECLAIM_AFTER.as_millis()
        && RECLAIM_AFTER.as_millis() <= MAX_BUSY.as_millis()
        && MAX_BUSY.as_millis() < FAST.as_millis()
);
const _: () = assert!(IMMEDIATE.as_millis() < FAST.as_millis() && MIN_BACKOFF.as_millis() < MAX_BACKOFF.as_millis());
const _: () =
    assert!(FLOOR <= STRICT_WINDOW && STRICT_WINDOW <= WINDOW && WINDOW <= SHARED_WINDOW && MAX_RUN <= MAX_JOBS);
