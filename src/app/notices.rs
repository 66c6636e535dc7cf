//! Tells an account what happens to destinations and to the storage (`--notify-account`). What there is to tell is
//! decided in `domain/notice.rs`.

use std::time::Duration;

use crate::delivery::clock;
use crate::domain::ids::AccountId;
use crate::domain::notice::Watch;
use crate::domain::time::Timestamp;
use crate::error::Kind;
use crate::process::critical::EndsProcess;
use crate::store::Store;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);

/// How far back each look counts exhausted deliveries. Counts of earlier minutes do not change any more.
const LOOK_BACK: Duration = Duration::from_secs(3 * 60);

/// Most notices that wait to be stored. Later ones are dropped.
const MAX_UNTOLD: usize = 10_000;

/// Looks at intervals, and tells what there is to tell. A notice that cannot be written is tried again.
pub async fn tell(store: Store, account: AccountId) {
    let _ends = EndsProcess("notices");
    let mut watch = Watch::new(account.clone());
    let mut untold = Vec::new();
    let mut was_told = true;
    let now = clock::wall();
    // What became exhausted in this hour and was not told before the start.
    let mut since = Timestamp::from_millis(now.millis() - now.millis() % 3_600_000);
    loop {
        let now = clock::wall();
        match store.watched_destinations(watch.noted(), since).await {
            Ok(seen) => {
                untold.extend(watch.look(&seen, now));
                since = now.minus(LOOK_BACK);
            }
            Err(error) => tracing::debug!(error = error.detail(), "notices look again later"),
        }
        while let Some(notice) = untold.first() {
            match store.accept_notice(account.clone(), notice, now).await {
                Ok(()) => {
                    was_told = true;
                    untold.remove(0);
                }
                Err(error) => {
                    if std::mem::take(&mut was_told) {
                        let todo = match error.kind() {
                            Kind::NotFound => "create the account that --notify-account names",
                            _ => "it is tried again",
                        };
                        tracing::warn!(error = error.detail(), todo, "a notice cannot be stored");
                    }
                    break;
                }
            }
        }
        // Without the account nothing may pile up.
        untold.truncate(MAX_UNTOLD);
        tokio::time::sleep(INTERVAL).await;
    }
}
