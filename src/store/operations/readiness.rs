//! Checks whether events can be written to disk now. Only a write can show this: a transaction that changes nothing
//! succeeds even if the disk accepts nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result, Unavailable};
use crate::store::error::disk_low;
use crate::store::file::disk_space;
use crate::store::file::schema::VERSION;
use crate::store::handle::Store;

impl Store {
    /// Returns each thing that keeps events from being written to disk now, the one to mend first in front. Nothing means
    /// ready. The write thread has to answer `within` this time.
    pub async fn unready(&self, within: Duration) -> Vec<Error> {
        let held = Arc::clone(&self.held);
        // On a disk that hangs, even a look at the file does not end.
        let look = tokio::task::spawn_blocking(move || {
            let low = disk_space::is_low(held.path()).then(disk_low);
            held.check().err().into_iter().chain(low).collect::<Vec<_>>()
        });
        let mut reasons = match tokio::time::timeout(within, look).await {
            Ok(Ok(reasons)) => reasons,
            Ok(Err(error)) => vec![Error::internal(error.to_string())],
            Err(_) => vec![stuck(within)],
        };
        if reasons.is_empty() {
            let probed = tokio::time::timeout(within, self.probe()).await;
            reasons.extend(probed.unwrap_or_else(|_| Err(self.late(within))).err());
        }
        reasons
    }

    /// Why the write thread did not answer `within` this time.
    fn late(&self, within: Duration) -> Error {
        let running = self.memory.metrics.running(Instant::now());
        // A transaction that takes the time alone is not a matter of how much arrives.
        if running >= within / 2 {
            return stuck(running);
        }
        let detail = "More arrives than the disk takes: what waits for it takes too long. Send more slowly.";
        Error::unavailable(Unavailable::Behind, detail)
    }

    /// Checks whether the write thread could commit an event now: the disk has space beyond the reserve, and a page can
    /// be written. The check goes through the same queue as all other write requests. A write that succeeded recently
    /// is not repeated, since anybody may ask.
    ///
    /// # Errors
    /// Unavailable, with the reason.
    pub async fn probe(&self) -> Result<()> {
        let failed = self.memory.metrics.failed_commits();
        let proven = self.memory.last_probe.is_valid(Instant::now(), failed);
        self.writer
            .submit(move |tx| {
                if !tx.accepts_events() {
                    return Err(disk_low());
                }
                if !proven {
                    // Writes the first page of the file without changing its content.
                    tx.run(&format!("PRAGMA user_version = {}", VERSION), [])?;
                }
                Ok(())
            })
            .await?;
        if !proven {
            self.memory.last_probe.record(Instant::now(), failed);
        }
        Ok(())
    }
}

/// The disk has not answered for `time`.
fn stuck(time: Duration) -> Error {
    let detail = format!("The disk has not answered for {} s; look at the disk.", time.as_secs().max(1));
    Error::unavailable(Unavailable::Stuck, detail)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::store::operations::fixture::Fixture;

    #[tokio::test]
    async fn a_write_thread_that_does_not_answer_is_told_from_one_that_has_too_much_to_do() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        assert!(store.unready(Duration::from_secs(30)).await.is_empty());
        // As on a disk that hangs.
        let (go, wait) = mpsc::channel::<()>();
        let held = tokio::spawn(store.writer.submit(move |_| {
            let _ = wait.recv();
            Ok(())
        }));
        let code = |reasons: Vec<Error>| reasons.iter().map(Error::code).collect::<Vec<_>>();
        let mut stuck = Vec::new();
        while stuck != ["storage_stuck"] {
            stuck = code(store.unready(Duration::from_millis(50)).await);
            assert!(matches!(stuck.as_slice(), ["storage_stuck" | "storage_behind"]), "{stuck:?}");
        }
        assert!(store.write_metrics().running > Duration::ZERO);
        drop(go);
        held.await.unwrap().unwrap();
        assert!(store.unready(Duration::from_secs(30)).await.is_empty());
    }
}
