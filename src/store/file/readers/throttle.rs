//! Lets senders of events go before readers of lists. Low priority alone does not: a thread that reads runs while the
//! disk syncs, and keeps its processor for some milliseconds when senders are awake again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};
use crate::process::priority::{self, Rank};

/// Senders that were answered less than this long ago are likely to come again.
const RECENT: Duration = Duration::from_millis(50);

/// While events come in, one long read runs at a time, followed by a rest of this many times its length. So reads of
/// the usual length take at most half of one processor. Measured on two processors, with 16 clients that page: 190
/// pages of 200 deliveries a second. Events were then accepted at 0.9 to 1.0 of the rate without readers; without this
/// throttle at 0.5, and with low priority alone at 0.6.
const REST_FACTOR: u32 = 1;

/// Maximum length of that rest, so that a read of seconds does not hold up the others for as long again.
const MAX_REST: Duration = Duration::from_millis(100);

/// Shared by all reads that may be long. The write thread reports here when senders were answered.
pub struct ReadThrottle {
    since: Instant,
    /// When senders were last answered, in milliseconds after `since`, plus 1; 0 for never.
    answered_at: AtomicU64,
    permit: Arc<Semaphore>,
}

impl Default for ReadThrottle {
    fn default() -> Self {
        Self { since: Instant::now(), answered_at: AtomicU64::new(0), permit: Arc::new(Semaphore::new(1)) }
    }
}

impl ReadThrottle {
    /// Events were committed, and their senders are answered now.
    pub fn accepted(&self, now: Instant) {
        self.answered_at.store(self.millis(now) + 1, Ordering::Relaxed);
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.since).as_millis()).unwrap_or(u64::MAX - 1)
    }

    fn has_senders(&self, now: Instant) -> bool {
        match self.answered_at.load(Ordering::Relaxed) {
            0 => false,
            at => u128::from(self.millis(now).saturating_sub(at - 1)) < RECENT.as_millis(),
        }
    }

    /// Waits for a permit, if events come in.
    ///
    /// # Errors
    /// Internal if the semaphore were closed, which never happens.
    pub async fn permit(&self) -> Result<ThrottledRead> {
        if !self.has_senders(Instant::now()) {
            return Ok(ThrottledRead(None));
        }
        let turn = Arc::clone(&self.permit).acquire_owned().await;
        let turn = turn.map_err(|_| Error::internal("reads have no turns"))?;
        // Senders may be gone by now, and then there is nobody to rest for.
        Ok(ThrottledRead(self.has_senders(Instant::now()).then_some(turn)))
    }
}

/// The permit of one read. The permit belongs to the work and lasts until the work ends, even if nobody waits for the
/// result any more.
pub struct ThrottledRead(Option<OwnedSemaphorePermit>);

impl ThrottledRead {
    /// Does `work` at low priority on this thread, which must be one of the runtime's that may block. If events come
    /// in, the next work begins some time later.
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        priority::lower(Rank::Reading);
        let began = Instant::now();
        let result = work();
        if let Some(turn) = self.0 {
            let rest = (began.elapsed() * REST_FACTOR).min(MAX_REST);
            Handle::current().spawn(async move {
                tokio::time::sleep(rest).await;
                drop(turn);
            });
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn senders_are_remembered_for_a_moment() {
        let throttle = ReadThrottle::default();
        let now = throttle.since + Duration::from_secs(5);
        assert!(!throttle.has_senders(now), "nobody came yet");
        throttle.accepted(now);
        assert!(throttle.has_senders(now) && throttle.has_senders(now + RECENT / 2));
        assert!(!throttle.has_senders(now + RECENT));
    }

    /// The greatest number of reads, out of eight, that ran at one time.
    async fn most_at_once(throttle: &Arc<ReadThrottle>, together: usize) -> usize {
        let (now, most, meet) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Barrier::new(together)));
        let reads: Vec<_> = (0..8)
            .map(|_| {
                let (throttle, now, most, meet) =
                    (Arc::clone(throttle), Arc::clone(&now), Arc::clone(&most), Arc::clone(&meet));
                tokio::spawn(async move {
                    let work = move || {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        meet.wait();
                        // Without the throttle the others come meanwhile.
                        std::thread::sleep(Duration::from_millis(5));
                        now.fetch_sub(1, Ordering::SeqCst);
                    };
                    let turn = throttle.permit().await.unwrap();
                    tokio::task::spawn_blocking(move || turn.run(work)).await.unwrap();
                })
            })
            .collect();
        for read in reads {
            read.await.unwrap();
        }
        most.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn beside_senders_one_read_runs_at_a_time_and_else_as_many_as_there_are() {
        let throttle = Arc::new(ReadThrottle::default());
        assert_eq!(most_at_once(&throttle, 8).await, 8);
        // Senders that stay for longer than this test runs.
        throttle.answered_at.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(most_at_once(&throttle, 1).await, 1);
    }
}
