//! Lets whoever sends events go before whoever reads lists. Low priority alone does not: a thread that reads runs while the
//! disk syncs, and keeps its processor for some milliseconds when those who send are awake again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};
use crate::process::priority::{self, Rank};

/// Who was answered just now is likely to come again within this time.
const RECENT: Duration = Duration::from_millis(50);

/// Beside senders one read runs at a time, and after it none for as many times as long: then reads of the usual length take
/// half of one processor at most. Measured on two, with 16 clients that page: 190 pages of 200 deliveries a second, and events
/// are taken at 0.9 to 1.0 of the rate without them; without turns it was 0.5, and 0.6 at low priority alone.
const REST_FACTOR: u32 = 1;

/// But not for longer than this, so that one that takes seconds does not hold up the others for as long again.
const MAX_REST: Duration = Duration::from_millis(100);

/// Shared by all reads that may be long, and told by the write thread who sends.
pub struct ReadThrottle {
    since: Instant,
    /// When senders were last answered, in milliseconds after `since` and one more; 0 for never.
    answered_at: AtomicU64,
    permit: Arc<Semaphore>,
}

impl Default for ReadThrottle {
    fn default() -> Self {
        Self { since: Instant::now(), answered_at: AtomicU64::new(0), permit: Arc::new(Semaphore::new(1)) }
    }
}

impl ReadThrottle {
    /// Events were committed; their senders are answered now.
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

    /// Waits for a turn, where somebody sends.
    ///
    /// # Errors
    /// Never; it is the semaphore's that is never closed.
    pub async fn permit(&self) -> Result<ThrottledRead> {
        if !self.has_senders(Instant::now()) {
            return Ok(ThrottledRead(None));
        }
        let turn = Arc::clone(&self.permit).acquire_owned().await;
        let turn = turn.map_err(|_| Error::internal("reads have no turns"))?;
        // They may be gone by now, and then there is nobody to rest for.
        Ok(ThrottledRead(self.has_senders(Instant::now()).then_some(turn)))
    }
}

/// A read's turn. It goes along with the work: it is not over before that is, though nobody waits for its result any more.
pub struct ThrottledRead(Option<OwnedSemaphorePermit>);

impl ThrottledRead {
    /// Does `work` at low priority on this thread, which must be one of the runtime's that may block. The next turn begins
    /// some time after it.
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

    /// The most of eight reads that ran at one time.
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
                        // Without turns the others come meanwhile.
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
        // They stay for longer than this test runs.
        throttle.answered_at.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(most_at_once(&throttle, 1).await, 1);
    }
}
