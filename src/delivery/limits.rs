//! All limits of the engine, since they depend on each other. Rules that use them stand in `scheduler` and `workers`.

use std::time::Duration;

// Windows and times of the scheduler as a whole.

/// Deliveries in hand beyond what each lane may have in any case.
pub const SHARED_WINDOW: usize = 4_096;

/// Bytes of documents in hand; further ones are read when they are sent.
pub const DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// Tests under way at once, beyond the workers.
pub const MAX_TESTS: usize = 64;

/// A lane without work for this long gives up what it sends with; connections are closed before.
pub const CLIENT_IDLE: Duration = Duration::from_secs(60);

/// Longest wait for a message: the clock of due times goes on while the machine sleeps, the wait's does not.
pub const TICK: Duration = Duration::from_secs(1);

/// After the grace: cut attempts end within this, or the process ends without them.
pub const AFTER_CUT: Duration = Duration::from_secs(2);

// A lane.

/// A good lane whose attempts usually take less is fast; and an attempt that takes longer gives its permit back.
pub const FAST: Duration = Duration::from_millis(50);

/// One whose attempts usually take less is brisk.
pub const IMMEDIATE: Duration = Duration::from_millis(5);

/// Successes after which a brisk lane that once took long goes with others again.
pub const UNBUNDLED_SUCCESSES: u32 = 16;

/// First back-off of a failing lane: short, because one failure of a new destination says little, and what waits behind
/// it waits as long. It doubles.
pub const MIN_BACKOFF: Duration = Duration::from_millis(50);

/// Longest back-off of a failing lane.
pub const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Failures in a row that make a good lane a failing one.
pub const MAX_CONSECUTIVE_FAILURES: u32 = 3;

/// A worker may be given as many jobs of a lane as are usually done in this time.
pub const RUN_TIME: Duration = Duration::from_millis(4);

/// And at most so many.
pub const MAX_RUN: usize = 16;

/// And at most this part of what waits, so that several workers share a short queue.
pub const RUN_SHARE: usize = 4;

/// Attempts under way at once to a destination that answers at once; more only wait for each other.
pub const MIN_CONCURRENCY_LIMIT: usize = 8;

/// With a longer usual time there may be more of them, so that eight thousand a second fit in any case.
pub const CONCURRENCY_STEP: Duration = Duration::from_micros(125);

/// Jobs that any lane may have in hand, whatever others have.
pub const FLOOR: usize = 4;

/// Jobs that a good lane may have in hand.
pub const WINDOW: usize = 1_024;

// Probes of suspect lanes.

/// Wait after the first probe that hangs; it is four times as long after each further one.
pub const PROBE_WAIT: Duration = Duration::from_millis(250);

/// Longest wait between probes.
pub const MAX_PROBE_WAIT: Duration = Duration::from_secs(5);

/// What a probe weighs among the permits of suspect lanes, where the lane's last probe was answered: nothing.
pub const PROBE_WEIGHT_PROVEN: usize = 0;

/// Where none was so far: probably the destination has stopped answering. These share about two thirds of the permits.
pub const PROBE_WEIGHT_UNPROVEN: usize = 24;

/// Where the destination has never answered at all. These share a quarter.
pub const PROBE_WEIGHT_UNKNOWN: usize = 48;

/// What each probe that hangs adds.
pub const PROBE_WEIGHT_HUNG: usize = 8;

// Pools; their permits stand with their table.

/// Attempts of failing lanes that may be younger than a moment: failing fast must not become the main work.
pub const RECENT_FAILING: usize = 16;

/// Threads that slow, suspect and failing lanes leave to fast and new ones, as a share of all.
pub const RESERVED_FRACTION: usize = 8;

/// Of the threads, attempts that are overdue may take this share before lanes of which several hang are held back.
pub const HANGING_FRACTION: usize = 2;

/// And each such lane may take this share of what is left of that,
pub const HANGING_EACH: usize = 4;

/// or so many in any case. Where all threads are taken these are cut first.
pub const MIN_HANGING: usize = 3;

// Attempts that want a processor.

/// A worker that is busy for longer with what it was given probably waits for an answer and needs no processor. What waits
/// longer for its worker, which other lanes hold up, is taken back.
pub const RECLAIM_AFTER: Duration = Duration::from_millis(5);

/// Such attempts of lanes without a success, for each processor. Their first success says how fast they are, and must not
/// be measured in a crowd.
pub const NEW_PER_PROCESSOR: usize = 8;

/// And of lanes that usually take some milliseconds, of which nearly all is waiting: more than processors can begin in
/// [`MOMENT`].
pub const FAST_PER_PROCESSOR: usize = 32;

// Assignments.

/// A worker is not given more while so many others could share what waits.
pub const ASSIGNMENT_SHARE: usize = 4;

/// Runs of one worker.
pub const MAX_RUNS: usize = 16;

/// Deliveries of one worker.
pub const MAX_JOBS: usize = 16;

/// And no more than are usually made in this time.
pub const ASSIGNMENT_TIME: Duration = Duration::from_millis(2);

// Attempts in progress.

/// An attempt of a failing lane is young for at least this long, so that there are at most 1,600 a second.
pub const RECENT_FAILURE: Duration = Duration::from_millis(10);

/// An attempt of a failing lane may be cut for room when it is older.
pub const CUT_AFTER: Duration = Duration::from_secs(1);

// Retries by hand.

/// Deliveries of one lane that wait to be sent by hand; further ones go as others do, as soon as they are due.
pub const MAX_URGENT: usize = 1_024;

// Workers.

/// A worker that has been busy for so long with what it was given leaves the rest to others.
pub const MAX_BUSY: Duration = Duration::from_millis(8);

// Each waits for the one before: what a worker is given ends before it is reclaimed, and that before anything is overdue.
const _: () = assert!(
    ASSIGNMENT_TIME.as_millis() <= RUN_TIME.as_millis()
        && RUN_TIME.as_millis() < RECLAIM_AFTER.as_millis()
        && RECLAIM_AFTER.as_millis() <= MAX_BUSY.as_millis()
        && MAX_BUSY.as_millis() < FAST.as_millis()
);
const _: () = assert!(IMMEDIATE.as_millis() < FAST.as_millis() && MIN_BACKOFF.as_millis() < MAX_BACKOFF.as_millis());
const _: () = assert!(FLOOR <= WINDOW && WINDOW <= SHARED_WINDOW && MAX_RUN <= MAX_JOBS);
