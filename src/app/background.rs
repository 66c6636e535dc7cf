//! Tasks that go on beside the requests: the store's background work, and the looks at the file and the clock.

use std::time::Duration;

use crate::delivery::clock::{self, Clock};
use crate::error::Result;
use crate::process::critical::{EndsProcess, panic_point};
use crate::store::{Removal, Retention, Space, Store, Tallies};

/// Until the next turn of background work after one that failed.
const UPKEEP_FAILED: Duration = Duration::from_secs(2);

/// Between two comparisons of the clocks.
const CLOCK_WATCH: Duration = Duration::from_secs(1);

/// Between two looks at the file, where nothing is written to it.
const FILE_WATCH: Duration = Duration::from_millis(500);

/// A difference of the clocks below this is not a jump.
const CLOCK_TOLERANCE_MILLIS: i64 = 500;

/// The work in the background, each part in turns of its own.
pub async fn upkeep(store: Store, clock: Clock, retention: Duration) {
    let _ends = EndsProcess("background work");
    // The earlier of the two: a wall clock that somebody set a year ahead must not take everything for old.
    let now = || clock::wall().min(clock.now());
    let (mut removal, mut space) = (Removal::default(), Space::default());
    let (mut retired, mut tallies) = (Retention::default(), Tallies::default());
    tokio::join!(
        async {
            loop {
                until_next(store.remove_deleted(&mut removal).await).await;
            }
        },
        async {
            loop {
                until_next(store.expire(&mut retired, retention, now()).await).await;
            }
        },
        async {
            loop {
                until_next(store.maintain_tallies(&mut tallies, retention, now()).await).await;
            }
        },
        async {
            loop {
                until_next(store.vacuum(&mut space).await).await;
            }
        },
    );
}

/// Waits until the next turn is due, which a turn tells.
async fn until_next(turn: Result<Duration>) {
    panic_point("upkeep");
    let rest = turn.unwrap_or_else(|error| {
        tracing::warn!(error = error.detail(), "background work is put off");
        UPKEEP_FAILED
    });
    tokio::time::sleep(rest).await;
}

/// Notices a file that was moved, replaced or removed.
pub async fn watch_file(store: Store) {
    let _ends = EndsProcess("watch over the file");
    loop {
        panic_point("file");
        store.check_file().await;
        tokio::time::sleep(FILE_WATCH).await;
    }
}

/// Notices a wall clock that somebody sets.
pub async fn watch_clock(store: Store, clock: Clock) {
    let _ends = EndsProcess("watch over the clock");
    let mut known = 0;
    loop {
        panic_point("clock");
        let skew = clock.skew();
        if (skew - known).abs() > CLOCK_TOLERANCE_MILLIS {
            tracing::warn!(moved_millis = skew - known, "the wall clock was set; due times are not affected");
            known = skew;
            store.set_clock_skew(skew);
        }
        tokio::time::sleep(CLOCK_WATCH).await;
    }
}
