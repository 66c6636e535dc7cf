//! Background tasks: the store's maintenance, and the watches over the database file and the wall clock. What a turn of
//! maintenance does belongs in `store`.

use std::time::Duration;

use crate::delivery::clock::{self, Clock};
use crate::error::Result;
use crate::process::critical::{EndsProcess, panic_point};
use crate::store::{Removal, Retention, Space, Store, Tallies};

/// Wait before the next turn of maintenance after a turn that failed.
const UPKEEP_FAILED: Duration = Duration::from_secs(2);

/// Time between two comparisons of the wall clock with the engine clock.
const CLOCK_WATCH: Duration = Duration::from_secs(1);

/// Time between two checks of the database file. The write thread checks the file too, but only when there is something
/// to write.
const FILE_WATCH: Duration = Duration::from_millis(500);

/// A difference between the clocks up to so many milliseconds does not count as a change of the wall clock.
const CLOCK_TOLERANCE_MILLIS: i64 = 500;

/// Runs the store's maintenance. Each part has its own turns.
pub async fn upkeep(store: Store, clock: Clock, retention: Duration) {
    let _ends = EndsProcess("background work");
    // The earlier of the two clocks. A wall clock that was set a year ahead must not make all events old.
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
                until_next(store.write_token_uses().await).await;
            }
        },
        async {
            loop {
                until_next(store.vacuum(&mut space).await).await;
            }
        },
    );
}

/// Waits until the next turn is due. The result of a turn says when that is.
async fn until_next(turn: Result<Duration>) {
    panic_point("upkeep");
    let rest = turn.unwrap_or_else(|error| {
        tracing::warn!(error = error.detail(), "background work is put off");
        UPKEEP_FAILED
    });
    tokio::time::sleep(rest).await;
}

/// Detects that the database file was moved, replaced or removed.
pub async fn watch_file(store: Store) {
    let _ends = EndsProcess("watch over the file");
    loop {
        panic_point("file");
        store.check_file().await;
        tokio::time::sleep(FILE_WATCH).await;
    }
}

/// Detects that the wall clock was set.
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
